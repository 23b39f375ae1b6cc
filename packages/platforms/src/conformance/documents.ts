import { identityKey, type PolicyDocument, type ProfileStatus, type Report } from '@certfleet/agent-core'
import { type Certificate, parseCertificate } from '@certfleet/agent-core/pki'
import { holdsTrue, same } from './check.ts'
import type { CheckContext, DeviceWishes } from './context.ts'
import type { ConformanceDevice } from './device.ts'
import type { TargetSession } from './target.ts'

export type ScepProfileDocument = PolicyDocument['scepProfiles'][number]
export type PfxProfileDocument = NonNullable<PolicyDocument['pfxProfiles']>[number]
export type RootProfileDocument = PolicyDocument['trustedRoots'][number]

/** The Trusted profile that the profile of `scepProfile` refers to, for the target's root. */
export function rootProfile({ root }: TargetSession, own: Partial<RootProfileDocument> = {}): RootProfileDocument {
  return {
    id: 'root',
    displayName: 'Root',
    certificate: Buffer.from(root).toString('base64'),
    destinationStore: 'computer-root',
    assignedTo: ['device'],
    ...own,
  }
}

/** An ordinary SCEP profile for the target. */
export function scepProfile({ scepUrl }: TargetSession, own: Partial<ScepProfileDocument> = {}): ScepProfileDocument {
  return {
    id: 'wifi',
    displayName: 'Corporate Wi-Fi',
    principal: 'device',
    assignedTo: ['device'],
    scepUrls: [scepUrl],
    rootProfileId: 'root',
    renewalThresholdPercent: 20,
    subject: 'CN=device-1,O=Example',
    subjectAltNames: [],
    keyBits: 2048,
    keyStorage: 'useSoftwareKsp',
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
    validity: { value: 30, scale: 'days' },
    ...own,
  }
}

/** An ordinary PFX profile. */
export function pfxProfile(own: Partial<PfxProfileDocument> = {}): PfxProfileDocument {
  return {
    id: 'mail',
    displayName: 'Mail',
    principal: 'device',
    assignedTo: ['device'],
    rootProfileId: 'root',
    renewalThresholdPercent: 20,
    kind: 'pkcs',
    certificateRevision: 'v1',
    keyStorage: 'useSoftwareKsp',
    ...own,
  }
}

export function policyWith(own: Partial<PolicyDocument>): PolicyDocument {
  return { schemaVersion: 1, revision: 1, deviceId: 'device-1', trustedRoots: [], scepProfiles: [], failedProfiles: [], ...own }
}

/** What a check gives the device: an ordinary root and SCEP profile, but for what is said otherwise. */
export interface Given extends DeviceWishes {
  readonly root?: Partial<RootProfileDocument>
  readonly scep?: Partial<ScepProfileDocument> | ((session: TargetSession) => Partial<ScepProfileDocument>)
}

/** Assigns root and profile to a fresh device. */
export async function assigned(context: CheckContext, { root, scep, ...wishes }: Given = {}): Promise<ConformanceDevice> {
  const device = await context.device(wishes)
  await device.assign(ordinaryPolicy(device, { ...(root && { root }), ...(scep && { scep }) }))
  return device
}

export function ordinaryPolicy({ session }: ConformanceDevice, { root, scep }: Pick<Given, 'root' | 'scep'> = {}): PolicyDocument {
  const own = typeof scep === 'function' ? scep(session) : scep
  return policyWith({ trustedRoots: [rootProfile(session, root)], scepProfiles: [scepProfile(session, own)] })
}

/** A fresh device after one check-in, with what it got; rejects the check where it got none. */
export async function enrolled(context: CheckContext, given: Given = {}): Promise<{ device: ConformanceDevice; leaf: Certificate }> {
  const device = await assigned(context, given)
  const status = statusOf(await device.checkIn())
  holdsTrue(
    status.state === 'installed',
    `no certificate was installed: ${status.state} ${status.code ?? ''} ${status.message ?? ''}`.trim(),
  )
  return { device, leaf: await installed(device) }
}

/** A fresh device after one check-in that has to end with this code and without a certificate. */
export async function refused(context: CheckContext, code: ProfileStatus['code'], given: Given = {}): Promise<ConformanceDevice> {
  const device = await assigned(context, given)
  same(statusOf(await device.checkIn()).code, code, 'the profile fails with')
  same((await device.identities.list()).length, 0, 'identities on the device')
  return device
}

/** Where a profile stands by a report. */
export function statusOf({ profiles }: Report, profileId = 'wifi'): ProfileStatus {
  const status = profiles.find((profile) => profile.profileId === profileId)
  holdsTrue(status !== undefined, `the report tells nothing of "${profileId}"`)
  return status
}

/** The certificate that a profile has on the device. */
export async function installed({ identities }: ConformanceDevice, key = identityKey('device', 'wifi')): Promise<Certificate> {
  const identity = (await identities.list()).find(({ principal, profileId }) => identityKey(principal, profileId) === key)
  holdsTrue(identity !== undefined, `the device has no certificate of ${key}`)
  return parseCertificate(identity.chain[0] as Uint8Array)
}

export const dayMs = 86_400_000
