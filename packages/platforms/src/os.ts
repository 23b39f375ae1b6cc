import { AgentError } from '@certfleet/agent-core'

/** The platforms that a device can be. */
export const platformNames = ['ios', 'macos', 'android', 'windows'] as const
export type PlatformName = (typeof platformNames)[number]

/** Releases that the platforms' rules are written for, as `parseOs` reads them. */
export const currentReleases: Readonly<Record<PlatformName, string>> = { ios: '18.1', macos: '15.1', android: '15', windows: '10.0.26100' }

/** What facts are about. Windows Phone is a platform `windows` to the outside and a system of its own to the facts (S2, S20, S25). */
export const systems = [...platformNames, 'windows-phone'] as const
export type System = (typeof systems)[number]

/** As they are written. */
export const systemTitles = {
  ios: 'iOS',
  macos: 'macOS',
  android: 'Android',
  windows: 'Windows',
  'windows-phone': 'Windows Phone',
} as const satisfies Record<System, string>
/**
 * What a device can be enrolled as, in the words of tenant files; the first is taken where nothing is said. `unmanaged`: its profiles were
 * installed by hand.
 */
export const managementModes = {
  ios: ['managed', 'unmanaged'],
  macos: ['managed'],
  android: ['knox', 'deviceAdministrator', 'workProfile', 'deviceOwner', 'aosp'],
  windows: ['managed'],
} as const satisfies Record<PlatformName, readonly string[]>
export type Management = (typeof managementModes)[PlatformName][number]
/** What a fact can be about: a system of a device, or the CA and all that is on its side. */
export const subjects = [...systems, 'service'] as const
export type Subject = (typeof subjects)[number]

/** In place of a fact's value: the fact does not hold. */
export const off = 'off'

/** By fact id: what is taken instead of the fact's value, or `off`. Checked by `factOverrides`. */
export type FactOverrides = ReadonlyMap<string, unknown>

/** One operating system at one version. */
export interface Os {
  readonly platform: PlatformName
  readonly system: System
  /** Dotted numbers, as marketed: `10.9`, `17.4.1`, `8.1`, `10.0.19045.3324`. */
  readonly version: string
  readonly management: Management
  /** Absent: everything is as sourced. */
  readonly overrides?: FactOverrides | undefined
}

/** The build behind a macOS version, as inventories show it (`11.1 (20C69)`), is read over. */
const versionPattern = /^(phone )?(\d{1,9}(?:\.\d{1,9}){0,4})(?: \([0-9A-Za-z]{1,16}\))?$/i

/**
 * Reads an OS version. `Phone 8.1` and `Phone 10` under `windows` are Windows Phone; Windows may be written by its NT number (6.3 is 8.1).
 * Anything but dotted numbers, with a build in parentheses at most, or a management that the platform does not know: `ERR_UNSUPPORTED`.
 */
export function parseOs(platform: PlatformName, osVersion: string, overrides?: FactOverrides, management?: Management): Os {
  const [, phone, version] = versionPattern.exec(osVersion) ?? []
  if (version === undefined || (phone !== undefined && platform !== 'windows')) {
    throw new AgentError(
      'ERR_UNSUPPORTED',
      `unknown ${platform} version "${osVersion.slice(0, 32)}", expected dotted numbers such as "10.9"`,
    )
  }
  return {
    platform,
    system: phone === undefined ? platform : 'windows-phone',
    version: platform === 'windows' ? marketedVersion(version) : version,
    management: managementOf(platform, management),
    ...(overrides && { overrides }),
  }
}

function managementOf(platform: PlatformName, management: Management | undefined): Management {
  const modes: readonly Management[] = managementModes[platform]
  const mode = management ?? (modes[0] as Management)
  if (modes.includes(mode)) return mode
  throw new AgentError('ERR_UNSUPPORTED', `${platform} knows no management "${mode}", expected ${modes.join(' or ')}`)
}

const marketedByNt = new Map([
  ['6.1', '7'],
  ['6.2', '8'],
  ['6.3', '8.1'],
])

/** Windows before 10 calls itself by other numbers than people do. */
function marketedVersion(version: string): string {
  return marketedByNt.get(version.split('.', 2).join('.')) ?? version
}

/** Negative, zero or positive as `a` is older than, the same as or newer than `b`; missing numbers count as zero. */
export function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number)
  const right = b.split('.').map(Number)
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
