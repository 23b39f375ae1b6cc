import type { LabOptions } from '@certfleet/emulator/lab'
import { validationFacts } from '@certfleet/platforms'
import t from 'tap'
import { challengeSeal } from '#emulator/lab/challenge-seal.ts'
import { type ValidationCode, validationCodes } from '#emulator/lab/validation.ts'
import { testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import {
  type Asked,
  challengeFor,
  csrFor,
  enroll,
  enrolled,
  exchange,
  messageFor,
  policyWith,
  register,
  sendMessage,
  start,
  startLab,
  type TestLab,
  wifi,
} from './surroundings.ts'
import { codeOf, validationApi } from './third-party.ts'

interface World extends TestLab {
  readonly users: Map<string, string>
  readonly registered: Map<string, readonly string[]>
  /** Of device-1, for its attempt-1. */
  readonly challenge: () => Promise<string>
  /** The same lab after a restart, other options given. */
  readonly reopen: (options: Partial<LabOptions>) => Promise<World>
}

async function world(options: Partial<LabOptions> = {}): Promise<World> {
  const users = new Map([['device-1', 'ada']])
  const registered = new Map<string, readonly string[]>()
  const userFor = (deviceId: string) => users.get(deviceId)
  const registeredKeysFor = (deviceId: string) => registered.get(deviceId)
  const test = await startLab({ validationApi, userFor, registeredKeysFor, ...options })
  test.policies.set('device-1', policyWith({ ...wifi, principal: 'user' }))
  const challenge = async () => challengeFor(test.lab, await register(test.lab))
  return { ...test, users, registered, challenge, reopen: (other) => world({ store: test.store, ...other }) }
}

type Provoked = Partial<Asked> & { readonly world?: World }
type Row = readonly [code: ValidationCode, cause: string, provoke: (world: World) => Promise<Provoked>]

const flipped = (base64: string, at: number) => {
  const bytes = Buffer.from(base64, 'base64')
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  return bytes.toString('base64')
}

/** What the request is, with a challenge that is good. */
const asking = (asked: Partial<Asked>) => async (world: World) => ({ challenge: await world.challenge(), ...asked })

const rows: readonly Row[] = [
  ['ChallengePasswordMissing', 'a request without a challenge', async () => ({ challenge: undefined })],
  ['ChallengeDecodingError', 'a challenge that is not base64', async () => ({ challenge: 'Sesame, open!' })],
  ['ChallengeDecodingError', 'a challenge too short to be signed', async () => ({ challenge: 'AAAA' })],
  ['SignatureValidationFailed', 'a challenge altered in one bit', async (w) => ({ challenge: flipped(await w.challenge(), 20) })],
  [
    'SignatureValidationFailed',
    'a challenge of another lab',
    async (w) => {
      const { binding } = { binding: { deviceId: 'device-1', profileId: 'wifi', attemptId: 'attempt-1' } }
      await w.challenge()
      return { challenge: challengeSeal(new Uint8Array(32), 0).seal({ id: 'x', binding, expected: [wifi], madeAt: start }) }
    },
  ],
  [
    'ChallengeDecryptionError',
    'a challenge encrypted under the key before',
    async (w) => ({ challenge: await w.challenge(), world: await w.reopen({ challengeKeyGeneration: 1 }) }),
  ],
  [
    'ChallengeDeserializationError',
    'a challenge by a lab of another version',
    async (w) => {
      const seal = challengeSeal(w.store.get('authority', 'lab')?.secret as Uint8Array, 0)
      const contents = seal.open(await w.challenge())
      return { challenge: seal.seal({ ...(contents as object), version: 2 } as never) }
    },
  ],
  [
    'ChallengeInvalidTimestamp',
    'a challenge of one millisecond ahead',
    async (w) => ({ challenge: await w.challenge(), world: await w.reopen({ clock: new FakeClock(start - 1) }) }),
  ],
  [
    'ChallengeExpired',
    'a challenge of 60 minutes ago',
    async (w) => {
      const challenge = await w.challenge()
      await w.clock.advance(60 * 60_000)
      return { challenge }
    },
  ],
  ['SubjectNameMissing', 'a request for nobody', asking({ subject: '' })],
  ['SubjectNameMismatch', 'a request for another subject', asking({ subject: 'CN=device-2,O=Example' })],
  ['SubjectAltNameMissing', 'a request without alternative names', asking({ subjectAltNames: [] })],
  [
    'SubjectAltNameMismatch',
    'a request for the names of another user',
    asking({ subjectAltNames: [{ type: 'upn', value: 'eve@example' }] }),
  ],
  ['KeyUsageMismatch', 'a request for another key usage', asking({ keyUsages: ['digitalSignature', 'nonRepudiation'] })],
  ['EnhancedKeyUsageMissing', 'a request for no purpose', asking({ extendedKeyUsages: [] })],
  ['EnhancedKeyUsageMismatch', 'a request for server authentication', asking({ extendedKeyUsages: ['1.3.6.1.5.5.7.3.1'] })],
  [
    'KeyLengthMismatch',
    'a key of 2048 bits where 4096 are asked for',
    async (w) => {
      w.policies.set('device-1', policyWith({ ...wifi, keyBits: 4096 }))
      return { challenge: await w.challenge() }
    },
  ],
  [
    'AadKeyIdentifierListMissing',
    'a registered key is asked for, and none is registered',
    async (w) => {
      w.registered.set('device-1', [])
      return { challenge: await w.challenge() }
    },
  ],
  [
    'RegisteredKeyMismatch',
    'a key that is not the registered one',
    async (w) => {
      w.registered.set('device-1', ['00'.repeat(32)])
      return { challenge: await w.challenge() }
    },
  ],
  [
    'ScepProfileNoLongerTargetedToTheClient',
    'the profile was taken from the device meanwhile',
    async (w) => {
      const challenge = await w.challenge()
      w.policies.set('device-1', policyWith())
      return { challenge }
    },
  ],
  [
    'BadDeviceIdInChallenge',
    'the device was removed meanwhile',
    async (w) => {
      const challenge = await w.challenge()
      await w.store.transaction((tx) => tx.remove('registrations', 'device-1'))
      return { challenge }
    },
  ],
  [
    'BadUserIdInChallenge',
    'the device was given to another user meanwhile',
    async (w) => {
      const challenge = await w.challenge()
      w.users.set('device-1', 'eve')
      return { challenge }
    },
  ],
  [
    'BadUserIdInChallenge',
    'the device has no user any more',
    async (w) => {
      const challenge = await w.challenge()
      w.users.delete('device-1')
      return { challenge }
    },
  ],
  [
    'BadCertificateRequestIdInChallenge',
    'the challenge was redeemed by another key',
    async (w) => {
      const challenge = await w.challenge()
      await enrolled(w.lab, { key: await testKey('b'), challenge })
      return { challenge }
    },
  ],
]

for (const [code, cause, provoke] of rows) {
  t.test(`${cause}: ${code} to the authenticated API, badRequest to the device`, async (t) => {
    const key = await testKey('a')
    const before = await world()
    const { world: after = before, ...asked } = await provoke(before)
    const { lab } = after
    t.equal(await codeOf(lab, await csrFor({ key, ...asked })), code)
    t.match(lab.audit().at(-1), { event: 'refused', code })
    t.equal(await enroll(lab, { key, ...asked }), 'badRequest')
    t.match(lab.audit().at(-1), { event: 'refused', failInfo: 'badRequest', code })
    t.notOk([...lab.issued()].some(({ transactionId }) => transactionId === 'T1'))
    t.same([...(lab.validationApi?.enrollments() ?? [])], [], 'and nothing was let through')
  })
}

const others: ValidationCode[] = ['CertificateRequestDecodingFailed', 'SigningCertThumbprintMismatch']

t.test('CertificateRequestDecodingFailed: a request that its key has not signed, and one that is none', async (t) => {
  const { lab, challenge } = await world()
  const key = await testKey('a')
  const csr = Buffer.from(await csrFor({ key, challenge: await challenge() }))
  csr.writeUInt8(csr.readUInt8(csr.length - 1) ^ 1, csr.length - 1)
  for (const content of [csr, Buffer.from('hello'), Buffer.alloc(0)]) {
    if (content.length > 0) t.equal(await codeOf(lab, content), 'CertificateRequestDecodingFailed')
    t.match(await exchange(lab, { key, content }), { status: 'failure' })
    t.match(lab.audit().at(-1), { event: 'refused', code: 'CertificateRequestDecodingFailed' })
  }
})

t.test('SigningCertThumbprintMismatch: a renewal signed by a certificate that has expired', async (t) => {
  const { lab, clock, challenge } = await world()
  const key = await testKey('a')
  const raw = await enrolled(lab, { key, challenge: await challenge() })
  const { parseCertificate } = await import('@certfleet/agent-core/pki')
  const signer = { certificate: parseCertificate(raw), key }
  const renewal = async () => {
    const content = await csrFor({ key: await testKey('b') })
    const { message, read } = await messageFor(lab, { key: await testKey('b'), content, messageType: 'RenewalReq', signer })
    return read((await sendMessage(lab, message)).body)
  }
  await clock.advance(366 * 86_400_000)
  t.same(await renewal(), { status: 'failure', failInfo: 'badRequest' })
  t.match(lab.audit().at(-1), { code: 'SigningCertThumbprintMismatch' })
})

t.test('BadDeviceIdInChallenge: a request signed by the certificate of another device', async (t) => {
  const { lab, policies } = await startLab()
  policies.set('device-2', { ...policyWith({ ...wifi, subject: 'CN=device-2' }), deviceId: 'device-2' })
  const [mine, theirs, fresh] = await Promise.all(['a', 'b', 'c'].map(testKey))
  if (!mine || !theirs || !fresh) throw new Error('three keys')
  const other = await challengeFor(lab, await register(lab, 'device-2'))
  const { parseCertificate } = await import('@certfleet/agent-core/pki')
  const raw = await enrolled(lab, { key: theirs, challenge: other, subject: 'CN=device-2' })
  const challenge = await challengeFor(lab, await register(lab))
  const signer = { certificate: parseCertificate(raw), key: theirs }
  t.equal(await enroll(lab, { key: fresh, challenge }, { signer }), 'badRequest')
  t.match(lab.audit().at(-1), { code: 'BadDeviceIdInChallenge', deviceId: 'device-1' })
  t.type(await enroll(lab, { key: mine, challenge }), Uint8Array)
})

t.test('validation.codes, challenge.checks: every failure code of the API is reached by a cause', async (t) => {
  t.equal(validationCodes.length, 23)
  for (const code of validationFacts.challengeChecks.value) t.ok(validationCodes.includes(code), code)
  t.same([...new Set([...rows.map(([code]) => code), ...others])].sort(), [...validationCodes].sort())
})

t.test('one key that is registered is as good as another', async (t) => {
  const { createHash } = await import('node:crypto')
  const w = await world()
  const key = await testKey('a')
  w.registered.set('device-1', ['00'.repeat(32), createHash('sha256').update(key.publicKey).digest('hex')])
  const challenge = await w.challenge()
  t.type(await enroll(w.lab, { key, challenge }), Uint8Array)
})
