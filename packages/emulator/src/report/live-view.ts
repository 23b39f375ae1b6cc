import type { Clock } from '@certfleet/agent-core'
import { etaMs, lengthText } from './eta.ts'
import type { LiveFacts } from './live.ts'
import { type LiveLine, liveBlock, type Tone } from './live-block.ts'
import { printable } from './printable.ts'

/** Where a load test is watched: stderr, since results are for stdout. */
export interface LiveSink {
  write(text: string): void
  readonly isTerminal: boolean
  /** Of the terminal, now: it may be made larger or smaller during the run. Default 80 by 24. */
  size?(): { readonly columns: number | undefined; readonly rows: number | undefined }
  /** `TERM=dumb` is no terminal that can be redrawn; `NO_COLOR` that is not empty (no-color.org) leaves colour out. */
  readonly env: Readonly<Record<string, string | undefined>>
}

const drawEveryMs = 200
const quietEveryMs = 5_000
const quieterEveryMs = 30_000
const quietForMs = 60_000

/**
 * Shows where a run stands until the signal is aborted: on a terminal a block that is redrawn in place and gone at the end; elsewhere
 * a line each 5 s, and each 30 s after the first minute, with the warnings that are new, without an escape code; at the end those left.
 */
export async function showLive(read: () => LiveFacts, sink: LiveSink, clock: Clock, signal: AbortSignal): Promise<void> {
  await (sink.isTerminal && sink.env.TERM !== 'dumb' ? redraw : tellNowAndThen)(read, sink, clock, signal)
}

async function tellNowAndThen(read: () => LiveFacts, { write }: LiveSink, clock: Clock, signal: AbortSignal): Promise<void> {
  const told = new Set<string>()
  let toldMs = 0
  const newWarnings = ({ warnings }: LiveFacts) => {
    const untold = warnings.filter((warning) => !told.has(kindOf(warning)))
    for (const warning of untold) told.add(kindOf(warning))
    return untold.map((warning) => `! ${printable(warning)}\n`).join('')
  }
  while (await slept(toldMs < quietForMs ? quietEveryMs : quieterEveryMs, clock, signal)) {
    const facts = read()
    toldMs = facts.elapsedMs
    write(`${liveLine(facts)}\n${newWarnings(facts)}`)
  }
  // Of a run that ends before its next line is due.
  const left = newWarnings(read())
  if (left !== '') write(left)
}

/** A warning stands once, whatever its figures come to later. */
const kindOf = (warning: string): string => warning.replace(/\d+/g, '#')

/** `120/200 devices  118 certificates  6.1/s  2 failed  p50 105 ms  p99 1230 ms  ETA 13 s` */
export function liveLine(facts: LiveFacts): string {
  const { completed, total, installed, ratePerSecond, failed, late, latency } = facts
  const left = etaMs(facts)
  return [
    `${completed}/${total} devices`,
    `${installed} certificates`,
    `${ratePerSecond.toFixed(1)}/s`,
    `${failed} failed`,
    ...(late > 0 ? [`${late} late`] : []),
    ...(latency ? [`p50 ${latency.p50Ms.toFixed(0)} ms`, `p99 ${latency.p99Ms.toFixed(0)} ms`] : []),
    ...(left === undefined ? [] : [`ETA ${lengthText(left)}`]),
  ].join('  ')
}

async function redraw(read: () => LiveFacts, sink: LiveSink, clock: Clock, signal: AbortSignal): Promise<void> {
  let drawn: readonly string[] = []
  const isPlain = (sink.env.NO_COLOR ?? '') !== ''
  try {
    while (await slept(drawEveryMs, clock, signal)) {
      const { columns, rows } = sizeOf(sink)
      const lines = liveBlock(read(), columns, rows)
      // One write, so that no half of a block is seen.
      sink.write(erased(drawn, columns, rows) + lines.map((line) => `${isPlain ? line.text : coloured(line)}\n`).join(''))
      drawn = lines.map(({ text }) => text)
    }
  } finally {
    const { columns, rows } = sizeOf(sink)
    sink.write(erased(drawn, columns, rows))
  }
}

function sizeOf({ size }: LiveSink): { columns: number; rows: number } {
  const { columns, rows } = size?.() ?? {}
  return { columns: columns || 80, rows: rows || 24 }
}

/** A terminal that was made narrower has wrapped the lines: they take more rows than they were. Rows that scrolled off are out of reach. */
function erased(drawn: readonly string[], columns: number, rows: number): string {
  const taken = drawn.reduce((sum, text) => sum + Math.max(1, Math.ceil(text.length / columns)), 0)
  const up = Math.min(taken, rows - 1)
  return `\r${up > 0 ? `\x1b[${up}A` : ''}\x1b[J`
}

const codeOf: Readonly<Record<Tone, number>> = { heading: 1, error: 31, warning: 33 }

function coloured({ text, tone }: LiveLine): string {
  return tone === undefined ? text : `\x1b[${codeOf[tone]}m${text}\x1b[0m`
}

/** False where the signal ended it. */
async function slept(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  return clock.sleep(ms, signal).then(
    () => true,
    (error: unknown) => {
      if (!signal.aborted) throw error
      return false
    },
  )
}
