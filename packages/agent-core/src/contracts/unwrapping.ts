import { deepEqual, equal, fail, notDeepEqual, ok } from 'node:assert/strict'
import { constants, publicEncrypt, randomBytes } from 'node:crypto'
import type { KeyHandle, UnwrapPadding } from '../ports.ts'
import { type Bench, type BenchCheck, firstLabel, secondLabel } from './bench.ts'
import { forge, forgeries } from './forgeries.ts'
import { failsWith, hashOf, publicKeyOf, signsWith, wrapFor } from './verdicts.ts'

const lengthsBytes = [16, 24, 32]

/** RFC 8017 7.2 and 7.1, with the implicit rejection that ports.ts asks for. */
export const unwrappingChecks = (unwraps: boolean): readonly BenchCheck[] =>
  unwraps
    ? [
        ...lengthsBytes.map(roundTrip),
        ['it unwraps and signs many things at once', manyAtOnce],
        ...forgeries.map(
          ({ name }): BenchCheck => [`PKCS#1 v1.5, ${name}: octets of that length, the same again, never an error`, rejects(name)],
        ),
        ['PKCS#1 v1.5, a key of another length: octets of the length that was asked for, and not those of the key', rejectsLengths],
        ['what it gives for bad ciphertexts differs by ciphertext and by key', differs],
        ...(['oaep-sha1', 'oaep-sha256'] as const).map(oaep),
      ]
    : [
        [
          'a key that cannot unwrap has no unwrapKey',
          async (bench) => {
            equal((await bench.key(firstLabel)).unwrapKey, undefined)
          },
        ],
      ]

const roundTrip = (lengthBytes: number): BenchCheck => [
  `it unwraps a key of ${lengthBytes} bytes, PKCS#1 v1.5`,
  async (bench) => {
    const key = await bench.key(firstLabel)
    const cek = randomBytes(lengthBytes)
    deepEqual(await unwrapped(key, wrapFor(key, cek), lengthBytes), cek)
  },
]

async function manyAtOnce(bench: Bench): Promise<void> {
  const key = await bench.key(firstLabel)
  const keys = Array.from({ length: 8 }, () => randomBytes(32))
  const unwrapping = Promise.all(keys.map((each) => unwrapped(key, wrapFor(key, each), 32)))
  const signing = keys.map((each) => signsWith(key, each, hashOf(key), 'beside keys that are unwrapped'))
  const [given] = await Promise.all([unwrapping, ...signing])
  deepEqual(given, keys)
}

const rejects = (name: string) => async (bench: Bench) => {
  const key = await bench.key(firstLabel)
  const forged = forge(name, publicKeyOf(key), randomBytes(32))
  const substitute = await unwrapped(key, forged.wrapped, 32)
  looksRandom(substitute, 32)
  notDeepEqual(substitute, forged.tail, 'what it decrypted came out')
  deepEqual(await unwrapped(key, forged.wrapped, 32), substitute, 'other octets for the same ciphertext')
}

async function rejectsLengths(bench: Bench): Promise<void> {
  const key = await bench.key(firstLabel)
  for (const [wrappedBytes, askedBytes] of [
    [16, 32],
    [32, 16],
    [24, 16],
    [31, 32],
    [33, 32],
  ] as const) {
    const cek = randomBytes(wrappedBytes)
    const wrapped = wrapFor(key, cek)
    const substitute = await unwrapped(key, wrapped, askedBytes)
    looksRandom(substitute, askedBytes)
    ok(
      !substitute.includes(cek.subarray(0, 8)) && !substitute.includes(cek.subarray(-8)),
      `${wrappedBytes} for ${askedBytes}: the key came out`,
    )
    deepEqual(await unwrapped(key, wrapped, askedBytes), substitute, 'other octets for the same ciphertext')
  }
}

async function differs(bench: Bench): Promise<void> {
  const [first, second] = [await bench.key(firstLabel), await bench.key(secondLabel)]
  const ciphertexts = forgeries.map(({ name }) => forge(name, publicKeyOf(first), randomBytes(32)).wrapped)
  const given = new Set<string>()
  for (const wrapped of ciphertexts) given.add((await unwrapped(first, wrapped, 32)).toString('hex'))
  equal(given.size, ciphertexts.length, 'two ciphertexts, the same octets')
  const zero = new Uint8Array(ciphertexts[0]?.length ?? 0)
  notDeepEqual(await unwrapped(second, zero, 32), await unwrapped(first, zero, 32), 'two keys, the same octets')
}

const oaep = (padding: Exclude<UnwrapPadding, 'pkcs1'>): BenchCheck => [
  `${padding} unwraps, and fails in one way for every cause; or is refused with ERR_UNSUPPORTED`,
  async (bench) => {
    const key = await bench.key(firstLabel)
    const cek = randomBytes(32)
    const oaepHash = padding === 'oaep-sha1' ? 'sha1' : 'sha256'
    const wrapped = publicEncrypt({ key: publicKeyOf(key), padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, cek)
    const first = unwrapped(key, wrapped, 32, padding)
    if ((await first.catch((error: { code?: string }) => error.code)) === 'ERR_UNSUPPORTED')
      return void (await failsWith('ERR_UNSUPPORTED', first, padding))
    deepEqual(await first, cek)
    const length = await failsWith(undefined, unwrapped(key, wrapped, 16, padding), 'another length')
    const garbled = await failsWith(undefined, unwrapped(key, wrapFor(key, cek), 32, padding), 'another padding')
    deepEqual([garbled.code, garbled.message], [length.code, length.message], 'the cause can be told')
  },
]

/** Four values or fewer in 16 random octets: about once in 2^60 runs. */
function looksRandom(octets: Buffer, lengthBytes: number): void {
  equal(octets.length, lengthBytes, 'octets of the length that was asked for')
  ok(new Set(octets).size > lengthBytes / 4, `${octets.toString('hex')} does not look random`)
}

async function unwrapped(key: KeyHandle, wrapped: Uint8Array, lengthBytes: number, padding: UnwrapPadding = 'pkcs1'): Promise<Buffer> {
  if (!key.unwrapKey) fail('the key has no unwrapKey; where keys cannot unwrap, run the checks with { unwraps: false }')
  const octets = await key.unwrapKey(wrapped, { padding, lengthBytes })
  ok(octets instanceof Uint8Array, 'the key is a Uint8Array')
  return Buffer.from(octets)
}
