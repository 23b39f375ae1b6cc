import { closeSync, openSync, writeFileSync } from 'node:fs'
import type { Clock } from '@certfleet/agent-core'
import { InputError } from '../scenario/input-error.ts'
import { type LogEvent, type LogLevel, shapes } from './log-events.ts'
import type { Format, Loggable } from './loggable.ts'

export interface LogOptions {
  /** A file, which is added to and which only its owner may read; or what takes whole lines, such as stderr. */
  readonly destination: string | { write(line: string): void }
  /** What is less is left out. Default `info`. */
  readonly level?: LogLevel
  readonly clock: Clock
  /** Told once where the file can no longer be written; the run goes on without a log. */
  readonly onLost: (message: string) => void
}

export interface Log {
  write(event: LogEvent): void
  /** Every line is in the file by then; closing twice is not an error. */
  close(): void
}

/** JSON lines, one an event: `level`, `time` (ISO 8601, UTC), `event`, and its members. A file that cannot be opened is an `InputError`. */
export async function openLog({ destination, level = 'info', clock, onLost }: LogOptions): Promise<Log> {
  const { pino } = await import('pino')
  const { write, close } = typeof destination === 'string' ? fileLines(destination, onLost) : { ...linesOf(destination), close: () => {} }
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  )
  return { write: (event) => logger[shapes[event.event].level](loggable(event)), close }
}

/** An event with nothing but its own members, each in its own format. */
export function loggable(event: LogEvent): Readonly<Record<string, Loggable>> {
  const formats: [string, Format][] = Object.entries(shapes[event.event].members)
  const members = formats.flatMap(([name, format]): [string, Loggable][] => {
    const told = format((event as unknown as Record<string, unknown>)[name])
    return told === undefined ? [] : [[name, told]]
  })
  return { event: event.event, ...Object.fromEntries(members) }
}

const linesOf = (sink: { write(line: string): void }) => ({ write: (line: string) => sink.write(line) })

/** Written at once: what was logged before a crash is there after it. */
function fileLines(path: string, onLost: (message: string) => void) {
  let file: number | undefined = opened(path)
  const close = () => {
    if (file !== undefined) closeSync(file)
    file = undefined
  }
  const write = (line: string) => {
    try {
      if (file !== undefined) writeFileSync(file, line)
    } catch (error) {
      close()
      onLost(`the log ends here: ${path} cannot be written (${(error as NodeJS.ErrnoException).code})`)
    }
  }
  return { write, close }
}

function opened(path: string): number {
  try {
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw new InputError(
      `--log: ${path} cannot be written (${(error as NodeJS.ErrnoException).code}); name a file in a folder that is there`,
    )
  }
}
