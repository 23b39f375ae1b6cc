import type { Fact } from './fact.ts'
import type { Subject } from './os.ts'

/** What a fact is about, for people. */
export const subjectTexts = {
  ios: 'iOS',
  macos: 'macOS',
  android: 'Android',
  windows: 'Windows',
  'windows-phone': 'Windows Phone',
  service: 'service side',
} as const satisfies Record<Subject, string>

/** `all`, `from 14`, `below 10`, `4 to below 12`. */
export function versionsText({ since, until }: Pick<Fact, 'since' | 'until'>): string {
  if (since !== undefined && until !== undefined) return `${since} to below ${until}`
  if (since !== undefined) return `from ${since}`
  return until === undefined ? 'all' : `below ${until}`
}

/** A value on one line: lists by commas, objects as `name: value`; HRESULTs in hex, as people know them. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? '(none)' : value.map(valueText).join(', ')
  if (typeof value === 'object' && value !== null)
    return Object.entries(value)
      .map(([name, member]) => `${name}: ${valueText(member)}`)
      .join('; ')
  if (typeof value === 'number' && value >= 0x80000000) return `0x${value.toString(16)}`
  return value === '' ? '(nothing)' : String(value)
}

/** What an override may say in place of the value. */
export function possibleText({ value, alternatives }: Pick<Fact, 'value' | 'alternatives'>): string {
  if (alternatives !== undefined) return alternatives.map((one) => JSON.stringify(one)).join(' or ')
  if (typeof value === 'number') return 'a whole number from 0'
  return typeof value === 'boolean' ? String(!value) : 'a text'
}
