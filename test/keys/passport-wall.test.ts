import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { findSecrets } from '#agent-core/contracts/find-secrets.ts'
import type { KeyHandle } from '#agent-core/ports.ts'
import { alice, pin, provisionedBefore, rsa2048, type User, wish } from './passport-user.ts'

const data = Buffer.from('to be signed')
const wrongPin = '000000-mallory'
const pins = [pin, wrongPin]

for (const medium of ['memory', 'folder']) {
  t.test(`nothing gives out a PIN or a private key: ${medium}`, async (t) => {
    const folder = t.testdir()
    const user = medium === 'memory' ? alice({ pin }) : await provisionedBefore(folder)
    const key = await user.passport.generate(rsa2048, 'k1')
    const opened = (await user.passport.open('k1')) as KeyHandle
    const errors = await everyError(user, key)
    t.ok(errors.length >= 9, 'there were errors to look at')
    for (const [name, value] of Object.entries({ provider: user.passport, handle: key, opened })) {
      t.same(findSecrets(value, key.publicKey), [], `${name}, member by member`)
      t.same(leaksIn(shown(value), key), [], `inspect(${name})`)
    }
    t.same(
      errors.flatMap((error) => leaksIn(shown(error), key)),
      [],
      'errors',
    )
    t.same(leaksIn(shown(user.prompts), key), [], 'prompts')
    t.same(leaksIn(shown(await answersOf(user)), key), [], 'answers')
    for (const file of readdirSync(folder)) t.same(leaksIn(readFileSync(join(folder, file)), key), [], file)
    t.equal(readdirSync(folder).length, medium === 'memory' ? 0 : 3)
  })
}

t.test('the search finds what is planted', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const key = { publicKey: publicKey.export({ format: 'der', type: 'spki' }) }
  const planted: [string, Uint8Array | string][] = [
    ['the PIN', shown({ message: `wrong PIN ${pin}` })],
    ['the PIN in hex', shown({ pin: Buffer.from(pin).toString('hex') })],
    ['the PIN in base64', shown({ pin: Buffer.from(pin).toString('base64') })],
    ['the PIN as octets', Buffer.concat([data, Buffer.from(pin)])],
    ['a PIN in a hidden member', shown(Object.defineProperty({}, 'pin', { value: pin }))],
    ['a PIN in the cause of an error', shown(new Error('refused', { cause: { pin } }))],
    ['PKCS#8', pkcs8],
    ['PKCS#8 in hex', shown({ key: pkcs8.toString('hex') })],
    ['PKCS#8 in base64', shown({ key: pkcs8.toString('base64') })],
    ['PKCS#8 as octets of a member', shown({ key: pkcs8 })],
    ['PEM', privateKey.export({ format: 'pem', type: 'pkcs8' }) as string],
    ['JWK', shown(privateKey.export({ format: 'jwk' }))],
  ]
  for (const [name, where] of planted) t.not(leaksIn(where, key).length, 0, name)
  t.same(leaksIn(key.publicKey, key), [], 'and nothing in a public key')
})

/** What can go wrong with a container, gone wrong. */
async function everyError(user: User, key: KeyHandle): Promise<unknown[]> {
  const { passport, next } = user
  const errors: unknown[] = []
  const tell = (error: unknown) => errors.push(error)
  await passport.setPin(pin).catch(tell)
  await passport.resetPin('12345', pin).catch(tell)
  await passport.resetPin(`${pin}-2`, wrongPin).catch(tell)
  await key.sign(data, 'sha512').catch(tell)
  await passport.generate(rsa2048, 'k1').catch(tell)
  await passport.generate({ algorithm: 'rsa', bits: 4096 }, pin).catch(tell)
  passport.lock()
  next.push('cancelled')
  await key.sign(data, 'sha256').catch(tell)
  next.push(...Array(3).fill({ pin: wrongPin }))
  for (let i = 0; i < 4; i++) await key.sign(data, 'sha256').catch(tell)
  await alice({ pin: pin.slice(0, 5) })
    .passport.generate(rsa2048, 'k1')
    .catch(tell)
  await user.clock.advance(60_000)
  await key.sign(data, 'sha256')
  return errors
}

async function answersOf({ passport }: User): Promise<unknown[]> {
  const asked = [passport.readiness(wish), passport.readiness({ ...wish, hash: 'sha1' }), passport.list(), passport.provisioning()]
  return Promise.all([...asked, passport.proveMultiFactor(), passport.lock()])
}

function shown(value: unknown): string {
  const everything = { showHidden: true, depth: 10, getters: true, maxArrayLength: null, maxStringLength: null, breakLength: Infinity }
  return `${inspect(value, everything)}\n${JSON.stringify(value)}\n${octetsIn(value)}`
}

/** Octets that `inspect` cuts short, in hex. */
function octetsIn(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value !== 'object' || value === null) return ''
  return Reflect.ownKeys(value)
    .map((name) => octetsIn(Reflect.get(value, name)))
    .join('\n')
}

/** PINs, and 128 octets that divide the modulus: one of its primes, in whatever form it is held. */
function leaksIn(where: Uint8Array | string, { publicKey }: Pick<KeyHandle, 'publicKey'>): string[] {
  const text = Buffer.from(where).toString('latin1')
  const pinForms = pins.flatMap((secret) => (['latin1', 'hex', 'base64'] as const).map((form) => Buffer.from(secret).toString(form)))
  const found = pinForms.filter((form) => text.includes(form.replace(/=+$/, '')))
  const { n } = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' })
  const modulus = BigInt(`0x${Buffer.from(n as string, 'base64url').toString('hex')}`)
  return [...found, ...readings(text).flatMap((octets) => (holdsPrimeOf(modulus, octets) ? ['a prime'] : []))]
}

/** As octets, and every long run of hex or base64 in it decoded. */
function readings(text: string): Buffer[] {
  const runs = (pattern: RegExp, form: 'hex' | 'base64') => [...text.matchAll(pattern)].map(([run]) => Buffer.from(run, form))
  const joined = text.replace(/\r?\n/g, '')
  const pem = [...joined.matchAll(/[\w+/-]{170,}/g)].map(([run]) => Buffer.from(run, 'base64'))
  return [Buffer.from(text, 'latin1'), ...runs(/[0-9a-f]{256,}/gi, 'hex'), ...runs(/[\w+/-]{170,}/g, 'base64'), ...pem]
}

function holdsPrimeOf(modulus: bigint, octets: Buffer): boolean {
  for (let at = 0; at + 128 <= octets.length; at++) {
    const candidate = BigInt(`0x${octets.subarray(at, at + 128).toString('hex')}`)
    if (candidate > 1n && modulus % candidate === 0n) return true
  }
  return false
}
