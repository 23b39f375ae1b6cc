import { AgentError } from '@certfleet/agent-core'

/** How far a mutant came. */
export const depths = ['outerParse', 'parsed', 'signatureGood', 'attributesRead', 'decrypted', 'certificateJudged'] as const
export type Depth = (typeof depths)[number]

export type ProblemKind = 'crash' | 'slow' | 'hang' | 'forgery'

export interface Problem {
  readonly kind: ProblemKind
  /** The function that was called. */
  readonly entry: string
  readonly detail: string
}

const slowMs = 250
const hangMs = 1000

/** Calls parse entries with one mutant: each gives a value or an `AgentError`, and soon. Anything else is noted. */
export class Probe {
  readonly reached = new Set<Depth>()
  readonly problems: Problem[] = []

  /** The value, or undefined where there was an error. */
  call<T>(entry: string, work: () => T): T | undefined {
    const start = performance.now()
    try {
      return work()
    } catch (error) {
      this.#note(entry, error)
      return undefined
    } finally {
      if (performance.now() - start > slowMs) this.#judgeSpeed(entry, performance.now() - start, [elapsed(work), elapsed(work)])
    }
  }

  async callAsync<T>(entry: string, work: () => Promise<T>): Promise<T | undefined> {
    const start = performance.now()
    try {
      return await work()
    } catch (error) {
      this.#note(entry, error)
      return undefined
    } finally {
      if (performance.now() - start > slowMs)
        this.#judgeSpeed(entry, performance.now() - start, [await elapsedAsync(work), await elapsedAsync(work)])
    }
  }

  reach(depth: Depth): void {
    this.reached.add(depth)
  }

  forged(entry: string, detail: string): void {
    this.problems.push({ kind: 'forgery', entry, detail })
  }

  #note(entry: string, error: unknown): void {
    if (error instanceof AgentError) return
    this.problems.push({ kind: 'crash', entry, detail: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }

  /** A busy machine makes anything slow once; three times in a row it is the mutant. */
  #judgeSpeed(entry: string, firstMs: number, againMs: readonly number[]): void {
    const fastestMs = Math.min(firstMs, ...againMs)
    if (fastestMs > slowMs) this.problems.push({ kind: fastestMs > hangMs ? 'hang' : 'slow', entry, detail: `${Math.round(fastestMs)} ms` })
  }
}

function elapsed(work: () => unknown): number {
  const start = performance.now()
  try {
    work()
  } catch {
    // Its error is noted already; here only its time counts.
  }
  return performance.now() - start
}

async function elapsedAsync(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work().catch(() => undefined)
  return performance.now() - start
}
