import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CrlReason, ExtensionOid, parseCertificate, parseCrl, serialNumberHex } from '@certfleet/agent-core/pki'
import { type CaAccount, type Lab, type LabOptions, memoryLabStore } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { template } from './ca-world.ts'
import { challengeFor, enroll, enrolled, opensslText, pem, policyWith, register, start, startLab, wifi } from './surroundings.ts'

const day = 86_400_000

async function labWithOne(options: Partial<LabOptions> = {}) {
  const it = await startLab({ staticChallenge: 'secret', ...options })
  const certificate = parseCertificate(await enrolled(it.lab, { key: await testKey('a'), challenge: 'secret' }))
  return { ...it, certificate, serialNumber: serialNumberHex(certificate) }
}

const get = (lab: Lab, path: string) => lab.handle({ method: 'GET', url: path, headers: {} })
const listed = async (lab: Lab) => [...parseCrl(await lab.crl()).entries.values()]

t.test('ca.manage: who may revoke (S52)', async (t) => {
  const accounts: readonly CaAccount[] = [
    { name: 'connector', issueAndManage: false },
    { name: 'helpdesk', issueAndManage: ['CertfleetDevice'] },
    { name: 'other', issueAndManage: ['Other'] },
  ]
  const rows: [string | undefined, boolean][] = [
    [undefined, true],
    ['ndes', true],
    ['connector', false],
    ['helpdesk', true],
    ['other', false],
    ['nobody', false],
  ]
  for (const [account, may] of rows) {
    const { lab, serialNumber } = await labWithOne({ accounts })
    const revoked = lab.revoke(serialNumber, 'superseded', { account })
    if (may) await t.resolves(revoked, account ?? 'the administrator of the CA')
    else {
      await t.rejects(revoked, { code: 'ERR_UNAUTHORIZED', message: new RegExp(`"${account}".*"CertfleetDevice"`) })
      t.match(lab.audit().at(-1), { event: 'revocation-refused', serialNumber, detail: new RegExp(`"${account}"`) })
    }
    t.same(await listed(lab), may ? [4] : [])
    await t.rejects(lab.revoke('00ff', 'superseded', { account }), { code: 'ERR_UNSUPPORTED' })
  }
})

t.test('the right is to the template that the certificate was issued by', async (t) => {
  const accounts = [{ name: 'helpdesk', issueAndManage: ['other'] }]
  const { lab, policies } = await startLab({ accounts, templates: [template('Other')] })
  policies.set('device-1', policyWith({ ...wifi, keyUsages: ['digitalSignature'] }))
  await lab.ndes.setRegistry({ SignatureTemplate: 'Other' })
  await lab.ndes.restartIis()
  const challenge = await challengeFor(lab, await register(lab))
  await enrolled(lab, { key: await testKey('a'), keyUsages: ['digitalSignature'], challenge })
  const [record] = [...lab.issued()]
  t.equal(record?.template, 'Other')
  await t.resolves(lab.revoke(record?.serialNumber ?? '', 'superseded', { account: 'helpdesk' }))
})

t.test('a record from before there were templates counts as of the built-in one', async (t) => {
  const store = memoryLabStore()
  const accounts = [{ name: 'helpdesk', issueAndManage: ['CertfleetDevice'] }]
  const { lab, serialNumber } = await labWithOne({ store, accounts })
  const record = store.get('issued', serialNumber)
  const { template: _, ...older } = record ?? ({} as never)
  await store.transaction((tx) => tx.put('issued', serialNumber, older))
  await t.resolves(lab.revoke(serialNumber, 'superseded', { account: 'helpdesk' }))
})

t.test('a hold can be made final or be lifted, nothing else can', async (t) => {
  const { lab, clock, serialNumber } = await labWithOne()
  const ask = async () => enroll(lab, { key: await testKey('a'), challenge: 'secret' })
  await t.rejects(lab.revoke(serialNumber, 'removeFromCRL'), { code: 'ERR_UNSUPPORTED', message: /not on hold/ })
  await lab.revoke(serialNumber, 'certificateHold')
  t.same(await listed(lab), [6])
  t.equal(await ask(), 'badRequest', 'on hold it is not handed out')
  await lab.revoke(serialNumber, 'removeFromCRL')
  t.same(await listed(lab), [])
  t.match(lab.audit().at(-1), { event: 'hold-lifted', serialNumber })
  t.ok((await ask()) instanceof Uint8Array)

  await lab.revoke(serialNumber, 'certificateHold')
  await clock.advance(day)
  await lab.revoke(serialNumber, 'certificateHold')
  await lab.revoke(serialNumber, 'keyCompromise')
  t.same(await listed(lab), [1])
  await t.rejects(lab.revoke(serialNumber, 'removeFromCRL'), { code: 'ERR_UNSUPPORTED' }, 'final')
  await lab.revoke(serialNumber, 'superseded')
  t.same(await listed(lab), [1], 'revoking again changes nothing')
  const text = spawnSync('openssl', ['crl', '-inform', 'DER', '-noout', '-text'], { input: await lab.crl(), encoding: 'utf8' }).stdout
  t.equal(Date.parse(/Revocation Date: (.*)/.exec(text)?.[1] ?? ''), start, 'since it was held')
})

t.test('every reason that a CRL knows', async (t) => {
  const reasons: [CrlReason, number][] = [
    ['unspecified', 0],
    ['keyCompromise', 1],
    ['cACompromise', 2],
    ['affiliationChanged', 3],
    ['superseded', 4],
    ['cessationOfOperation', 5],
    ['certificateHold', 6],
    ['privilegeWithdrawn', 9],
    ['aACompromise', 10],
  ]
  for (const [reason, code] of reasons) {
    const { lab, serialNumber } = await labWithOne()
    await lab.revoke(serialNumber, reason)
    t.same(await listed(lab), [code], reason)
  }
})

/** What `openssl verify -crl_check` says with that CRL, and what `openssl crl` says of the CRL. */
function openssl(t: Test, ca: Pick<Lab, 'rootCertificate' | 'issuingCertificate'>, crl: Uint8Array, leaf: Uint8Array, at: number): string {
  const folder = t.testdir({ 'list.crl': Buffer.from(crl).toString('latin1') })
  const file = (name: string, text: string | Uint8Array) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const run = (...args: string[]) => {
    const { stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
    return stderr + stdout
  }
  const list = file('list.crl', crl)
  const issuing = file('issuing.pem', pem(ca.issuingCertificate))
  const trust = ['-CAfile', file('root.pem', pem(ca.rootCertificate)), '-untrusted', issuing]
  const pemList = join(folder, 'list.pem')
  const read = run('crl', '-inform', 'DER', '-in', list, '-out', pemList, '-verify', '-CAfile', issuing)
  return read + run('verify', '-crl_check', '-CRLfile', pemList, '-attime', String(at / 1000), ...trust, file('leaf.pem', pem(leaf)))
}

t.test('a certificate says where its revocation is told of, and it is told there, by each CA for its own', async (t) => {
  const publish = { crlUrl: 'http://lab.example/crl', ocspUrl: 'http://lab.example/ocsp' }
  const { lab, clock, certificate: old, serialNumber } = await labWithOne({ publish })
  const former = { rootCertificate: lab.rootCertificate, issuingCertificate: lab.issuingCertificate }
  const crlOf = async (certificate: Uint8Array) => {
    const [, url = ''] = /X509v3 CRL Distribution Points:[\s\S]*?URI:(\S+)/.exec(opensslText(certificate)) ?? []
    const { status, headers, body } = await get(lab, new URL(url).pathname)
    t.same([status, headers['content-type']], [200, 'application/pkix-crl'])
    return body
  }
  t.match(opensslText(old.raw), /Authority Information Access:\s+OCSP - URI:http:\/\/lab\.example\/ocsp\n/)
  t.match(openssl(t, former, await crlOf(old.raw), old.raw, start), /verify OK[\s\S]*leaf\.pem: OK/)

  await lab.prepareRollOver(start + day)
  await clock.advance(day)
  const fresh = await enrolled(lab, { key: await testKey('b'), challenge: 'secret' })
  await lab.revoke(serialNumber)
  const now = start + day
  t.match(openssl(t, former, await crlOf(old.raw), old.raw, now), /verify OK[\s\S]*certificate revoked/)
  t.match(openssl(t, lab, await crlOf(fresh), fresh, now), /verify OK[\s\S]*leaf\.pem: OK/)
  t.same(Buffer.from((await get(lab, '/crl')).body), Buffer.from(await crlOf(fresh)), '/crl is the one of the CA that issues now')
  t.equal((await get(lab, '/crl/')).status, 200)
  t.equal((await get(lab, '/crl/00')).status, 404)
  t.equal((await lab.handle({ method: 'POST', url: '/crl', headers: {} })).status, 405)
})

t.test('without publish, and with a part of it', async (t) => {
  const extensionsOf = async (publish: LabOptions['publish']) => {
    const { extensions } = (await labWithOne({ publish })).certificate
    return [ExtensionOid.CrlDistributionPoints, ExtensionOid.AuthorityInfoAccess].map((type) => extensions.has(type))
  }
  t.same(await extensionsOf(undefined), [false, false])
  t.same(await extensionsOf({}), [false, false])
  t.same(await extensionsOf({ crlUrl: 'http://lab.example/crl' }), [true, false])
  t.same(await extensionsOf({ ocspUrl: 'http://lab.example/ocsp' }), [false, true])
})
