import { createPublicKey, type KeyPairKeyObjectResult } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pairedKeys } from '#emulator/keys/key-pool.ts'
import { keysFor } from '#emulator/keys/primes.ts'
import { rsaPrime } from '#emulator/keys/rsa-key.ts'
import { root } from '../tooling/root.ts'

/** 64 primes of 1024 bits, for tests alone: RSA-2048 keys of them are no secret. */
export function testPrimes(): readonly bigint[] {
  const lines = readFileSync(join(root, 'test/keys-emulation/primes-1024.txt'), 'utf8').trimEnd().split('\n')
  return lines.map((line) => BigInt(`0x${Buffer.from(line, 'base64url').toString('hex')}`))
}

/** `promisify(generateKeyPair)` of node:crypto, for RSA-2048. */
export type GenerateRsaPair = (type: 'rsa', options: { readonly modulusLength: number }) => Promise<KeyPairKeyObjectResult>

/**
 * 2016 different RSA-2048 keys, each in 0.1 ms instead of 100, for tests in which the making of a key is not what is tested.
 * The same seed gives the same keys in the same order.
 */
export function primePairs(seed: string): GenerateRsaPair {
  const primes = testPrimes()
  const pool = pairedKeys(primes.map(rsaPrime), seed)
  let next = 0
  return async (_type, { modulusLength }) => {
    if (modulusLength !== 2048) throw new Error(`the primes for tests make RSA-2048 keys, not RSA-${modulusLength}`)
    if (next === keysFor(primes.length)) throw new Error(`the ${next} keys for tests are used up`)
    const privateKey = pool.keyAt(next++)
    return { privateKey, publicKey: createPublicKey(privateKey) }
  }
}
