import { type Clock, systemClock } from '@certfleet/agent-core'
import { type ExitCode, type Io, runCommandLine } from '@certfleet/emulator/commands'

export interface Outcome {
  readonly exitCode: ExitCode
  readonly stdout: string
  readonly stderr: string
}

export interface Terminal {
  readonly io: Io
  stdout(): string
  stderr(): string
  /** As Ctrl+C does. */
  interrupt(): void
  /** Resolves once stderr or stdout has a match. */
  seen(pattern: RegExp): Promise<void>
}

/** What a command has of its process, kept in memory. */
export function terminal({ env = {}, clock = systemClock }: { env?: Io['env']; clock?: Clock } = {}): Terminal {
  const text = { out: '', err: '' }
  const listeners = new Set<() => void>()
  const watchers = new Set<() => void>()
  const write = (stream: 'out' | 'err') => (piece: string) => {
    text[stream] += piece
    for (const watcher of watchers) watcher()
  }
  return {
    io: {
      out: write('out'),
      err: write('err'),
      errIsTerminal: false,
      env,
      clock,
      onInterrupt(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    stdout: () => text.out,
    stderr: () => text.err,
    interrupt: () => {
      for (const listener of listeners) listener()
    },
    seen: (pattern) =>
      new Promise((resolve) => {
        const look = () => {
          if (!pattern.test(text.out) && !pattern.test(text.err)) return
          watchers.delete(look)
          resolve()
        }
        watchers.add(look)
        look()
      }),
  }
}

/** Runs a command line to its end. */
export async function command(argv: readonly string[], env?: Io['env']): Promise<Outcome> {
  const { io, stdout, stderr } = terminal(env && { env })
  const exitCode = await runCommandLine(argv, io)
  return { exitCode, stdout: stdout(), stderr: stderr() }
}
