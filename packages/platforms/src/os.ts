import { AgentError } from '@certfleet/agent-core'

/** The platforms that a device can be. */
export const platformNames = ['ios', 'macos', 'android', 'windows'] as const
export type PlatformName = (typeof platformNames)[number]

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
  /** Absent: everything is as sourced. */
  readonly overrides?: FactOverrides
}

/** The build behind a macOS version, as inventories show it (`11.1 (20C69)`), is read over. */
const versionPattern = /^(phone )?(\d{1,9}(?:\.\d{1,9}){0,4})(?: \([0-9A-Za-z]{1,16}\))?$/i

/**
 * Reads an OS version. `Phone 8.1` and `Phone 10` under `windows` are Windows Phone.
 * Anything but dotted numbers, with a build in parentheses at most: `ERR_UNSUPPORTED`.
 */
export function parseOs(platform: PlatformName, osVersion: string, overrides?: FactOverrides): Os {
  const [, phone, version] = versionPattern.exec(osVersion) ?? []
  if (version === undefined || (phone !== undefined && platform !== 'windows')) {
    throw new AgentError(
      'ERR_UNSUPPORTED',
      `unknown ${platform} version "${osVersion.slice(0, 32)}", expected dotted numbers such as "10.9"`,
    )
  }
  return { platform, system: phone === undefined ? platform : 'windows-phone', version, ...(overrides && { overrides }) }
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
