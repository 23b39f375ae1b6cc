import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { type KeyAttestation, type KeyHandle, type KeySpec, softwareKeyHandle } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  type ExtensionValue,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import t from 'tap'
import { noLatency } from '#agent-core/keys/tpm/facts.ts'
import { tpmManufacturer } from '#agent-core/keys/tpm/manufacturer.ts'
import { certifyStatement, nameOf, publicArea } from '#agent-core/keys/tpm/structures.ts'
import { modelledTpm } from '#agent-core/keys/tpm/tpm.ts'
import { type AttestationCheck, verifyKeyAttestation } from '#emulator/lab/key-attestation.ts'
import { recordedAttestationKey, recordedStatements } from './tpm-statements.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const yearMs = 365 * 86_400_000
const clock = { now: () => now, sleep: async () => {} }
const nonce = Buffer.from('a nonce that was never used before')
const manufacturer = tpmManufacturer(clock)
const p256: KeySpec = { algorithm: 'ec', curve: 'P-256' }

const tpm = modelledTpm({ clock, manufacturer, latency: noLatency, slots: 100 })
const key = await tpm.generate(p256, 'k')
const genuine: KeyAttestation = await tpm.attest('k', nonce)
const check: AttestationCheck = { publicKey: key.publicKey, nonce, manufacturerRoot: await manufacturer.root(), at: now }

/** An attestation key of the test's own, so that anything at all can be signed as the manufacturer's TPM would sign it. */
const makeKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const spkiOf = (privateKey: KeyObject) => createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
const signer = makeKey()
const signerCertificates = await manufacturer.certify(spkiOf(signer))

const signed = (statement: Uint8Array, area: Uint8Array = genuine.publicArea): KeyAttestation => ({
  publicArea: area,
  statement,
  signature: sign('sha256', statement, signer),
  certificates: signerCertificates,
})

const statementFor = (area: Uint8Array, extraData: Uint8Array = nonce): Uint8Array =>
  certifyStatement({
    qualifiedSigner: nameOf(area),
    nonce: extraData,
    clockMs: 1,
    firmwareVersion: 1n,
    name: nameOf(area),
    qualifiedName: nameOf(area),
  })

/** Signed as it should be, over whatever area. */
const certified = (area: Uint8Array): KeyAttestation => signed(statementFor(area), area)

const changed = (bytes: Uint8Array, at: number, ...octets: number[]): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  copy.set(octets, at)
  return copy
}

const message = {
  signer: 'the key attestation is refused: it is not signed by a TPM of this manufacturer',
  form: 'the key attestation is refused: it is not what a TPM states of a key that it holds',
  nonce: 'the key attestation is refused: it answers another nonce',
  key: 'the key attestation is refused: it is of another key',
  attributes: 'the key attestation is refused: its key may leave the TPM, was not made in it, or is no key to sign with',
} as const

const refused = (reason: keyof typeof message) => ({ code: 'ERR_CERTIFICATE_REFUSED', message: message[reason] })

t.test('the word of a modelled TPM is accepted, whatever the key', async (t) => {
  t.doesNotThrow(() => verifyKeyAttestation(genuine, check))
  for (const [i, spec] of [
    { algorithm: 'rsa', bits: 1024 } as const,
    { algorithm: 'rsa', bits: 2048 } as const,
    { algorithm: 'ec', curve: 'P-384' } as const,
  ].entries()) {
    const { publicKey } = await tpm.generate(spec, `k${i}`)
    const attestation = await tpm.attest(`k${i}`, nonce)
    t.doesNotThrow(() => verifyKeyAttestation(attestation, { ...check, publicKey }), JSON.stringify(spec))
  }
  t.doesNotThrow(() => verifyKeyAttestation(certified(genuine.publicArea), check), 'and so are those that the rows below start from')
})

t.test('the word of a real TPM is accepted, once the manufacturer vouches for it', async (t) => {
  const certificates = await manufacturer.certify(recordedAttestationKey)
  const asked = { ...check, nonce: Buffer.from('00ff55aa', 'hex') }
  for (const name of ['rsa', 'ec'] as const) {
    const claimed = { ...recordedStatements[name], certificates }
    const publicKey = recordedKey(name)
    t.doesNotThrow(() => verifyKeyAttestation(claimed, { ...asked, publicKey }), name)
    t.throws(() => verifyKeyAttestation(claimed, asked), refused('key'), `${name}, for another key`)
  }
  const movable = { ...recordedStatements.movable, certificates }
  t.throws(() => verifyKeyAttestation(movable, { ...asked, publicKey: recordedKey('movable') }), refused('attributes'))
})

function recordedKey(name: keyof typeof recordedStatements): Buffer {
  const { publicArea: area } = recordedStatements[name]
  const text = (start: number, end?: number) => Buffer.from(area.subarray(start, end)).toString('base64url')
  const jwk = name === 'rsa' ? { kty: 'RSA', n: text(-256), e: 'AQAB' } : { kty: 'EC', crv: 'P-256', x: text(-66, -34), y: text(-32) }
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' })
}

t.test('it is for this request, at this moment, under this manufacturer', async (t) => {
  const rows: [string, Partial<AttestationCheck>, keyof typeof message][] = [
    ['another nonce', { nonce: Buffer.from('another') }, 'nonce'],
    ['a nonce that goes on', { nonce: Buffer.concat([nonce, nonce]) }, 'nonce'],
    ['no nonce', { nonce: new Uint8Array() }, 'nonce'],
    ['another key', { publicKey: spkiOf(makeKey()) }, 'key'],
    ['a key of another kind', { publicKey: (await tpm.generate({ algorithm: 'rsa', bits: 1024 }, 'rsa')).publicKey }, 'key'],
    ['another manufacturer', { manufacturerRoot: await tpmManufacturer(clock).root() }, 'signer'],
    ['after the certificate has expired', { at: now + 10 * yearMs + 1000 }, 'signer'],
    ['before it is valid', { at: now - 86_401_000 }, 'signer'],
  ]
  for (const [name, difference, reason] of rows)
    t.throws(() => verifyKeyAttestation(genuine, { ...check, ...difference }), refused(reason), name)
  t.doesNotThrow(() => verifyKeyAttestation(genuine, { ...check, at: now + 10 * yearMs }), 'until its last second')
  t.doesNotThrow(() => verifyKeyAttestation(genuine, { ...check, at: now - 86_400_000 }), 'from its first')
})

t.test('an attestation without its nonce attests nothing, even to who asks without', async (t) => {
  const empty = signed(statementFor(genuine.publicArea, new Uint8Array()))
  t.throws(() => verifyKeyAttestation(empty, { ...check, nonce: new Uint8Array() }), refused('nonce'))
})

t.test('a software key with a made-up statement', async (t) => {
  const software = makeKey()
  const area = publicArea(spkiOf(software), p256, 'key')
  const statement = statementFor(area)
  const claims: [string, KeyAttestation, keyof typeof message][] = [
    ['signed by itself', { ...signed(statement, area), signature: sign('sha256', statement, software) }, 'signer'],
    ['with the signature of another statement', { ...genuine, statement, publicArea: area }, 'signer'],
    ['with the statement of another key', { ...genuine, publicArea: area }, 'key'],
  ]
  for (const [name, claimed, reason] of claims)
    t.throws(() => verifyKeyAttestation(claimed, { ...check, publicKey: spkiOf(software) }), refused(reason), name)
})

t.test('any octet that is changed, cut off or added is refused', async (t) => {
  for (const part of ['statement', 'signature', 'publicArea'] as const) {
    const bytes = genuine[part]
    const reason = part === 'publicArea' ? 'key' : 'signer'
    const refuses = (forged: Uint8Array, name: string) =>
      t.throws(() => verifyKeyAttestation({ ...genuine, [part]: forged }, check), refused(reason), `${part}, ${name}`)
    for (let at = 0; at < bytes.length; at++) {
      refuses(changed(bytes, at, (bytes[at] as number) ^ (1 << (at % 8))), `octet ${at} changed`)
      refuses(bytes.subarray(0, at), `cut off at ${at}`)
    }
    refuses(Buffer.concat([bytes, Buffer.of(0)]), 'an octet more')
  }
})

t.test('any octet of the certificate that is changed is refused', async (t) => {
  const certificate = genuine.certificates[0] as Uint8Array
  for (let at = 0; at < certificate.length; at++) {
    const forged = changed(certificate, at, (certificate[at] as number) ^ (1 << (at % 8)))
    t.throws(() => verifyKeyAttestation({ ...genuine, certificates: [forged] }, check), refused('signer'), `octet ${at}`)
  }
})

const statement = statementFor(genuine.publicArea)
const nonceAt = 8 + 34 + 2
const clockInfoAt = nonceAt + nonce.length
/** Signed by a key that the manufacturer vouches for: only what they say is wrong. */
const statements: [string, Uint8Array, keyof typeof message][] = [
  ['nothing', new Uint8Array(), 'form'],
  ['another magic', changed(statement, 0, 0xfe), 'form'],
  ['a quote', changed(statement, 4, 0x80, 0x18), 'form'],
  ['a length that runs over', changed(statement, 6, 0xff, 0xff), 'form'],
  [
    'a signer name of 67 octets',
    Buffer.concat([statement.subarray(0, 6), Buffer.of(0, 67), Buffer.alloc(67), statement.subarray(42)]),
    'form',
  ],
  ['a nonce that is longer than any', statementFor(genuine.publicArea, Buffer.alloc(67)), 'form'],
  ['another nonce', changed(statement, nonceAt, 0), 'nonce'],
  ['neither safe nor not', changed(statement, clockInfoAt + 16, 2), 'form'],
  ['another name', changed(statement, statement.length - 68 + 5, 0), 'key'],
  ['a name by another digest', changed(statement, statement.length - 68 + 1, 0x0c), 'key'],
  ['an octet more', Buffer.concat([statement, Buffer.of(0)]), 'form'],
  ['an octet less', statement.subarray(0, -1), 'form'],
  ['too long', Buffer.concat([statement, Buffer.alloc(4096)]), 'signer'],
]

for (const [name, forged, reason] of statements) {
  t.test(`a statement that a TPM would not sign: ${name}`, async (t) => {
    t.throws(() => verifyKeyAttestation(signed(forged), check), refused(reason))
  })
}

t.test('whatever is signed, the verifier answers with one of its refusals', async (t) => {
  for (let at = 0; at < statement.length; at++) {
    for (const octet of [0, 0x7f, 0xff]) {
      const forged = changed(statement, at, octet)
      const claimed = signed(forged)
      const error = outcomeOf(() => verifyKeyAttestation(claimed, check))
      t.ok(error === undefined || Object.values(message).includes(error as never), `${at}: ${error}`)
    }
  }
})

function outcomeOf(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const area = genuine.publicArea
const attributes = (value: number) => changed(area, 4, value >>> 24, value >>> 16, value >>> 8, value)
const areas: [string, Uint8Array, keyof typeof message][] = [
  ['nothing', new Uint8Array(), 'form'],
  ['without fixedTPM', attributes(0x00040070), 'attributes'],
  ['without fixedParent', attributes(0x00040062), 'attributes'],
  ['brought in from outside', attributes(0x00040052), 'attributes'],
  ['no key to sign with', attributes(0x00020072), 'attributes'],
  ['restricted', attributes(0x00050072), 'attributes'],
  ['a keyed hash', changed(area, 0, 0x00, 0x08), 'form'],
  ['named by SHA-1', changed(area, 2, 0x00, 0x04), 'form'],
  ['a policy that runs over', changed(area, 8, 0x00, 0x41), 'form'],
  ['with a symmetric cipher', changed(area, 10, 0x00, 0x06), 'form'],
  ['with a scheme for RSA', changed(area, 12, 0x00, 0x14), 'form'],
  ['on a curve that is not known', changed(area, 14, 0x00, 0x10), 'form'],
  ['with a KDF', changed(area, 16, 0x00, 0x20), 'form'],
  ['a coordinate too short', Buffer.concat([area.subarray(0, -34), Buffer.of(0, 31), area.subarray(-31)]), 'form'],
  ['a point that is not on the curve', changed(area, area.length - 1, (area.at(-1) as number) ^ 1), 'form'],
  ['an octet more', Buffer.concat([area, Buffer.of(0)]), 'form'],
]

for (const [name, forged, reason] of areas) {
  t.test(`a public area, properly certified: ${name}`, async (t) => {
    t.throws(() => verifyKeyAttestation(certified(forged), check), refused(reason))
  })
}

t.test('a coordinate without its leading zero is not the form of a TPM', async (t) => {
  let publicKey = spkiOf(makeKey())
  while (publicKey[27] !== 0) publicKey = spkiOf(makeKey())
  const whole = publicArea(publicKey, p256, 'key')
  const short = Buffer.concat([whole.subarray(0, 18), Buffer.of(0, 31), whole.subarray(21)])
  t.doesNotThrow(() => verifyKeyAttestation(certified(whole), { ...check, publicKey }))
  t.throws(() => verifyKeyAttestation(certified(short), { ...check, publicKey }), refused('form'))
})

t.test('of RSA public areas', async (t) => {
  const { publicKey } = await tpm.generate({ algorithm: 'rsa', bits: 2048 }, 'rsa-2048')
  const rsaArea = publicArea(publicKey, { algorithm: 'rsa', bits: 2048 }, 'key')
  const asked = { ...check, publicKey }
  const rows: [string, Uint8Array, keyof typeof message | undefined][] = [
    ['as it is', rsaArea, undefined],
    ['its exponent spelled out', changed(rsaArea, 16, 0, 1, 0, 1), undefined],
    ['with a scheme for RSA', Buffer.concat([rsaArea.subarray(0, 12), Buffer.of(0, 0x14, 0, 0x0b), rsaArea.subarray(14)]), undefined],
    ['another exponent', changed(rsaArea, 16, 0, 0, 0, 3), 'key'],
    ['with a scheme for curves', Buffer.concat([rsaArea.subarray(0, 12), Buffer.of(0, 0x18, 0, 0x0b), rsaArea.subarray(14)]), 'form'],
    ['bits that are not those of the modulus', changed(rsaArea, 14, 0x0c, 0x00), 'form'],
    ['a modulus that is cut off', rsaArea.subarray(0, -1), 'form'],
    ['another modulus', changed(rsaArea, rsaArea.length - 1, (rsaArea.at(-1) as number) ^ 2), 'key'],
  ]
  for (const [name, forged, reason] of rows) {
    if (reason) t.throws(() => verifyKeyAttestation(certified(forged), asked), refused(reason), name)
    else t.doesNotThrow(() => verifyKeyAttestation(certified(forged), asked), name)
  }
})

t.test('certificates that do not make an attestation key', async (t) => {
  const root = softwareKeyHandle(makeKey(), 'root')
  const manufacturerRoot = await certificate(root, root, 'CN=root', [
    basicConstraintsExtension({ ca: true }),
    keyUsageExtension(['keyCertSign']),
  ])
  const own = softwareKeyHandle(signer, 'signer')
  const purpose = extendedKeyUsageExtension(['2.23.133.8.3'])
  const rows: [string, readonly ExtensionValue[], boolean][] = [
    ['as it should be', [purpose, keyUsageExtension(['digitalSignature'])], true],
    ['without a key usage', [purpose], true],
    ['without a purpose', [], false],
    ['for TLS clients', [extendedKeyUsageExtension(['1.3.6.1.5.5.7.3.2'])], false],
    ['for any purpose', [extendedKeyUsageExtension(['2.5.29.37.0'])], false],
    ['of a CA', [purpose, basicConstraintsExtension({ ca: true }), keyUsageExtension(['digitalSignature', 'keyCertSign'])], false],
    ['not for signatures', [purpose, keyUsageExtension(['keyEncipherment'])], false],
  ]
  for (const [name, extensions, isGood] of rows) {
    const claimed = { ...signed(statement), certificates: [await certificate(own, root, 'CN=ak', extensions)] }
    const verifying = () => verifyKeyAttestation(claimed, { ...check, manufacturerRoot })
    if (isGood) t.doesNotThrow(verifying, name)
    else t.throws(verifying, refused('signer'), name)
  }
  const lists: [string, readonly Uint8Array[], boolean][] = [
    ['none', [], false],
    ['the root too', [...signerCertificates, check.manufacturerRoot], true],
    ['the root alone', [check.manufacturerRoot], false],
    ['what is no certificate', [Buffer.from('certificate')], false],
    ['eight', [...signerCertificates, ...Array.from({ length: 7 }, () => check.manufacturerRoot)], true],
    ['nine', [...signerCertificates, ...Array.from({ length: 8 }, () => check.manufacturerRoot)], false],
  ]
  for (const [name, certificates, isGood] of lists) {
    const verifying = () => verifyKeyAttestation({ ...signed(statement), certificates }, check)
    if (isGood) t.doesNotThrow(verifying, name)
    else t.throws(verifying, refused('signer'), name)
  }
})

function certificate(subject: KeyHandle, issuer: KeyHandle, name: string, extensions: readonly ExtensionValue[]): Promise<Uint8Array> {
  return buildCertificate({
    serialNumber: Uint8Array.of(1),
    issuer: 'CN=root',
    subject: name,
    publicKey: subject.publicKey,
    notBefore: now - 1000,
    notAfter: now + 1000,
    extensions: [
      ...extensions,
      subjectKeyIdentifierExtension(subject.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuer.publicKey)),
    ],
    signer: issuer,
    hash: 'sha256',
  })
}

t.test('an attestation key of RSA, as many TPMs have it', async (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const certificates = await manufacturer.certify(spkiOf(privateKey))
  const claimed = { ...genuine, certificates, signature: sign('sha256', genuine.statement, privateKey) }
  t.doesNotThrow(() => verifyKeyAttestation(claimed, check))
  t.throws(
    () => verifyKeyAttestation({ ...claimed, signature: sign('sha1', genuine.statement, privateKey) }, check),
    refused('signer'),
    'SHA-1',
  )
})
