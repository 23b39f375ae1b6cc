import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { inverseModulo } from '#emulator/keys/inverse.ts'
import { pairOrder } from '#emulator/keys/pair-order.ts'
import { keysFor, makePrimes, primesFor } from '#emulator/keys/primes.ts'
import { isRsaFactor, rsaKeyOf, rsaPrime } from '#emulator/keys/rsa-key.ts'
import { endsAs, run } from '../tooling/process.ts'
import { type GenerateRsaPair, primePairs, testPrimes } from './prime-pairs.ts'

const primes = testPrimes()
const factors = primes.map(rsaPrime)
const keyOf = (one: number, other: number) => rsaKeyOf(factors[one] as never, factors[other] as never)

t.test('an inverse is what it says, at any size', async (t) => {
  for (const modulus of [2n, 7n, 65537n, 2n ** 31n - 1n, 2n ** 61n - 1n, 2n ** 521n - 1n, primes[0] as bigint]) {
    const values = [1n, 2n, modulus - 1n, modulus + 1n, modulus >> 1n, primes[1] as bigint, 2n ** 1023n + 1n].filter(
      (value) => value % modulus !== 0n,
    )
    const wrong = values.filter((value) => (inverseModulo(value, modulus) * value) % modulus !== 1n % modulus)
    t.strictSame(wrong, [], `modulo ${modulus.toString(16).slice(0, 16)}`)
  }
  for (let value = 1n; value < 1009n; value++) {
    if ((inverseModulo(value, 1009n) * value) % 1009n !== 1n) t.fail(`${value} modulo 1009`)
  }
  for (const prime of primes.slice(2)) {
    const inverse = inverseModulo(primes[1] as bigint, prime)
    t.ok(inverse > 0n && inverse < prime && (inverse * (primes[1] as bigint)) % prime === 1n, 'of two primes')
  }
  t.throws(() => inverseModulo(6n, 9n), RangeError, 'not coprime')
  t.throws(() => inverseModulo(18n, 9n), RangeError, 'a multiple')
})

t.test('the members of a key fit one another', async (t) => {
  const jwk = keyOf(3, 5).export({ format: 'jwk' })
  const number = (name: 'n' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qi') =>
    BigInt(`0x${Buffer.from(jwk[name] ?? '', 'base64url').toString('hex')}`)
  const [n, d, p, q] = [number('n'), number('d'), number('p'), number('q')]
  t.equal(n, p * q)
  t.ok(p > q, 'the larger prime first')
  t.equal(n >> 2047n, 1n, 'of 2048 bits')
  t.ok(d > 1n && d < n, 'RFC 8017 3.2: d is below n')
  t.equal((d * 65537n) % (p - 1n), 1n)
  t.equal((d * 65537n) % (q - 1n), 1n)
  t.equal(number('dp'), d % (p - 1n))
  t.equal(number('dq'), d % (q - 1n))
  t.equal((number('qi') * q) % p, 1n)
  t.equal(jwk.e, 'AQAB')
})

t.test('OpenSSL finds nothing wrong with the keys', async (t) => {
  const small = (await makePrimes(512, 4)).map(rsaPrime)
  const keys: [string, KeyObject][] = [
    ['RSA-2048', keyOf(0, 1)],
    ['RSA-2048, the other way round', keyOf(1, 0)],
    ['RSA-2048, the last pair', keyOf(62, 63)],
    ['RSA-1024', rsaKeyOf(small[0] as never, small[1] as never)],
  ]
  const folder = t.testdir({})
  for (const [name, key] of keys) {
    for (const type of ['pkcs1', 'pkcs8'] as const) {
      const file = join(folder, 'key.pem')
      await writeFile(file, key.export({ format: 'pem', type }))
      t.comment(`${name}, ${type}`)
      endsAs(t, await run('openssl', ['rsa', '-check', '-noout', '-in', file]), { exitCode: 0, output: /RSA key ok/ })
    }
  }
})

t.test('a key works as any other, its DER too', async (t) => {
  const made = keyOf(7, 8)
  const read = createPrivateKey({ key: made.export({ format: 'der', type: 'pkcs8' }), format: 'der', type: 'pkcs8' })
  const data = Buffer.from('to be signed')
  for (const key of [made, read]) {
    t.equal(key.asymmetricKeyDetails?.modulusLength, 2048)
    t.equal(key.asymmetricKeyDetails?.publicExponent, 65537n)
    const publicKey = createPublicKey(key)
    t.ok(verify('sha256', data, publicKey, sign('sha256', data, key)))
    t.strictSame(privateDecrypt(key, publicEncrypt(publicKey, data)), data)
  }
})

t.test('a prime is refused that makes no key of the right size, or none at all', async (t) => {
  const prime = primes[0] as bigint
  const rows: [string, bigint, boolean][] = [
    ['a prime of the pool', prime, true],
    ['the smallest with both bits', (3n << 1022n) | 1n, true],
    ['one below it', (3n << 1022n) - 1n, false],
    ['the largest', (1n << 1024n) - 1n, true],
    ['one bit more', (1n << 1024n) + 1n, false],
    ['even', prime - 1n, false],
    ['1 modulo 65537', prime - ((prime - 1n) % 65537n) + (prime % 2n === (prime - ((prime - 1n) % 65537n)) % 2n ? 0n : 65537n), false],
  ]
  for (const [name, value, expected] of rows) t.equal(isRsaFactor(value, 1024), expected, name)
})

t.test('primes are made once each, counted as they come, until the signal says no', async (t) => {
  const counted: [number, number][] = []
  const made = await makePrimes(128, 9, { onProgress: (...progress) => counted.push(progress) })
  t.equal(new Set(made).size, 9)
  t.ok(made.every((prime) => isRsaFactor(prime, 128)))
  t.strictSame(
    counted,
    Array.from({ length: 9 }, (_, i) => [i + 1, 9]),
  )
  const stop = new AbortController()
  const stopped = makePrimes(128, 9, { signal: stop.signal, onProgress: (count) => count === 3 && stop.abort(new Error('enough')) })
  await t.rejects(stopped, { message: 'enough' })
})

t.test('how many primes a fleet needs', async (t) => {
  const rows: [keys: number, primes: number][] = [
    [0, 400],
    [79_800, 400],
    [79_801, 401],
    [5_000 * 13 * 2, 511],
    [130_305, 511],
    [130_306, 512],
    [49_995_000, 10_000],
  ]
  for (const [keys, expected] of rows) t.equal(primesFor(keys), expected, `${keys} keys`)
  t.throws(() => primesFor(49_995_001), { code: 'ERR_LIMIT_EXCEEDED' })
})

t.test('every pair comes once, in an order of the seed', async (t) => {
  for (const count of [2, 3, 4, 5, 20, 400, 512]) {
    const pairAt = pairOrder(count, 'seed')
    const met = new Set<number>()
    for (let position = 0; position < keysFor(count); position++) {
      const [low, high] = pairAt(position)
      if (low >= 0 && low < high && high < count) met.add(high * count + low)
    }
    t.equal(met.size, keysFor(count), `${count} primes`)
  }
  const orderOf = (seed: string, count = 400) => Array.from({ length: 20 }, (_, position) => pairOrder(count, seed)(position))
  t.strictSame(orderOf('one'), orderOf('one'))
  t.notSame(orderOf('one'), orderOf('other'))
  t.equal(new Set(orderOf('one', 10_000).map(String)).size, 20)
})

t.test('a generator of pairs in place of that of node:crypto', async (t) => {
  const generatePair: GenerateRsaPair = promisify(generateKeyPair)
  t.equal(typeof generatePair, 'function', 'one type fits both')
  const [first, second] = [primePairs('seed'), primePairs('seed')]
  const made = [await first('rsa', { modulusLength: 2048 }), await first('rsa', { modulusLength: 2048 })] as const
  t.ok((await second('rsa', { modulusLength: 2048 })).privateKey.equals(made[0].privateKey), 'the same seed')
  t.notOk(made[1].privateKey.equals(made[0].privateKey))
  const data = Buffer.from('data')
  t.ok(verify('sha256', data, made[1].publicKey, sign('sha256', data, made[1].privateKey)))
  await t.rejects(first('rsa', { modulusLength: 1024 }), { message: /RSA-1024/ })
})
