import { etaMs, lengthText } from './eta.ts'
import type { LiveError, LiveFacts } from './live.ts'
import { printable } from './printable.ts'

export type Tone = 'heading' | 'error' | 'warning'

export interface LiveLine {
  readonly text: string
  readonly tone?: Tone
}

/**
 * The view of a terminal of that size, without an escape code: at most `rows - 1` lines, so that it never scrolls, of at most
 * `columns - 1` characters, each one column wide. What matters least is left out first: workers, then steps, then errors.
 */
export function liveLines(facts: LiveFacts, columns: number, rows: number): string[] {
  return liveBlock(facts, columns, rows).map(({ text }) => text)
}

/** The same, with what each line is. */
export function liveBlock(facts: LiveFacts, columns: number, rows: number): LiveLine[] {
  const head = headLines(facts, columns)
  const byImportance = [warningSection(facts), errorSection(facts), stepSection(facts), workerSection(facts)]
  const [warnings = [], errors = [], steps = [], workers = []] = fitted(byImportance, rows - 1 - head.length)
  return [...head, ...steps, ...errors, ...workers, ...warnings]
    .slice(0, Math.max(0, rows - 1))
    .map(({ text, ...rest }) => ({ text: oneColumnEach(text).slice(0, Math.max(0, columns - 1)), ...rest }))
}

interface Section {
  readonly heading?: LiveLine
  readonly lines: readonly LiveLine[]
  /** Lines shown at most. */
  readonly most: number
}

/** Each gets what those before it have left. */
function fitted(sections: readonly Section[], rows: number): (readonly LiveLine[])[] {
  let left = Math.max(0, rows)
  return sections.map((section) => {
    const shown = shortened(section, left)
    left -= shown.length
    return shown
  })
}

/** Nothing where there is no room for a line and the number of those left out. */
function shortened({ heading, lines, most }: Section, rows: number): readonly LiveLine[] {
  const head = heading ? [heading] : []
  const room = Math.min(most, rows - head.length)
  if (lines.length === 0 || room < Math.min(2, lines.length)) return []
  if (lines.length <= room) return [...head, ...lines]
  return [...head, ...lines.slice(0, room - 1), { text: `  and ${lines.length - room + 1} more` }]
}

const rateColumns = 24

function headLines(facts: LiveFacts, columns: number): LiveLine[] {
  const { due, started, active, connected, late, installed, pending } = facts
  return [
    { text: progressText(facts, columns), tone: 'heading' },
    { text: `${due} due  ${started} started  ${late} late  ${active} active  ${connected} connected` },
    { text: `${installed} certificates  ${pending} pending  ${rateText(facts)}` },
  ]
}

/** Of a run of a given length the time, else the devices. */
function progressText(facts: LiveFacts, columns: number): string {
  const { completed, total, elapsedMs, durationMs, failed } = facts
  const share = durationMs === undefined ? ratio(completed, total) : ratio(elapsedMs, durationMs)
  const leftMs = etaMs(facts)
  const eta = leftMs === undefined ? '' : `  ETA ${lengthText(leftMs)}`
  const text = `${Math.floor(share * 100)} %  ${completed}/${total} devices  ${failed} failed  ${lengthText(elapsedMs)}${eta}`
  return `${barOf(share, columns - 1 - text.length)}${text}`
}

const ratio = (part: number, whole: number) => (whole > 0 ? Math.min(1, part / whole) : 0)
const [shortestBar, longestBar] = [6, 24]

/** In the room that the text leaves; one that is too short to tell anything is left out. */
function barOf(share: number, room: number): string {
  const width = Math.min(longestBar, room - 1)
  if (width < shortestBar) return ''
  const full = Math.floor(share * width)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)} `
}

function rateText({ ratePerSecond, rates }: LiveFacts): string {
  const line = sparkline(rates.slice(-rateColumns))
  return `${ratePerSecond.toFixed(1)}/s${line ? `  ${line}` : ''}`
}

const levels = '▁▂▃▄▅▆▇█'

/** A character a value, against the greatest; a space for none. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values)
  return values.map((value) => (value > 0 ? levels[Math.ceil((value / most) * levels.length) - 1] : ' ')).join('')
}

function warningSection({ warnings }: LiveFacts): Section {
  return { lines: warnings.map((text) => ({ text: `! ${text}`, tone: 'warning' })), most: 4 }
}

/** The whole enrolment first: it is what a run is judged by. */
function stepSection({ steps }: LiveFacts): Section {
  const ordered = [...steps.filter(({ step }) => step === 'enrollment'), ...steps.filter(({ step }) => step !== 'enrollment')]
  const rows = ordered.map(({ step, count, p50Ms, p90Ms, p99Ms }) => [step, String(count), ...[p50Ms, p90Ms, p99Ms].map(msText)])
  return table(['step', 'count', 'p50 ms', 'p90 ms', 'p99 ms'], rows)
}

function errorSection({ errors }: LiveFacts): Section {
  const lines = [...errors].sort((a, b) => b.count - a.count).map(errorLine)
  return { heading: { text: 'errors', tone: 'heading' }, lines, most: 6 }
}

function errorLine({ code, step, answer, count }: LiveError): LiveLine {
  return { text: [String(count).padStart(7), code, step, ...(answer === null ? [] : [answer])].join('  '), tone: 'error' }
}

function workerSection({ workers }: LiveFacts): Section {
  const rows = workers.map(({ name, state, cpuShare, rssBytes, loopLagP99Ms }) => [
    name,
    state,
    `${Math.round(cpuShare * 100)} %`,
    String(Math.round(rssBytes / 2 ** 20)),
    loopLagP99Ms === undefined ? '-' : msText(loopLagP99Ms),
  ])
  return table(['process', 'state', 'CPU', 'MiB', 'lag p99 ms'], rows)
}

/** First column to the left, the others to the right. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): Section {
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => row[column]?.length ?? 0)))
  const pad = (cell: string, column: number) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))
  const text = (row: readonly string[]) => row.map(pad).join('  ')
  return { heading: { text: text(header), tone: 'heading' }, lines: rows.map((row) => ({ text: text(row) })), most: rows.length }
}

/** Three digits that mean something. */
export function msText(ms: number): string {
  return ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0)
}

/** A wide character or one without a width, which only what a device or server said can hold, would break the count of rows. */
function oneColumnEach(text: string): string {
  return printable(text).replace(/[^\x20-\x7e░▁-█]/gu, '?')
}
