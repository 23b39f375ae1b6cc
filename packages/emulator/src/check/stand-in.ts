import type { Management } from '@certfleet/platforms'
import {
  type Device,
  generateTenant,
  type IntentProfile,
  type ManagementMode,
  managementOf,
  osVersionOf,
  type Platform,
  type Tenant,
} from '../tenant/index.ts'
import { isManagedFor } from '../tenant/reach.ts'

/** A release of an OS and a way to be managed: what facts go by. */
export interface Release {
  readonly platform: Platform
  /** As `parseOs` reads it. */
  readonly osVersion: string
  /** As the tenant has it. Absent: not stated. */
  readonly mode?: ManagementMode | undefined
  readonly management?: Management | undefined
}

const modes: Readonly<Record<Platform, readonly (readonly [mode?: ManagementMode, osVersion?: string])[]>> = {
  ios: [[]],
  macos: [[]],
  android: [['knox'], ['deviceAdministrator'], ['workProfile'], ['deviceOwner'], ['aosp']],
  windows: [[], ['windowsPhone81', '8.1'], ['windows10X', '10']],
}

/** For where no tenant is known: one device for each way to be managed, which has all that a variable can stand for. */
export const standInTenant: Tenant = standIn()

function standIn(): Tenant {
  const generated = generateTenant({ counts: { ios: 1, macos: 1, android: 1, windows: 1 }, domain: 'stand-in.example' })
  const full = Object.assign({}, ...generated.devices.values()) as Device
  const devices = [...generated.devices.values()].flatMap((device) =>
    modes[device.platform].map(([management, osVersion = device.osVersion]): Device => {
      const id = management === undefined ? device.platform : `${device.platform} ${management}`
      return { ...full, ...device, id, osVersion, ...(management && { management }) }
    }),
  )
  return { ...generated, file: 'stand-in tenant', devices: new Map(devices.map((device) => [device.id, device])) }
}

/** Those of the tenant's devices that a profile is for by its type; where there are none, of all that could be. */
export function releasesFor(profile: IntentProfile, tenant: Tenant | undefined): readonly Release[] {
  const own = tenant ? matching(profile, tenant) : []
  return own.length > 0 ? own : matching(profile, standInTenant)
}

function matching(profile: IntentProfile, tenant: Tenant): readonly Release[] {
  return releasesOf(tenant).filter(
    ({ platform, mode }) => platform === profile.platform && isManagedFor(profile, { ...(mode && { management: mode }) }),
  )
}

const known = new WeakMap<Tenant, readonly Release[]>()

/** Ten thousand devices are of few releases. */
function releasesOf(tenant: Tenant): readonly Release[] {
  const before = known.get(tenant)
  if (before) return before
  const releases = new Map<string, Release>()
  for (const device of tenant.devices.values()) {
    const release = { platform: device.platform, osVersion: osVersionOf(device), mode: device.management, management: managementOf(device) }
    releases.set(`${release.platform} ${release.osVersion} ${release.mode}`, release)
  }
  const found = [...releases.values()]
  known.set(tenant, found)
  return found
}
