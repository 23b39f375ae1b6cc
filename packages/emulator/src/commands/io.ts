import type { Clock } from '@certfleet/agent-core'

/** All that a command has of the process it runs in. */
export interface Io {
  /** To stdout, as it stands. */
  out(text: string): void
  /** To stderr, as it stands. */
  err(text: string): void
  readonly errIsTerminal: boolean
  /** Of the terminal, now. */
  size?(): { readonly columns: number | undefined; readonly rows: number | undefined }
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** Asks the person at the terminal without showing what is typed. Absent where nobody is there. */
  readonly promptSecret?: Prompt
  /** The same for what may be seen. */
  readonly promptLine?: Prompt
  /** Calls back at SIGINT or SIGTERM, once; returns the function that stops listening. */
  onInterrupt(listener: () => void): () => void
}

/** One line; an empty one where the input ends. Rejects with the signal's reason when aborted. */
export type Prompt = (question: string, signal: AbortSignal) => Promise<string>

/**
 * 0 done; 1 ran, and the verdict is bad; 2 bad input or usage; 130 interrupted.
 */
export type ExitCode = 0 | 1 | 2 | 130

/** A signal that is aborted at SIGINT or SIGTERM; `release` stops listening. */
export function interruptSignal(io: Io): { readonly signal: AbortSignal; release(): void } {
  const abort = new AbortController()
  return { signal: abort.signal, release: io.onInterrupt(() => abort.abort(new Error('interrupted'))) }
}
