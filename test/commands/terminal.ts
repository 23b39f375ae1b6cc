import { type Clock, systemClock } from '@certfleet/agent-core'
import { type ExitCode, type Io, type Prompt, runCommandLine } from '@certfleet/emulator/commands'

export interface Outcome {
  readonly exitCode: ExitCode
  readonly stdout: string
  readonly stderr: string
  /** What was asked at the prompt. */
  readonly asked: readonly string[]
}

export interface Terminal {
  readonly io: Io
  stdout(): string
  stderr(): string
  /** As Ctrl+C does. */
  interrupt(): void
  /** What was asked at the prompt, in order. */
  asked(): readonly string[]
  /** Resolves once stderr, stdout or a question has a match. */
  seen(pattern: RegExp): Promise<void>
}

export interface TerminalOptions {
  readonly env?: Io['env']
  readonly clock?: Clock
  /** What somebody answers at the prompts, in order; then nothing more is answered. Absent: nobody is there. */
  readonly typed?: readonly string[]
}

/** What a command has of its process, kept in memory. */
export function terminal({ env = {}, clock = systemClock, typed }: TerminalOptions = {}): Terminal {
  const asked: string[] = []
  const prompt: Prompt = (question, signal) => {
    const answer = typed?.[asked.length]
    asked.push(question)
    for (const watcher of watchers) watcher()
    if (answer !== undefined) return Promise.resolve(answer)
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
  }
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
      ...(typed && { promptSecret: prompt, promptLine: prompt }),
      onInterrupt(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    stdout: () => text.out,
    stderr: () => text.err,
    asked: () => asked,
    interrupt: () => {
      for (const listener of listeners) listener()
    },
    seen: (pattern) =>
      new Promise((resolve) => {
        const look = () => {
          if (![text.out, text.err, asked.join('\n')].some((shown) => pattern.test(shown))) return
          watchers.delete(look)
          resolve()
        }
        watchers.add(look)
        look()
      }),
  }
}

/** Runs a command line to its end. */
export async function command(argv: readonly string[], env?: Io['env'], typed?: readonly string[]): Promise<Outcome> {
  const { io, stdout, stderr, asked } = terminal({ ...(env && { env }), ...(typed && { typed }) })
  const exitCode = await runCommandLine(argv, io)
  return { exitCode, stdout: stdout(), stderr: stderr(), asked: asked() }
}
