import type { Reason } from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import { type Device, type IntentProfile, managementOf, osVersionOf } from '../tenant/index.ts'
import { fateOf, managedKinds } from './rules/removal.ts'

const maxDevicesNamed = 3

/** `3 devices (a, b, c)`, or how they are managed where they stand in for a tenant's. */
export function devicesText(devices: readonly Device[], { isStandIn }: { isStandIn: boolean }): string {
  if (isStandIn) return `a device that has it (${namesText(devices)})`
  return devices.length === 1 ? `1 device (${namesText(devices)})` : `${devices.length} devices (${namesText(devices)})`
}

function namesText(devices: readonly Device[]): string {
  const named = devices.slice(0, maxDevicesNamed).map(({ id }) => id)
  return [...named, ...(devices.length > maxDevicesNamed ? [`${devices.length - maxDevicesNamed} more`] : [])].join(', ')
}

/** What becomes of certificates on devices that lose a profile, in words. */
export function fatesText(
  profile: IntentProfile,
  devices: readonly Device[],
  who: { isStandIn: boolean },
  overrides: FactOverrides | undefined,
): { text: string; source: string } {
  if (profile.kind === 'invalid')
    return { text: `${devicesText(devices, who)}: it never worked, and nothing is left`, source: 'removal.scep' }
  const kind = managedKinds[profile.kind]
  const fates = devices.map((device) => {
    const release = { platform: device.platform, osVersion: osVersionOf(device), management: managementOf(device) }
    return { device, fate: fateOf(kind, 'unassigned', release, overrides) }
  })
  const texts = [...new Set(fates.map(({ fate }) => fate.text))]
  const ofText = (text: string) => fates.filter(({ fate }) => fate.text === text).map(({ device }) => device)
  return {
    text: texts.map((text) => `${devicesText(ofText(text), who)}: ${text}`).join('; '),
    source: [...new Set(fates.flatMap(({ fate }) => fate.factIds))].join('; '),
  }
}

/** Why the planner has a device ask again, as admins would say it. */
export const reasonTexts: Partial<Readonly<Record<Reason, string>>> = {
  CertificateChanged: 'another certificate is to be delivered',
  EkuChanged: 'the extended key usages are others',
  IdentityMissing: 'the certificate is for another principal, device or user',
  KeySpecChanged: 'the key is of another size',
  KeyStorageChanged: 'the key is kept elsewhere',
  KeyUsageChanged: 'the key usage is another',
  RequestChanged: 'the certificate comes in another way',
  RootChanged: 'the root certificate is another',
  SubjectAltNamesChanged: 'the subject alternative names are others',
  SubjectChanged: 'the subject is another',
  ValidityChanged: 'the validity period is another',
}

/** `"a" of group x`, for people. */
export function listText(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`
}
