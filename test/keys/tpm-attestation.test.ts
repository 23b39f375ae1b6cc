import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KeySpec } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import t, { type Test } from 'tap'
import type { KeyAttestation } from '#agent-core/keys/tpm/attestation.ts'
import { noLatency } from '#agent-core/keys/tpm/facts.ts'
import { tpmManufacturer } from '#agent-core/keys/tpm/manufacturer.ts'
import type { ModelledTpm } from '#agent-core/keys/tpm/options.ts'
import { certifyStatement, hierarchy, nameOf, publicArea, qualifiedNameOf } from '#agent-core/keys/tpm/structures.ts'
import { modelledTpm } from '#agent-core/keys/tpm/tpm.ts'
import { openssl } from '../cms/openssl.ts'
import { recordedAttestationKey, recordedStatements } from '../lab/tpm-statements.ts'

const now = Date.parse('2026-06-01T00:00:00Z')
const clock = { now: () => now, sleep: async () => {} }
const manufacturer = tpmManufacturer(clock)
const nonce = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const p256: KeySpec = { algorithm: 'ec', curve: 'P-256' }
const hasTpm2Tools = spawnSync('tpm2_print', ['--version']).error === undefined

async function attested(spec: KeySpec): Promise<{ attestation: KeyAttestation; publicKey: Uint8Array }> {
  const tpm = modelledTpm({ clock, manufacturer, latency: noLatency })
  const { publicKey } = await tpm.generate(spec, 'k')
  return { attestation: await tpm.attest('k', nonce), publicKey }
}

/** What tpm2_print makes of it, one `name: value` a line. Version 5.4 stops before the certified names. */
function print(t: Test, type: string, bytes: Uint8Array): string {
  const file = join(t.testdir({}), 'structure')
  writeFileSync(file, bytes)
  return spawnSync('tpm2_print', ['-t', type, file], { encoding: 'utf8' }).stdout
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

t.test('tpm2_print reads the statement', { skip: !hasTpm2Tools && 'no tpm2-tools here' }, async (t) => {
  const { statement } = (await attested(p256)).attestation
  const printed = print(t, 'TPMS_ATTEST', statement)
  for (const line of ['magic: ff544347', 'type: 8017', `extraData: ${hex(nonce)}`, 'resetCount: 0', 'restartCount: 0', 'safe: 1']) {
    t.match(printed, line)
  }
  t.match(printed, /^qualifiedSigner: 000b[0-9a-f]{64}$/m)
})

const areas: [KeySpec, readonly string[]][] = [
  [
    { algorithm: 'rsa', bits: 1024 },
    ['value: rsa', 'bits: 1024', 'exponent: 65537', 'sensitivedataorigin|userwithauth|decrypt|sign', 'raw: 0x60072'],
  ],
  [{ algorithm: 'rsa', bits: 3072 }, ['value: rsa', 'bits: 3072', 'raw: 0x60072']],
  [p256, ['value: ecc', 'value: NIST p256', 'value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign', 'raw: 0x40072']],
  [{ algorithm: 'ec', curve: 'P-384' }, ['value: ecc', 'value: NIST p384', 'raw: 0x40072']],
]

for (const [spec, lines] of areas) {
  t.test(`tpm2_print reads the public area: ${JSON.stringify(spec)}`, { skip: !hasTpm2Tools && 'no tpm2-tools here' }, async (t) => {
    const { attestation, publicKey } = await attested(spec)
    const area = attestation.publicArea
    const printed = print(t, 'TPM2B_PUBLIC', Uint8Array.of(area.length >> 8, area.length, ...area))
    for (const line of ['value: sha256', ...lines]) t.match(printed, line)
    const jwk = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }).export({ format: 'jwk' })
    const numbers = spec.algorithm === 'rsa' ? { rsa: jwk.n } : { x: jwk.x, y: jwk.y }
    for (const [name, value] of Object.entries(numbers))
      t.match(printed, `${name}: ${Buffer.from(value as string, 'base64url').toString('hex')}\n`)
  })
}

t.test('the structures are those of a real TPM, octet for octet', async (t) => {
  const { ec, rsa } = recordedStatements
  const spkiOf = (jwk: object) => createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ format: 'der', type: 'spki' })
  const coordinates = { x: ec.publicArea.subarray(-66, -34), y: ec.publicArea.subarray(-32) }
  const [x, y] = Object.values(coordinates).map((octets) => Buffer.from(octets).toString('base64url'))
  t.same(hex(publicArea(spkiOf({ kty: 'EC', crv: 'P-256', x, y }), p256, 'key')), hex(ec.publicArea), 'a P-256 key')
  const n = Buffer.from(rsa.publicArea.subarray(-256)).toString('base64url')
  const ours = Buffer.from(publicArea(spkiOf({ kty: 'RSA', n, e: 'AQAB' }), { algorithm: 'rsa', bits: 2048 }, 'key'))
  ours[6] = (ours[6] as number) | 0x04
  t.same(hex(ours), hex(rsa.publicArea), 'an RSA key, once noDA is set')

  const qualifiedSigner = qualifiedNameOf(nameOf(publicArea(recordedAttestationKey, p256, 'attestation')), hierarchy.endorsement)
  t.same(hex(ec.statement.subarray(8, 42)), hex(qualifiedSigner), 'the attestation key, its Name and Qualified Name')
  const statement = Buffer.from(
    certifyStatement({
      qualifiedSigner,
      nonce: Buffer.from('00ff55aa', 'hex'),
      clockMs: Number(Buffer.from(ec.statement).readBigUInt64BE(48)),
      firmwareVersion: 0x2019102300163636n,
      name: nameOf(ec.publicArea),
      // Its parent was a key of the TPM; ours hang from the hierarchy itself.
      qualifiedName: ec.statement.subarray(-34),
    }),
  )
  statement.writeUInt32BE(1, 56)
  t.same(hex(statement), hex(ec.statement), 'a statement, once resetCount is 1')
})

t.test('openssl verifies signature and chain', async (t) => {
  const folder = t.testdir({})
  const { attestation } = await attested(p256)
  const put = (name: string, bytes: Uint8Array) => writeFileSync(join(folder, name), bytes)
  put('statement', attestation.statement)
  put('signature', attestation.signature)
  put('ak.der', attestation.certificates[0] as Uint8Array)
  put('root.der', await manufacturer.root())
  for (const name of ['ak', 'root']) openssl(folder, ['x509', '-inform', 'der', '-in', `${name}.der`, '-out', `${name}.pem`])
  openssl(folder, ['x509', '-in', 'ak.pem', '-noout', '-pubkey', '-out', 'ak.pub'])
  const verified = openssl(folder, ['dgst', '-sha256', '-verify', 'ak.pub', '-signature', 'signature', 'statement'])
  t.match(String(verified), 'Verified OK')
  const path = ['verify', '-x509_strict', '-attime', String(now / 1000), '-CAfile', 'root.pem', 'ak.pem']
  t.match(String(openssl(folder, path)), 'ak.pem: OK')
  const text = String(openssl(folder, ['x509', '-in', 'ak.pem', '-noout', '-text']))
  for (const line of ['CA:FALSE', '2.23.133.8.3', 'X509v3 Subject Alternative Name: critical', 'Digital Signature']) t.match(text, line)
})

t.test('an attestation key is made once, goes with a clear, and is another in every TPM', async (t) => {
  const make = () => modelledTpm({ clock, manufacturer, latency: noLatency })
  const [one, two] = [make(), make()]
  const keyOf = async (tpm: ModelledTpm) => {
    if (!(await tpm.open('k'))) await tpm.generate(p256, 'k')
    const [certificate] = (await tpm.attest('k', nonce)).certificates
    return hex(parseCertificate(certificate as Uint8Array).publicKey)
  }
  const first = await keyOf(one)
  t.equal(await keyOf(one), first)
  t.not(await keyOf(two), first)
  await one.clear()
  t.not(await keyOf(one), first)
})

t.test('the certificates say when they are good', async (t) => {
  const years = (count: number) => now + count * 365 * 86_400_000
  let at = now
  const aging = tpmManufacturer({ now: () => at, sleep: async () => {} })
  const root = parseCertificate(await aging.root())
  t.same([root.notBefore, root.notAfter], [now - 86_400_000, years(30)])
  const key = (await attested(p256)).publicKey
  const validity = async () => parseCertificate((await aging.certify(key))[0] as Uint8Array).notAfter
  t.equal(await validity(), years(10))
  at = years(25)
  t.equal(await validity(), years(30), 'not longer than the root')
})

t.test('what it does not attest', async (t) => {
  const tpm = modelledTpm({ clock, manufacturer, latency: noLatency })
  await tpm.generate(p256, 'k')
  await t.rejects(tpm.attest('none', nonce), { code: 'ERR_KEY_UNAVAILABLE' })
  for (const length of [0, 65]) await t.rejects(tpm.attest('k', Buffer.alloc(length)), { code: 'ERR_UNSUPPORTED' }, `nonce of ${length}`)
  for (const length of [1, 64]) await t.resolves(tpm.attest('k', Buffer.alloc(length)), `nonce of ${length}`)
  await t.rejects(modelledTpm({ clock, version: '1.2', manufacturer }).attest('k', nonce), { code: 'ERR_UNSUPPORTED' })
  await t.rejects(modelledTpm({ clock }).attest('k', nonce), { code: 'ERR_UNSUPPORTED', message: /has no manufacturer/ })
  await tpm.failAuthorization(32)
  await t.rejects(tpm.attest('k', nonce), { code: 'ERR_KEY_STORAGE_LOCKED_OUT' })
  tpm.set({ isPresent: false })
  await t.rejects(tpm.attest('k', nonce), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
})

t.test('a key that comes back from a folder is attested too', async (t) => {
  const folder = join(t.testdir({}), 'tpm')
  const make = () => modelledTpm({ clock, manufacturer, latency: noLatency, folder })
  await make().generate(p256, 'k')
  const key = await make().open('k')
  t.same(hex((await make().attest('k', nonce)).publicArea), hex(publicArea(key?.publicKey as Uint8Array, p256, 'key')))
})
