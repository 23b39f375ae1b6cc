import { createHash } from 'node:crypto'
import type { Clock, Jitter } from './ports.ts'

/** Below the 2^31-1 ms above which a Node timer fires at once. */
const longestTimerMs = 2 ** 30

/**
 * The machine's clock. A sleep keeps the process alive until it ends or is aborted; it counts time as the machine's
 * timers do, so a step of the wall clock neither shortens nor lengthens it.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const callOff = systemAlarm(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      const onAbort = () => {
        callOff()
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  },
  alarm: systemAlarm,
}

/** Milliseconds, with fractions, since a moment that is the same for the whole process; it never goes back. For lengths, not for moments. */
export const stopwatchMs = (): number => performance.now()

function systemAlarm(ms: number, ring: () => void): () => void {
  if (ms <= longestTimerMs) {
    const timer = setTimeout(ring, ms)
    return () => clearTimeout(timer)
  }
  let callOff = systemAlarm(longestTimerMs, () => {
    callOff = systemAlarm(ms - longestTimerMs, ring)
  })
  return () => callOff()
}

/** Chance for one machine. Whole milliseconds where the bounds are whole. */
export const systemJitter: Jitter = jitterFrom(() => Math.random())

/** Chance that can be replayed: the same seed gives the same numbers in the same order, on every machine. */
export function seededJitter(seed: string): Jitter {
  return jitterFrom(xoshiro128(createHash('sha256').update(seed).digest()))
}

/** `random` is uniform in [0, 1). */
function jitterFrom(random: () => number): Jitter {
  return {
    between: (minMs, maxMs) => Math.min(maxMs, minMs + Math.floor(random() * (maxMs - minMs + 1))),
  }
}

/** xoshiro128++ 1.0 (Blackman and Vigna), 32 bits a draw, seeded with the first 16 bytes. */
function xoshiro128(seed: Buffer): () => number {
  let a = seed.readUInt32LE(0)
  let b = seed.readUInt32LE(4)
  let c = seed.readUInt32LE(8)
  let d = seed.readUInt32LE(12)
  return () => {
    const result = (rotateLeft((a + d) | 0, 7) + a) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotateLeft(d, 11)
    return result / 2 ** 32
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
