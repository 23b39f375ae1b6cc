import { hash as digest } from 'node:crypto'
import type { HashName } from '../types.ts'

/** What a derived key is for (RFC 7292 appendix B.3). */
export const Pkcs12Purpose = { Key: 1, Iv: 2, Mac: 3 } as const

export interface Pkcs12Derivation {
  readonly hash: HashName
  readonly purpose: (typeof Pkcs12Purpose)[keyof typeof Pkcs12Purpose]
  /** The BMPString notation. */
  readonly password: Uint8Array
  readonly salt: Uint8Array
  readonly iterations: number
  readonly lengthBytes: number
}

const digestBytes: Record<HashName, number> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 }
const blockBytes: Record<HashName, number> = { sha1: 64, sha256: 64, sha384: 128, sha512: 128 }

/** Digests after which others get their turn: about two milliseconds. */
const turnDigests = 2048

/** How often the derivation goes through its iterations: once for each digest of output. */
export function outputBlocks(hash: HashName, lengthBytes: number): number {
  return Math.ceil(lengthBytes / digestBytes[hash])
}

/** RFC 7292 appendix B.2, letters as there. For the caller to wipe. Long counts are worked off in turns, so that no timer waits. */
export async function derivePkcs12({ hash, purpose, password, salt, iterations, lengthBytes }: Pkcs12Derivation): Promise<Buffer> {
  const v = blockBytes[hash]
  const di = Buffer.concat([Buffer.alloc(v, purpose), filled(salt, v), filled(password, v)])
  const i = di.subarray(v)
  const out = Buffer.alloc(outputBlocks(hash, lengthBytes) * digestBytes[hash])
  for (let offset = 0; offset < out.length; offset += digestBytes[hash]) {
    const a = await iterated(hash, di, iterations)
    a.copy(out, offset)
    const b = filled(a, v)
    for (let block = 0; block < i.length; block += v) addPlusOne(i.subarray(block, block + v), b)
    a.fill(0)
    b.fill(0)
  }
  di.fill(0)
  out.fill(0, lengthBytes)
  return out.subarray(0, lengthBytes)
}

/** Copies of `bytes` up to a whole number of blocks; nothing stays nothing. */
function filled(bytes: Uint8Array, v: number): Buffer {
  return bytes.length === 0 ? Buffer.alloc(0) : Buffer.alloc(v * Math.ceil(bytes.length / v), bytes)
}

async function iterated(hash: HashName, input: Uint8Array, iterations: number): Promise<Buffer> {
  let a = digest(hash, input, 'buffer')
  for (let round = 1; round < iterations; round++) {
    const next = digest(hash, a, 'buffer')
    a.fill(0)
    a = next
    if (round % turnDigests === 0) await new Promise(setImmediate)
  }
  return a
}

/** Big-endian, modulo the size of the block. */
function addPlusOne(block: Uint8Array, b: Uint8Array): void {
  let carry = 1
  for (let at = block.length - 1; at >= 0; at--) {
    carry += (block[at] as number) + (b[at] as number)
    block[at] = carry & 0xff
    carry >>= 8
  }
}
