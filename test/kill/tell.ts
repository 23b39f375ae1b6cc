import type { Kill, Tally } from './kill.ts'

/** At least so many percent of the kills must fall between the first and the last call of a port. */
export const withinPercent = 80

export const isWithin = ({ call }: Kill): boolean => call !== undefined

/** What came of it, in lines: how many, where they fell, and what is wrong. */
export function told({ lives, kills, problems }: Tally): string[] {
  const within = kills.filter(isWithin)
  return [
    `${kills.length} kills in ${lives} lives; ${within.length} (${percent(within.length, kills.length)} %) between the first and the last call`,
    ...table(
      'by stage',
      kills.map(({ stage }) => stage),
    ),
    ...table(
      'by cause',
      kills.map(({ how }) => how),
    ),
    ...table(
      'by call',
      kills.map(({ call }) => call?.replace(/^(before|within|after) /, '') ?? '(outside)'),
    ),
    `${problems.length} problems`,
    ...problems.slice(0, 20).map((problem) => `  ${problem}`),
  ]
}

/** Why this is no success; empty where it is one. */
export function failures({ kills, problems }: Tally): string[] {
  const within = kills.filter(isWithin).length
  return [
    ...(problems.length > 0 ? [`${problems.length} problems`] : []),
    ...(within * 100 < kills.length * withinPercent
      ? [`fewer than ${withinPercent} % of the kills fell between the first and the last call`]
      : []),
  ]
}

function table(title: string, values: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  const rows = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  return [title, ...rows.map(([value, count]) => `  ${String(count).padStart(5)}  ${value}`)]
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '0' : ((100 * part) / whole).toFixed(1)
}
