import { createHash } from 'node:crypto'

/** The 128 bits that a seed stands for: any text, and the same text the same bits on every machine. */
export type Seed = readonly [number, number, number, number]

export function seedOf(text: string): Seed {
  const digest = createHash('sha256').update(text).digest()
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)]
}

/** Chance that can be replayed: sfc32 (Chris Doty-Humphrey, PractRand), started from a seed and the index of a mutant. */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter: number

  constructor([a, b, c, d]: Seed, index: number) {
    this.#a = a ^ d
    this.#b = b ^ Math.floor(index / 2 ** 32)
    this.#c = c ^ index
    this.#counter = 1
    for (let i = 0; i < 12; i++) this.uint32()
  }

  uint32(): number {
    const result = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  /** 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor((this.uint32() / 2 ** 32) * bound)
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0
  }

  /** Small numbers often, large ones seldom: 1 to `limit`. */
  skewed(limit: number): number {
    return Math.min(limit, Math.floor(limit ** (this.uint32() / 2 ** 32)))
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.uint32()
    return bytes
  }
}
