import type { Clock } from '@certfleet/agent-core'

/** Where a run stands. */
export interface ProgressFacts {
  readonly done: number
  readonly total: number
  readonly installed: number
  readonly failed: number
  readonly elapsedMs: number
}

/** A place for progress: a terminal, whose one line is redrawn, or anything else, which gets a line now and then. */
export interface ProgressSink {
  write(text: string): void
  readonly isTerminal: boolean
  /** Of the terminal; a longer line is cut. Default 80. */
  readonly columns?: number
}

const terminalIntervalMs = 200
const plainIntervalMs = 5_000
const clearLine = '\r\x1b[2K'

/** Shows progress until the signal is aborted, and leaves a terminal's line empty. */
export async function showProgress(read: () => ProgressFacts, sink: ProgressSink, clock: Clock, signal: AbortSignal): Promise<void> {
  const intervalMs = sink.isTerminal ? terminalIntervalMs : plainIntervalMs
  while (await passed(intervalMs, clock, signal)) draw(progressLine(read()), sink)
  if (sink.isTerminal) sink.write(clearLine)
}

/** `120/200 devices  6.1 certificates/s  0 failed  ETA 13 s` */
export function progressLine({ done, total, installed, failed, elapsedMs }: ProgressFacts): string {
  const rate = elapsedMs > 0 ? (installed / elapsedMs) * 1000 : 0
  const eta = done > 0 && done < total ? `  ETA ${durationText((elapsedMs / done) * (total - done))}` : ''
  return `${done}/${total} devices  ${rate.toFixed(1)} certificates/s  ${failed} failed${eta}`
}

async function passed(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const slept = clock.sleep(ms, signal).then(
    () => true,
    (error: unknown) => {
      if (!signal.aborted) throw error
      return false
    },
  )
  return slept
}

function draw(line: string, { write, isTerminal, columns = 80 }: ProgressSink): void {
  write(isTerminal ? `${clearLine}${line.slice(0, Math.max(0, columns - 1))}` : `${line}\n`)
}

function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
}
