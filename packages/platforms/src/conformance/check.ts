import { AssertionError } from 'node:assert'
import { holds } from '../fact.ts'
import { facts } from '../facts.ts'
import type { Management, Os, PlatformName } from '../os.ts'
import { parseOs } from '../os.ts'
import type { CheckContext } from './context.ts'
import type { Ability } from './target.ts'

/** The systems that checks run on: the usual one of each platform, and others that differ from it. Android is Samsung Knox where nothing is said. */
export const systemsUnderTest = {
  ios: { platform: 'ios', osVersion: '17.4' },
  macos: { platform: 'macos', osVersion: '14.4' },
  android: { platform: 'android', osVersion: '13' },
  windows: { platform: 'windows', osVersion: '10.0.19045' },
  'windows-8.1': { platform: 'windows', osVersion: '8.1' },
  'windows-phone-8.1': { platform: 'windows', osVersion: 'Phone 8.1' },
  'ios-13': { platform: 'ios', osVersion: '13' },
  'macos-10.15': { platform: 'macos', osVersion: '10.15' },
  'macos-10.9': { platform: 'macos', osVersion: '10.9' },
  'android-11': { platform: 'android', osVersion: '11' },
  'android-enterprise': { platform: 'android', osVersion: '13', management: 'workProfile' },
  'android-owner': { platform: 'android', osVersion: '13', management: 'deviceOwner' },
  'android-aosp': { platform: 'android', osVersion: '13', management: 'aosp' },
  'android-administrator': { platform: 'android', osVersion: '11', management: 'deviceAdministrator' },
  'android-10-administrator': { platform: 'android', osVersion: '10', management: 'deviceAdministrator' },
  'ios-unmanaged': { platform: 'ios', osVersion: '17.4', management: 'unmanaged' },
  'ios-10-unmanaged': { platform: 'ios', osVersion: '10.2', management: 'unmanaged' },
} as const satisfies Record<string, { readonly platform: PlatformName; readonly osVersion: string; readonly management?: Management }>

export type SystemUnderTest = keyof typeof systemsUnderTest

/** One expectation, on one or more systems. */
export interface Check {
  /** `<topic>.<what>`; never changes once published. */
  readonly id: string
  readonly on: readonly SystemUnderTest[]
  /** Systems whose platform has no such thing, and why: skipped there. */
  readonly notOn?: Partial<Record<SystemUnderTest, string>>
  readonly given: string
  readonly expect: string
  /** Source keys and rows, as in facts. */
  readonly source: string
  /** Ids of the facts that it shows, each on the systems that the fact holds for; those about the service on all. */
  readonly facts?: readonly string[]
  /** What sessions of the target must have. */
  readonly needs?: readonly Ability[]
  /** Rejects with an `AssertionError` that says how the expectation was not met, or with what the device threw. */
  run(context: CheckContext): Promise<void>
}

/** One check on one system. */
export interface CheckOnSystem {
  /** The check's, with `@system` behind it where that is not the usual one of its platform. */
  readonly id: string
  readonly platform: PlatformName
  readonly os: Os
  readonly check: Check
  /** Ids of the facts that it shows here. */
  readonly facts: readonly string[]
  /** Sources and fact ids. */
  readonly source: string
  /** Why there is no such thing on this system. */
  readonly notHere?: string
}

/** The checks, each once a system, in the order of platforms and then of `checks`. */
export function onEachSystem(checks: readonly Check[]): readonly CheckOnSystem[] {
  return (Object.keys(systemsUnderTest) as SystemUnderTest[]).flatMap((system) =>
    checks.filter((check) => check.on.includes(system) || check.notOn?.[system] !== undefined).map((check) => onSystem(check, system)),
  )
}

function onSystem(check: Check, system: SystemUnderTest): CheckOnSystem {
  const { platform, osVersion, management } = { management: undefined, ...systemsUnderTest[system] }
  const os = parseOs(platform, osVersion, undefined, management)
  const shown = (check.facts ?? []).filter((id) => isAbout(id, os))
  const notHere = check.notOn?.[system]
  return {
    id: system === platform ? check.id : `${check.id}@${system}`,
    platform,
    os,
    check,
    facts: shown,
    source: [check.source, ...shown].join('; '),
    ...(notHere !== undefined && { notHere }),
  }
}

function isAbout(id: string, os: Os): boolean {
  const fact = facts.find((candidate) => candidate.id === id)
  return fact !== undefined && (fact.platforms.includes('service') || holds(fact, os))
}

/** Rejects the check unless both are the same as JSON. */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (JSON.stringify(actual) === JSON.stringify(expected)) return
  throw new AssertionError({ message: `${what}: expected ${shown(expected)}, got ${shown(actual)}` })
}

export function holdsTrue(condition: boolean, what: string): asserts condition {
  if (!condition) throw new AssertionError({ message: what })
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 200)
