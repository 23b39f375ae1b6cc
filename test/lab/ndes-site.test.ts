import { execFileSync } from 'node:child_process'
import { request as httpRequest } from 'node:http'
import { softwareKeys } from '@certfleet/agent-core'
import { openSignedData } from '@certfleet/agent-core/cms'
import type { KeyUsageBit } from '@certfleet/agent-core/pki'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { parseCapabilities } from '@certfleet/agent-core/scep/messages'
import {
  type CertificateTemplate,
  documentedFiltering,
  iisDefaultFiltering,
  type Lab,
  lmdbLabStore,
  type NdesRegistry,
  serveLab,
} from '@certfleet/emulator/lab'
import { factOverrides, ndesFacts } from '@certfleet/platforms'
import t from 'tap'
import { templateFor } from '#emulator/lab/ndes/registry.ts'
import { testKey } from '../fakes/certificates.ts'
import {
  caOf,
  challengeFor,
  csrFor,
  enroll,
  enrolled,
  messageFor,
  opensslVerify,
  register,
  scepUrl,
  sendMessage,
  start,
  startLab,
} from './surroundings.ts'

const day = 86_400_000
const adminUrl = '/certsrv/mscep_admin/'
const authorization = `Basic ${Buffer.from('ada:horse').toString('base64')}`
const administrators = [{ name: 'ada', password: 'horse' }]
const get = (lab: Lab, url: string, headers: Record<string, string> = {}) => lab.handle({ method: 'GET', url, headers })
const statusOf = async (lab: Lab, url: string) => (await get(lab, url, { authorization })).status
const statuses = async (lab: Lab) => [
  await statusOf(lab, scepUrl),
  await statusOf(lab, `${scepUrl}?operation=GetCACaps`),
  await statusOf(lab, `${scepUrl}/pkiclient.exe?operation=GetCACert&message=default`),
  (await sendMessage(lab, Buffer.from('noise'))).status,
  await statusOf(lab, adminUrl),
]
const healthy = [403, 200, 200, 400, 200]

t.test('ndes.templates: the template by the key usage of the request (S36, S55)', async (t) => {
  const registry = { SignatureTemplate: 'Sign', EncryptionTemplate: 'Encrypt', GeneralPurposeTemplate: 'Both' } as NdesRegistry
  const rows: [string, KeyUsageBit[], string][] = [
    ['0x80', ['digitalSignature'], 'Sign'],
    ['0x20', ['keyEncipherment'], 'Encrypt'],
    ['0xA0', ['digitalSignature', 'keyEncipherment'], 'Both'],
    ['none', [], 'Both'],
    ['nonRepudiation signs', ['nonRepudiation'], 'Sign'],
    ['with digitalSignature', ['digitalSignature', 'nonRepudiation'], 'Sign'],
    ['with keyEncipherment', ['keyEncipherment', 'nonRepudiation'], 'Both'],
    ['neither', ['keyAgreement'], 'Both'],
  ]
  for (const [name, usages, template] of rows) t.equal(templateFor(usages, registry), template, name)
})

const template = (name: string, validityDays: number): CertificateTemplate => ({
  name,
  displayName: `${name} (display name)`,
  subject: 'supplied-in-request',
  signatureIsProofOfOrigin: false,
  validityMs: validityDays * day,
  renewalPeriodMs: day,
  minKeyBits: 2048,
  enrollAccounts: ['ndes'],
})

t.test('ndes.reload: the template shows in the certificate, once IIS was restarted', async (t) => {
  const templates = [template('Sign', 10), template('Encrypt', 20), template('Both', 30)]
  const { lab } = await startLab({ staticChallenge: 'secret', templates })
  const daysFor = async (label: string, keyUsages: readonly KeyUsageBit[]) => {
    const { notBefore, notAfter } = parseCertificate(await enrolled(lab, { key: await testKey(label), challenge: 'secret', keyUsages }))
    return (notAfter - notBefore) / day
  }
  await lab.ndes.setRegistry({ SignatureTemplate: 'Sign', EncryptionTemplate: 'Encrypt', GeneralPurposeTemplate: 'Both' })
  t.equal(await daysFor('a', ['digitalSignature']), 365, 'not before')
  await lab.ndes.restartIis()
  t.equal(await daysFor('a', ['digitalSignature']), 365, 'what was issued stays issued')
  t.equal(await daysFor('b', ['digitalSignature']), 10)
  t.equal(await daysFor('c', ['keyEncipherment']), 20)
  t.equal(await daysFor('d', ['digitalSignature', 'keyEncipherment']), 30)
  t.equal(await daysFor('e', []), 30)
})

t.test('ndes.template-name: a display name in the registry is an error when it is used', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret', ndesFailures: true, templates: [template('Sign', 10)] })
  await lab.ndes.setRegistry({ SignatureTemplate: 'Sign (display name)' })
  await lab.ndes.restartIis()
  const key = await testKey('a')
  const ask = async (keyUsages: readonly KeyUsageBit[]) => {
    const { message, read } = await messageFor(lab, { key, content: await csrFor({ key, challenge: 'secret', keyUsages }) })
    return read((await sendMessage(lab, message)).body)
  }
  const refused = await ask(['digitalSignature'])
  t.match(refused, { status: 'failure', failInfo: 'badRequest', hresult: '0x80094800' }, 'CERTSRV_E_UNSUPPORTED_CERT_TYPE')
  t.match(lab.audit().at(-1), { event: 'refused', failInfo: 'badRequest' })
  t.equal((await ask(['keyEncipherment'])).status, 'success', 'the other values are as they were')
})

t.test('ndes.default-template, ndes.password.cache, ndes.password.minutes: the registry, and its bounds', async (t) => {
  const { lab } = await startLab()
  const { SignatureTemplate, EncryptionTemplate, GeneralPurposeTemplate, ...passwords } = lab.ndes.registry()
  t.equal(new Set([SignatureTemplate, EncryptionTemplate, GeneralPurposeTemplate]).size, 1)
  t.same(passwords, { UseSinglePassword: 0, PasswordMax: 5, PasswordValidity: 60 })
  const taken: Partial<NdesRegistry>[] = [
    { PasswordLength: 8 },
    { PasswordLength: 64 },
    { PasswordMax: 1 },
    { PasswordMax: 10_000 },
    { PasswordValidity: 525_600 },
    { SignatureTemplate: 'IPSECIntermediateOffline' },
  ]
  for (const values of taken) {
    await lab.ndes.setRegistry(values)
    t.match(lab.ndes.registry(), values)
  }
  const refused: object[] = [
    { PasswordLength: 7 },
    { PasswordLength: 65 },
    { PasswordLength: 8.5 },
    { PasswordMax: 0 },
    { PasswordMax: 10_001 },
    { PasswordValidity: 0 },
    { PasswordValidity: 525_601 },
    { UseSinglePassword: 2 },
    { UseSinglePassword: true },
    { EncryptionTemplate: '' },
    { EncryptionTemplate: 'two\nlines' },
    { signatureTemplate: 'x' },
  ]
  for (const values of refused)
    await t.rejects(lab.ndes.setRegistry(values as Partial<NdesRegistry>), { code: 'ERR_UNSUPPORTED' }, JSON.stringify(values))
  t.match(lab.ndes.registry(), { SignatureTemplate: 'IPSECIntermediateOffline', EncryptionTemplate })
})

t.test('ndes.probe, ndes.page: a bare GET: 403 with the policy module (S57), a page without', async (t) => {
  const { lab } = await startLab({ ndes: { policyModule: false } })
  const response = await get(lab, scepUrl)
  t.equal(response.status, 200)
  t.match(response.headers['content-type'], /^text\/html/)
  t.match(Buffer.from(response.body).toString('utf16le'), 'Network Device Enrollment Service')
  t.equal((await get(lab, `${scepUrl}?operation=GetCACaps`)).status, 200)
  t.equal((await get((await startLab()).lab, scepUrl)).status, 403)
})

t.test('ndes.stopped, ndes.broken: a stopped application pool is 503, a locked account 500', async (t) => {
  const { lab } = await startLab({ ndes: { administrators } })
  t.same(await statuses(lab), healthy)
  lab.ndes.set({ applicationPool: 'stopped' })
  t.same(await statuses(lab), [503, 503, 503, 503, 503])
  lab.ndes.set({ account: 'locked' })
  t.same(await statuses(lab), [503, 503, 503, 503, 503], 'the pool first')
  lab.ndes.set({ applicationPool: 'running' })
  t.same(await statuses(lab), [500, 500, 500, 500, 500])
  t.equal((await get(lab, '/device/policy')).status, 401, 'the rest of the lab is another host')
  lab.ndes.set({ account: 'ok' })
  t.same(await statuses(lab), healthy)
})

t.test('ndes.longest-url, ndes.too-long: request filtering (S56)', async (t) => {
  const path = '/certsrv/mscep/mscep.dll'
  const longQuery = (length: number) => `${path}?${'operation=GetCACaps&x='.padEnd(length, 'a')}`
  const longPath = (length: number) => `${path}/pkiclient.exe`.padEnd(length, 'a')
  const rows: [string, typeof documentedFiltering | undefined, string, number][] = [
    ['as documented, 65534 in all', undefined, longQuery(65_534 - path.length - 1), 200],
    ['as documented, 65535', undefined, longQuery(65_535 - path.length - 1), 414],
    ['as installed, a query of 2048', iisDefaultFiltering, longQuery(2048), 200],
    ['as installed, of 2049: 404.15', iisDefaultFiltering, longQuery(2049), 404],
    ['as data, at the limit', { maxUrl: 100, maxQueryString: 50, status: 414 }, longQuery(50), 200],
    ['as data, above it', { maxUrl: 100, maxQueryString: 50, status: 414 }, longQuery(51), 414],
    ['the path at its limit', { maxUrl: path.length, maxQueryString: 50, status: 414 }, path, 403],
    ['the path above it', { maxUrl: path.length - 1, maxQueryString: 50, status: 414 }, path, 414],
    ['the query is no part of the path', { maxUrl: path.length, maxQueryString: 50, status: 414 }, longQuery(50), 200],
    ['host and scheme are neither', { maxUrl: path.length, maxQueryString: 50, status: 414 }, `http://lab.example${path}`, 403],
  ]
  for (const [name, requestFiltering, url, status] of rows)
    t.equal((await get((await startLab({ ndes: { requestFiltering } })).lab, url)).status, status, name)
  t.equal((await get((await startLab()).lab, longPath(65_535))).status, 414, 'a path that nothing is at')
  t.same(documentedFiltering, { maxUrl: 65_534, maxQueryString: 65_534, status: 414 })
})

t.test('a PKIOperation by GET does not get through IIS as it is installed', async (t) => {
  const key = await testKey('a')
  const content = await csrFor({ key, challenge: 'secret' })
  for (const [requestFiltering, status] of [
    [iisDefaultFiltering, 404],
    [documentedFiltering, 200],
  ] as const) {
    const { lab } = await startLab({ staticChallenge: 'secret', ndes: { requestFiltering } })
    const { message } = await messageFor(lab, { key, content })
    const text = encodeURIComponent(Buffer.from(message).toString('base64'))
    t.equal((await get(lab, `${scepUrl}?operation=PKIOperation&message=${text}`)).status, status)
  }
})

t.test('ndes.chunked: a POST whose length is not told', async (t) => {
  const ask = async (refuseChunked?: boolean) => {
    const { lab } = await startLab({ ndes: { refuseChunked } })
    const served = await serveLab(lab)
    t.teardown(() => served.close())
    const send = (headers: Record<string, string | number>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const request = httpRequest(`${served.scepUrl}?operation=PKIOperation`, { method: 'POST', headers }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        request.on('error', reject)
        request.write('noise')
        request.end()
      })
    return [await send({ 'transfer-encoding': 'chunked' }), await send({ 'content-length': 5 })]
  }
  t.same(await ask(true), [411, 400])
  t.same(await ask(), [400, 400], 'off by default')
})

t.test('ndes.capabilities: capabilities as NDES lists them', async (t) => {
  const { lab } = await startLab({ ndes: { ndesCapabilities: true } })
  const { body } = await get(lab, `${scepUrl}?operation=GetCACaps`)
  const listed = [...parseCapabilities(Buffer.from(body).toString())].sort()
  t.same(listed, ['DES3', 'POSTPKIOperation', 'Renewal', 'SHA-1', 'SHA-256', 'SHA-512'])
  await lab.prepareRollOver(start + day)
  t.same((await get(lab, `${scepUrl}?operation=GetCACaps`)).body, body, 'no GetNextCACert either')
  const overrides = factOverrides({ 'ndes.capabilities': [] })
  const { lab: silent } = await startLab({ ndes: { ndesCapabilities: true }, overrides })
  t.equal((await get(silent, `${scepUrl}?operation=GetCACaps`)).body.length, 0, 'unless somebody says otherwise')
})

t.test('the RA’s certificates expire, and are renewed', async (t) => {
  const { lab, clock } = await startLab({ staticChallenge: 'secret', ndes: { administrators, raValidityMs: 30 * day } })
  await lab.ndes.renewRegistrationAuthority()
  const before = await caOf(lab)
  await clock.advance(30 * day)
  t.same(await statuses(lab), healthy, 'to their last moment')
  await clock.advance(1000)
  t.same(await statuses(lab), [500, 500, 500, 500, 500])
  await lab.ndes.renewRegistrationAuthority()
  t.same(await statuses(lab), healthy)
  const after = await caOf(lab)
  t.same(Buffer.from(after.ca.raw), Buffer.from(before.ca.raw), 'the CA is the same')
  for (const [one, other] of [
    [before.recipient, after.recipient],
    [before.signers[0], after.signers[0]],
  ] as const) {
    t.notSame(Buffer.from(other?.publicKey ?? []), Buffer.from(one?.publicKey ?? []))
    t.same([...(other?.keyUsage ?? [])], [...(one?.keyUsage ?? [])])
    t.match(opensslVerify(t, lab, other?.raw ?? new Uint8Array(), clock.now()), /OK/)
  }
})

t.test(
  'ndes.registration-authority-days: a renewed RA lasts, opens what was for the old one for a week, and outlives the lab',
  async (t) => {
    const store = await lmdbLabStore(t.testdir({}))
    t.teardown(() => store.close())
    const { lab, clock } = await startLab({ store, staticChallenge: 'secret' })
    const key = await testKey('a')
    const content = await csrFor({ key, challenge: 'secret' })
    const early = await messageFor(lab, { key, content })
    await lab.ndes.renewRegistrationAuthority()
    const renewed = await caOf(lab)
    t.equal(renewed.recipient.notAfter, start + 730 * day)
    t.equal((await early.read((await sendMessage(lab, early.message)).body)).status, 'success', 'answered by the RA it was for')
    t.ok(await enrolled(lab, { key: await testKey('b'), challenge: 'secret' }), 'and by the new one')

    const { lab: again } = await startLab({ store, staticChallenge: 'secret' })
    t.same(Buffer.from((await caOf(again)).recipient.raw), Buffer.from(renewed.recipient.raw))
    await clock.advance(7 * day - 1)
    t.equal((await early.read((await sendMessage(lab, early.message)).body)).status, 'success', 'to the last moment')
    await clock.advance(1)
    await t.rejects(early.read((await sendMessage(lab, early.message)).body), 'by the new RA, which the old request does not know')
    t.match(lab.audit().at(-1), { event: 'refused', failInfo: 'badMessageCheck' })
  },
)

t.test('two renewals, and a roll-over of the CA after them', async (t) => {
  const { lab, clock } = await startLab({ staticChallenge: 'secret', ndes: { raValidityMs: 30 * day, raGraceMs: 0 } })
  const bodies: string[] = []
  const seen = async () => bodies.push(Buffer.from((await caOf(lab)).recipient.raw).toString('hex'))
  await seen()
  await Promise.all([lab.ndes.renewRegistrationAuthority(), lab.ndes.renewRegistrationAuthority()])
  await seen()
  t.equal((await caOf(lab)).recipient.notAfter, start + 30 * day)
  await lab.prepareRollOver(start + day)
  await seen()
  t.equal(bodies[1], bodies[2])
  await clock.advance(day)
  await seen()
  t.equal(new Set(bodies).size, 3, 'the new CA has an RA of its own')
  t.ok(await enrolled(lab, { key: await testKey('a'), challenge: 'secret' }))
})

t.test('ndes.failure, ndes.bad-request, ndes.key-length: a FAILURE as NDES writes it, by its cause (6.2)', async (t) => {
  const { lab } = await startLab({ staticChallenge: 'secret', ndesFailures: true, legacySha1: true })
  const short = await softwareKeys().generate({ algorithm: 'rsa', bits: 1024 }, 'short')
  const key = await testKey('a')
  const rows: [string, Parameters<typeof csrFor>[0], string][] = [
    ['a wrong password', { key, challenge: 'FFFFFFFFFFFFFFFF' }, '-2147024809'],
    ['a key that is too short', { key: short, challenge: 'secret' }, '-2146875375'],
    ['a usage that is not issued', { key, challenge: 'secret', keyUsages: ['cRLSign'] }, '-2147024809'],
  ]
  for (const [name, asked, hresult] of rows) {
    const { message } = await messageFor(lab, { key: asked.key, content: await csrFor(asked) })
    const { body } = await sendMessage(lab, message)
    const opened = openSignedData(body, { signers: (await caOf(lab)).signers })
    const expected = ndesFacts.failure.value
    t.equal(Buffer.from(opened.content ?? []).toString('hex'), expected.content, `${name}: one zero octet`)
    t.equal(opened.certificates.length, expected.certificates, `${name}: no certificates`)
    const asn1 = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: body, encoding: 'utf8' })
    const attribute = (oid: string) => new RegExp(`:${oid.replaceAll('.', '\\.')}\\n.*\\n.*PRINTABLESTRING +:(.*)\\n`).exec(asn1)?.[1]
    t.equal(attribute(expected.hresult), hresult, `${name}: szOID_ENROLL_SCEP_ERROR`)
    t.match(
      asn1,
      /2\.16\.840\.1\.113733\.1\.9\.4\n.*\n.*PRINTABLESTRING +:2\n|failInfo\n.*\n.*PRINTABLESTRING +:2\n/,
      `${name}: failInfo 2`,
    )
  }
  const overrides = { 'ndes.bad-request': 5, 'ndes.failure': 'off' }
  for (const [id, value] of Object.entries(overrides)) {
    const { lab: other } = await startLab({ ndesFailures: true, overrides: factOverrides({ [id]: value }) })
    const { message } = await messageFor(other, { key, content: await csrFor({ key, challenge: 'wrong' }) })
    const { body } = await sendMessage(other, message)
    const asn1 = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: body, encoding: 'utf8' })
    t.equal(/:1\.3\.6\.1\.4\.1\.311\.21\.33\n.*\n.*PRINTABLESTRING +:5\n/.test(asn1), id === 'ndes.bad-request', `${id} said otherwise`)
    t.equal(openSignedData(body, { signers: (await caOf(other)).signers }).certificates.length, id === 'ndes.failure' ? 1 : 0, id)
  }
})

t.test('with the challenge of a profile, too, NDES has to be up', async (t) => {
  const { lab } = await startLab()
  const challenge = await challengeFor(lab, await register(lab))
  const key = await testKey('a')
  const { message } = await messageFor(lab, { key, content: await csrFor({ key, challenge }) })
  lab.ndes.set({ applicationPool: 'stopped' })
  t.equal((await sendMessage(lab, message)).status, 503)
  lab.ndes.set({ applicationPool: 'running' })
  t.equal((await sendMessage(lab, message)).status, 200)
  t.equal([...lab.issued()].length, 1)
  t.same(Buffer.from(parseCertificate([...lab.issued()][0]?.certificate ?? new Uint8Array()).publicKey), Buffer.from(key.publicKey))
  t.ok((await enroll(lab, { key, challenge })) instanceof Uint8Array)
})
