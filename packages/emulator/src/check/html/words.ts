import type { Instant } from '@certfleet/agent-core'
import type { Family, IntentProfile, Platform } from '../../tenant/index.ts'
import { ruleFindings } from '../finding-ids.ts'
import type { CheckFinding } from '../types.ts'

export type Severity = CheckFinding['severity']

export const severities: readonly Severity[] = ['error', 'warning', 'info']

/** What becomes of a profile on a device, worst first. `beyond`: it is not for the device's OS version. */
export type Outcome = 'fails' | 'warned' | 'fine' | 'beyond'

export const outcomes: readonly Outcome[] = ['fails', 'warned', 'fine', 'beyond']

interface Mark {
  /** Tells it where there is no colour. */
  readonly sign: string
  /** After a count of devices. */
  readonly counted: string
  /** Of one device. */
  readonly one: string
}

export const outcomeMarks: Readonly<Record<Outcome, Mark>> = {
  fails: { sign: '✕', counted: 'go without', one: 'Goes without' },
  warned: { sign: '!', counted: 'with a warning', one: 'With a warning' },
  fine: { sign: '✓', counted: 'as meant', one: 'As meant' },
  beyond: { sign: '–', counted: 'not for their OS version', one: 'Not for its OS version' },
}

export const severityMarks: Readonly<Record<Severity, { readonly sign: string; readonly one: string; readonly many: string }>> = {
  error: { sign: '✕', one: 'Error', many: 'Errors' },
  warning: { sign: '!', one: 'Warning', many: 'Warnings' },
  info: { sign: 'i', one: 'Note', many: 'Notes' },
}

/** In the order of the page. */
export const platformTexts: Readonly<Record<Platform, string>> = { ios: 'iOS', macos: 'macOS', android: 'Android', windows: 'Windows' }

/** In the order of the page: a certificate needs its root. */
export const kindTexts: Readonly<Record<IntentProfile['kind'], string>> = {
  'trusted-root': 'Trusted root',
  scep: 'SCEP certificate',
  pkcs: 'PKCS certificate',
  'imported-pfx': 'Imported PFX certificate',
  invalid: 'Cannot be delivered as written',
}

export const familyTexts: Readonly<Record<Family, string>> = {
  ios: 'iOS and iPadOS',
  macos: 'macOS',
  androidDeviceAdministrator: 'Android device administrator',
  androidDeviceOwner: 'Android Enterprise, corporate-owned',
  androidForWork: 'Android for Work',
  androidWorkProfile: 'Android Enterprise, personally owned with a work profile',
  aosp: 'Android (AOSP)',
  windows10X: 'Windows 10X',
  windows81: 'Windows 8.1 and later',
  windowsPhone81: 'Windows Phone 8.1',
}

/** `link-missing` of the importer has no words but its own. */
export function topicText(id: CheckFinding['id']): string {
  const known = (ruleFindings as Readonly<Record<string, string>>)[id] ?? id.replaceAll('-', ' ')
  return `${known[0]?.toUpperCase()}${known.slice(1)}`
}

/** At most so many characters, never half of one. */
export function clipped(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most).replace(/[\ud800-\udbff]$/, '')}…`
}

export const nameLength = 90
export const messageLength = 600

/** `1 device`, `12,034 devices` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

/** `2026-11-23 12:20 UTC` */
export function momentText(at: Instant): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

export function dayText(at: Instant): string {
  return new Date(at).toISOString().slice(0, 10)
}
