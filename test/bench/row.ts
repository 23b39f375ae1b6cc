import type { Spread } from './measure.ts'

export interface Target {
  readonly atLeast?: number
  readonly atMost?: number
  /** Beyond `atLeast`: what would be better still. */
  readonly wanted?: number
}

/** A line of a table of figures. */
export interface Row {
  readonly name: string
  /** The median. Null: it could not be measured, and the note says why. */
  readonly value: number | null
  readonly unit: 'ratio' | 'ms' | 'µs' | '/s' | 'KiB'
  readonly target: Target | null
  /** First and third quartile; null where it was measured once. */
  readonly low: number | null
  readonly high: number | null
  /** How it came about. */
  readonly note?: string
}

export function row(name: string, unit: Row['unit'], { median, low, high }: Spread, target: Target | null = null, note?: string): Row {
  return { name, value: rounded(median), unit, target, low: rounded(low), high: rounded(high), ...(note !== undefined && { note }) }
}

export function once(name: string, unit: Row['unit'], value: number, target: Target | null = null, note?: string): Row {
  return { name, value: rounded(value), unit, target, low: null, high: null, ...(note !== undefined && { note }) }
}

export function notMeasured(name: string, unit: Row['unit'], note: string, target: Target | null = null): Row {
  return { name, value: null, unit, target, low: null, high: null, note }
}

const rounded = (value: number) => Number(value.toPrecision(3))

export function printRows(rows: readonly Row[], isJson: boolean): void {
  if (isJson) {
    console.log(JSON.stringify(rows, undefined, 2))
    return
  }
  const width = Math.max(...rows.map(({ name }) => name.length))
  for (const one of rows) console.log(textOf(one, width))
}

export function textOf({ name, value, unit, target, low, high, note }: Row, width = 0): string {
  const figure = value === null ? 'not measured'.padStart(13) : `${String(value).padStart(7)} ${unit.padEnd(5)}`
  const quartiles = low === null ? '' : `  ${low} to ${high}`
  const aim = target === null ? '' : `  (${aimOf(target)}${value === null || meets(value, target) ? '' : ': missed'})`
  return `${name.padEnd(width)} ${figure}${quartiles}${aim}${note === undefined ? '' : `  ${note}`}`.trimEnd()
}

function aimOf({ atLeast, atMost, wanted }: Target): string {
  if (atMost !== undefined) return `at most ${atMost}`
  return `at least ${atLeast}${wanted === undefined ? '' : `, wanted ${wanted}`}`
}

const meets = (value: number, { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY }: Target): boolean =>
  value >= atLeast && value <= atMost
