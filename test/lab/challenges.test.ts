import { createHash, generateKeyPairSync } from 'node:crypto'
import { softwareKeyHandle } from '@certfleet/agent-core'
import {
  bitString,
  boolean,
  constructed,
  integer,
  nullValue,
  octetString,
  oid,
  printableString,
  sequence,
  setOf,
  Tag,
  tlv,
} from '@certfleet/agent-core/der'
import { formatName, nameDer, PurposeOid, parseCertificate } from '@certfleet/agent-core/pki'
import { challengeLifetimeMs, type Lab, lmdbLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { challengeSeal } from '#emulator/lab/challenge-seal.ts'
import { testKey } from '../fakes/certificates.ts'
import {
  type Asked,
  challengeFor,
  enroll,
  enrolled,
  exchange,
  jsonOf,
  opensslText,
  policyWith,
  post,
  register,
  start,
  startLab,
  wifi,
} from './surroundings.ts'

/** What a challenge says of a profile. */
const expectedOf = ({ subject, subjectAltNames, keyUsages, extendedKeyUsages, keyBits, validity }: typeof wifi) => ({
  subject,
  subjectAltNames: [...subjectAltNames],
  keyUsages: [...keyUsages],
  extendedKeyUsages: [...extendedKeyUsages],
  keyBits,
  validity,
})

const lastCode = (lab: Lab) => lab.audit().at(-1)?.code

t.test('a request that is not the expected one is badRequest, and only the audit knows why', async (t) => {
  const { lab } = await startLab()
  const key = await testKey('a')
  const credential = await register(lab)
  const names = wifi.subjectAltNames
  const rows: [string, Partial<Asked>, string][] = [
    ['another subject', { subject: 'CN=device-2,O=Example' }, 'SubjectNameMismatch'],
    ['the subject and more', { subject: 'CN=device-1,O=Example,OU=Admins' }, 'SubjectNameMismatch'],
    ['no subject', { subject: '' }, 'SubjectNameMissing'],
    ['an extra alternative name', { subjectAltNames: [...names, { type: 'upn', value: 'root@example' }] }, 'SubjectAltNameMismatch'],
    ['one alternative name too few', { subjectAltNames: names.slice(1) }, 'SubjectAltNameMismatch'],
    ['the same alternative name twice', { subjectAltNames: [...names, ...names.slice(1)] }, 'SubjectAltNameMismatch'],
    [
      'a name of another kind',
      { subjectAltNames: [{ type: 'email', value: 'device-1.example' }, ...names.slice(1)] },
      'SubjectAltNameMismatch',
    ],
    ['no alternative names', { subjectAltNames: [] }, 'SubjectAltNameMissing'],
    ['a key usage more', { keyUsages: ['digitalSignature', 'nonRepudiation', 'keyEncipherment'] }, 'KeyUsageMismatch'],
    ['a key usage less', { keyUsages: ['digitalSignature'] }, 'KeyUsageMismatch'],
    ['no key usage', { keyUsages: [] }, 'KeyUsageMismatch'],
    ['smart card logon', { extendedKeyUsages: [PurposeOid.ClientAuth, PurposeOid.SmartCardLogon] }, 'EnhancedKeyUsageMismatch'],
    ['any purpose', { extendedKeyUsages: [PurposeOid.Any] }, 'EnhancedKeyUsageMismatch'],
    ['no purpose', { extendedKeyUsages: [] }, 'EnhancedKeyUsageMissing'],
    ['no challenge', { challenge: undefined }, 'ChallengePasswordMissing'],
    ['a challenge that is none', { challenge: 'secret' }, 'ChallengeDecodingError'],
    ['a challenge that the lab did not make', { challenge: 'A'.repeat(200) }, 'SignatureValidationFailed'],
  ]
  const challenge = await challengeFor(lab, credential)
  for (const [name, asked, code] of rows) {
    t.equal(await enroll(lab, { key, challenge, ...asked }), 'badRequest', name)
    t.match(lab.audit().at(-1), { event: 'refused', failInfo: 'badRequest', code }, name)
  }
  t.same([...lab.issued()], [])
  t.ok((await enroll(lab, { key, challenge })) instanceof Uint8Array, 'a refusal spends nothing')
})

t.test('a request to be a CA is refused, whatever says that it may have a certificate', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const withConstraints = async (constraints: Uint8Array) => {
    const extension = sequence(oid('2.5.29.19'), octetString(constraints))
    const attributes = [
      sequence(oid('1.2.840.113549.1.9.7'), tlv(Tag.Set, printableString('secret'))),
      sequence(oid('1.2.840.113549.1.9.14'), tlv(Tag.Set, sequence(extension))),
    ]
    const info = sequence(integer(0), nameDer('CN=x'), key.publicKey, setOf(attributes, constructed(0)))
    return sequence(info, sequence(oid('1.2.840.113549.1.1.11'), nullValue), bitString(await key.sign(info, 'sha256')))
  }
  const refused = await exchange(lab, { key, content: await withConstraints(sequence(boolean(true))) })
  t.same(refused, { status: 'failure', failInfo: 'badRequest' })
  t.equal(lastCode(lab), 'KeyUsageMismatch')
  t.equal((await exchange(lab, { key, content: await withConstraints(sequence()) })).status, 'success', 'an end entity may say so')
})

t.test('key length and exponent are those expected', async (t) => {
  const { lab, policies } = await startLab()
  const key = await testKey('a')
  policies.set('device-1', policyWith({ ...wifi, keyBits: 1024 }))
  const challenge = await challengeFor(lab, await register(lab))
  t.equal(await enroll(lab, { key, challenge }), 'badRequest')
  t.equal(lastCode(lab), 'KeyLengthMismatch')
  policies.set('device-1', policyWith(wifi))
  const weak = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey, 'weak')
  t.equal(await enroll(lab, { key: weak, challenge: await challengeFor(lab, await register(lab), 'attempt-2') }), 'badRequest')
  t.equal(lastCode(lab), 'KeyLengthMismatch')
})

t.test("Apple's requests may leave the purposes out; the certificate has them all the same", async (t) => {
  const key = await testKey('a')
  for (const platform of ['ios', 'macos']) {
    const { lab } = await startLab()
    const challenge = await challengeFor(lab, await register(lab, 'device-1', platform))
    t.equal(await enroll(lab, { key, challenge, extendedKeyUsages: [PurposeOid.SmartCardLogon] }), 'badRequest', platform)
    const certificate = await enrolled(lab, { key, challenge, extendedKeyUsages: [] })
    t.match(opensslText(certificate), /Extended Key Usage:\s+TLS Web Client Authentication\n/, platform)
  }
})

t.test('challenge.minutes: a challenge ends after 60 minutes', async (t) => {
  const key = await testKey('a')
  const after = async (ms: number) => {
    const { lab, clock } = await startLab()
    const challenge = await challengeFor(lab, await register(lab))
    await clock.advance(ms)
    return { answer: await enroll(lab, { key, challenge }), code: lastCode(lab) }
  }
  t.ok((await after(60 * 60_000 - 1)).answer instanceof Uint8Array)
  t.same(await after(60 * 60_000), { answer: 'badRequest', code: 'ChallengeExpired' })
})

t.test('a challenge is no good once the profile is no longer for the device', async (t) => {
  const { lab, policies } = await startLab()
  const challenge = await challengeFor(lab, await register(lab))
  policies.set('device-1', policyWith())
  t.equal(await enroll(lab, { key: await testKey('a'), challenge }), 'badRequest')
  t.equal(lastCode(lab), 'ScepProfileNoLongerTargetedToTheClient')
})

t.test('a challenge holds the request that was expected when it was given', async (t) => {
  const { lab, policies } = await startLab()
  const challenge = await challengeFor(lab, await register(lab))
  policies.set('device-1', policyWith({ ...wifi, subject: 'CN=renamed' }))
  t.equal(await enroll(lab, { key: await testKey('a'), challenge, subject: 'CN=renamed' }), 'badRequest')
  t.ok((await enroll(lab, { key: await testKey('a'), challenge })) instanceof Uint8Array)
})

t.test('a challenge is spent once', async (t) => {
  const { lab } = await startLab()
  const credential = await register(lab)
  const challenge = await challengeFor(lab, credential)
  t.equal(await challengeFor(lab, credential), challenge, 'the same for the same attempt')
  t.not(await challengeFor(lab, credential, 'attempt-2'), challenge, 'another for another attempt')
  await enrolled(lab, { key: await testKey('a'), challenge })
  t.equal(await enroll(lab, { key: await testKey('b'), challenge }), 'badRequest')
  t.equal(lastCode(lab), 'BadCertificateRequestIdInChallenge')
  t.equal(await challengeFor(lab, credential), challenge, 'asking again is no second one')
  t.equal(await enroll(lab, { key: await testKey('b'), challenge }), 'badRequest')
  t.equal(
    await enroll(lab, { key: await testKey('a'), challenge }, { transactionId: 'OTHER' }),
    'badRequest',
    'nor for another transactionID',
  )
  t.equal([...lab.issued()].length, 1)
})

t.test('of 100 parallel redemptions of one challenge, one wins; sent again, it gets the same certificate', async (t) => {
  const { lab } = await startLab()
  const challenge = await challengeFor(lab, await register(lab))
  const asked = { key: await testKey('a'), challenge }
  const ids = Array.from({ length: 100 }, (_, i) => `T${i}`)
  const answers = await Promise.all(ids.map((transactionId) => enroll(lab, asked, { transactionId })))
  const winners = ids.filter((_, i) => answers[i] !== 'badRequest')
  t.equal(winners.length, 1)
  const [transactionId = ''] = winners
  const certificate = answers[ids.indexOf(transactionId)]
  t.same(await enroll(lab, asked, { transactionId }), certificate)
  t.equal([...lab.issued()].length, 1)
  t.equal(lab.audit().filter(({ code }) => code === 'BadCertificateRequestIdInChallenge').length, 99)
})

t.test('a restart forgets nothing: an open challenge is good, one that is spent stays spent', async (t) => {
  const folder = t.testdir()
  const key = await testKey('a')
  const first = await lmdbLabStore(folder)
  const before = await startLab({ store: first })
  const credential = await register(before.lab)
  const open = await challengeFor(before.lab, credential, 'attempt-1')
  const spent = await challengeFor(before.lab, credential, 'attempt-2')
  const certificate = await enrolled(before.lab, { key, challenge: spent })
  await first.close()
  const store = await lmdbLabStore(folder)
  t.teardown(store.close)
  const { lab } = await startLab({ store })
  t.equal(await enroll(lab, { key: await testKey('b'), challenge: spent }), 'badRequest')
  t.equal(lastCode(lab), 'BadCertificateRequestIdInChallenge')
  t.same(await enroll(lab, { key, challenge: spent }), certificate, 'the same transaction gets what it had')
  t.type(await enroll(lab, { key: await testKey('b'), challenge: open }), Uint8Array)
})

t.test('challenge.opaque: a challenge is opaque, base64, and short enough for every client', async (t) => {
  const { lab, policies, clock } = await startLab()
  const credential = await register(lab)
  const challenge = await challengeFor(lab, credential)
  t.match(challenge, /^[A-Za-z0-9+/]+={0,2}$/)
  t.ok(challenge.length < 1024, `${challenge.length} characters`)
  const bytes = Buffer.from(challenge, 'base64').toString('latin1')
  for (const word of ['device-1', 'wifi', 'attempt-1', 'Example']) t.notOk(bytes.includes(word), word)
  await clock.advance(1)
  t.not(await challengeFor(lab, credential), challenge, 'it says when it was made')
  const subjectAltNames = Array.from({ length: 40 }, (_, i) => ({ type: 'dns', value: `host-${i * 7919}.region-${i}.example` }) as const)
  policies.set('device-1', policyWith({ ...wifi, subjectAltNames }, { ...wifi, subjectAltNames, principal: 'user' }))
  const long = await challengeFor(lab, credential, 'attempt-2')
  t.ok(long.length < 4096, `the agent takes 4096 characters: ${long.length}`)
  t.type(await enroll(lab, { key: await testKey('a'), challenge: long, subjectAltNames }), Uint8Array)
})

t.test('a challenge altered in any bit is one that the lab did not sign', async (t) => {
  const seal = challengeSeal(new Uint8Array(32), 0)
  const binding = { deviceId: 'd', profileId: 'p', attemptId: 'a' }
  const challenge = seal.seal({ id: 'x', binding, expected: [expectedOf(wifi)], madeAt: start })
  t.same(seal.open(challenge), { version: 1, id: 'x', binding, expected: [expectedOf(wifi)], madeAt: start })
  const bytes = Buffer.from(challenge, 'base64')
  const answers = new Set<unknown>()
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const altered = Buffer.from(bytes)
    altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    answers.add(seal.open(altered.toString('base64')))
  }
  t.same([...answers], ['SignatureValidationFailed'])
  for (let length = 0; length < bytes.length; length++) t.type(seal.open(bytes.subarray(0, length).toString('base64')), 'string')
  for (const written of [` ${challenge}`, `${challenge}\n`, challenge.replaceAll('=', ''), challenge.replaceAll('+', '-')])
    if (written !== challenge) t.equal(seal.open(written), 'ChallengeDecodingError', 'another spelling of the same bytes is none')
  t.equal(challengeSeal(Uint8Array.of(1), 0).open(challenge), 'SignatureValidationFailed', 'nor is it another lab’s')
})

t.test('of parallel requests with one challenge and different keys, one wins', async (t) => {
  const { lab } = await startLab()
  const challenge = await challengeFor(lab, await register(lab))
  const keys = await Promise.all(['a', 'b', 'c'].map(testKey))
  const answers = await Promise.all(keys.map((key) => enroll(lab, { key, challenge })))
  t.equal(answers.filter((answer) => answer === 'badRequest').length, 2)
  t.equal([...lab.issued()].length, 1)
})

t.test('asking for a challenge', async (t) => {
  const { lab, clock } = await startLab()
  const credential = await register(lab)
  const status = async (body: unknown) => (await post(lab, '/device/challenge', body, credential)).status
  t.equal(await status({ profileId: 'unknown', attemptId: 'a' }), 404, 'for a profile that the device does not have')
  t.equal(await status({ profileId: 'wifi' }), 400, 'without an attempt')
  t.equal(await status({ profileId: 'wifi', attemptId: 'a'.repeat(257) }), 400, 'for an overlong attempt')
  t.equal(await status('wifi'), 400)
  for (let i = 0; i < 64; i++) t.equal(await status({ profileId: 'wifi', attemptId: `a${i}` }), 200)
  t.equal(await status({ profileId: 'wifi', attemptId: 'one-too-many' }), 429)
  t.equal(await status({ profileId: 'wifi', attemptId: 'a7' }), 200, 'one that is open can be asked for again')
  await enrolled(lab, { key: await testKey('a'), challenge: await challengeFor(lab, credential, 'a7') })
  t.equal(await status({ profileId: 'wifi', attemptId: 'in-its-place' }), 200, 'one that is redeemed does not count')
  t.equal(await status({ profileId: 'wifi', attemptId: 'one-too-many' }), 429)
  await clock.advance(challengeLifetimeMs)
  t.equal(await status({ profileId: 'wifi', attemptId: 'one-too-many' }), 200, 'expired ones do not count')
})

t.test('a static challenge stands for any name within the template', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret' })
  const key = await testKey('a')
  const base = { key, challenge: 'secret', subject: 'CN=anything', subjectAltNames: [], keyUsages: [], extendedKeyUsages: [] } as const
  const transactionOf = (name: string) => ({ transactionId: createHash('sha256').update(name).digest('hex') })
  const granted: [string, Partial<Asked>, RegExp][] = [
    ['nothing but a name', {}, /Key Usage: critical\s+Digital Signature, Key Encipherment\n[\s\S]*TLS Web Client Authentication\n/],
    ['one key usage', { keyUsages: ['keyEncipherment'] }, /Key Usage: critical\s+Key Encipherment\n/],
    [
      'names of four kinds',
      { subjectAltNames: [...wifi.subjectAltNames, { type: 'email', value: 'a@example' }, { type: 'uri', value: 'urn:x' }] },
      /email:a@example, URI:urn:x/,
    ],
    [
      'no subject, but a name',
      { subject: '', subjectAltNames: [{ type: 'dns', value: 'x.example' }] },
      /Alternative Name: critical\s+DNS:x\.example/,
    ],
    ['client authentication', { extendedKeyUsages: [PurposeOid.ClientAuth] }, /TLS Web Client Authentication\n/],
  ]
  for (const [name, asked, text] of granted)
    t.match(opensslText(await enrolled(lab, { ...base, ...asked }, transactionOf(name))), text, name)
  const refused: [string, Partial<Asked>, string][] = [
    ['another secret', { challenge: 'Secret' }, 'ChallengeDecodingError'],
    ['no name at all', { subject: '' }, 'SubjectNameMissing'],
    [
      'a security identifier',
      { subjectAltNames: [{ type: 'uri', value: 'tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500' }] },
      'SubjectAltNameMismatch',
    ],
    ['certificate signing', { keyUsages: ['keyCertSign'] }, 'KeyUsageMismatch'],
    ['proof of origin (S49)', { keyUsages: ['digitalSignature', 'nonRepudiation'] }, 'KeyUsageMismatch'],
    ['smart card logon', { extendedKeyUsages: [PurposeOid.SmartCardLogon] }, 'EnhancedKeyUsageMismatch'],
  ]
  for (const [name, asked, code] of refused) {
    t.equal(await enroll(lab, { ...base, ...asked }, transactionOf(name)), 'badRequest', name)
    t.equal(lastCode(lab), code, name)
  }
})

t.test('the lifetime: the template’s, or a shorter one where the CA honours it (S50, S51)', async (t) => {
  const days = async (platform: string, honourRequestedValidity: boolean, validity = wifi.validity) => {
    const { lab, policies } = await startLab({ honourRequestedValidity })
    policies.set('device-1', policyWith({ ...wifi, validity }))
    const challenge = await challengeFor(lab, await register(lab, 'device-1', platform))
    const { notBefore, notAfter } = parseCertificate(await enrolled(lab, { key: await testKey('a'), challenge }))
    return (notAfter - notBefore) / 86_400_000
  }
  t.equal(await days('windows', false), 365)
  t.equal(await days('windows', true), 30)
  t.equal(await days('android', true, { value: 1, scale: 'months' }), 30, 'from 1 June')
  t.equal(await days('android', true, { value: 2, scale: 'years' }), 365, 'longer than the template')
  t.equal(await days('android', true, { value: Number.MAX_SAFE_INTEGER, scale: 'years' }), 365, 'longer than time')
  t.equal(await days('ios', true), 365)
  t.equal(await days('macos', true), 365)
})

t.test('no challenge, credential or token is in the audit, in a record or in an answer', async (t) => {
  const { lab, store } = await startLab({ staticChallenge: 'static-canary', approve: () => 'pending' })
  const credential = await register(lab)
  const challenge = await challengeFor(lab, credential)
  await enroll(lab, { key: await testKey('a'), challenge })
  await enroll(lab, { key: await testKey('b'), challenge: 'static-canary' })
  await enroll(lab, { key: await testKey('c'), challenge: 'wrong-canary' })
  const answers = [await post(lab, '/device/challenge', { profileId: 'wifi', attemptId: 'x' }, 'wrong-canary')]
  const tables = (['registrations', 'credentials', 'challenges', 'outstanding', 'transactions', 'issued', 'audit'] as const).map(
    (table) => [...store.list(table)],
  )
  const told = Buffer.from(
    JSON.stringify([tables, lab.audit(), answers], (_, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value,
    ),
  )
  for (const secret of [credential, challenge, 'static-canary', 'wrong-canary', 'registration-token-canary'])
    t.notOk(told.includes(secret), secret.slice(-6))
  t.equal(jsonOf(answers[0] as never), null)
  t.equal(formatName(parseCertificate(lab.rootCertificate).subject).includes('Lab Root CA'), true)
})
