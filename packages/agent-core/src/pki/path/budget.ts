/** What one validation may cost; hostile inputs end here instead of keeping the process busy. */
const limits = { signatures: 256, candidates: 4096, comparisons: 1 << 18 } as const

/** A path has at most so many certificates, leaf and root included. */
export const maxPathLength = 24

/** Counts the work of one validation. Each `spend…` is false once its allowance is gone. */
export class WorkBudget {
  #signatures = limits.signatures
  #candidates = limits.candidates
  #comparisons = limits.comparisons

  spendSignature(): boolean {
    return --this.#signatures >= 0
  }

  spendCandidate(): boolean {
    return --this.#candidates >= 0
  }

  spendComparisons(count: number): boolean {
    this.#comparisons -= count
    return this.#comparisons >= 0
  }
}
