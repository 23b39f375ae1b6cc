import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KeyHandle } from '@certfleet/agent-core'
import { issuerAndSerialNumber } from '@certfleet/agent-core/cms'
import { parseCertificate, parseCrl, serialNumberHex, verifyPath } from '@certfleet/agent-core/pki'
import { buildRequestSigner } from '@certfleet/agent-core/scep/messages'
import t, { type Test } from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { csrFor, enroll, enrolled, exchange, pem, start, startLab, wifi } from './surroundings.ts'

const day = 86_400_000

async function labWithTwo() {
  const it = await startLab({ staticChallenge: 'secret' })
  const first = parseCertificate(await enrolled(it.lab, { key: await testKey('a'), challenge: 'secret' }))
  const second = parseCertificate(await enrolled(it.lab, { key: await testKey('b'), challenge: 'secret' }))
  return { ...it, first, second }
}

type Two = Awaited<ReturnType<typeof labWithTwo>>

/** What `openssl verify -crl_check` says of a certificate. */
function opensslCheck(t: Test, { lab }: Two, crl: Uint8Array, certificate: Uint8Array, at: number): string {
  const crlPem = `-----BEGIN X509 CRL-----\n${Buffer.from(crl)
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n')}\n-----END X509 CRL-----\n`
  const folder = t.testdir({})
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const trust = ['-CAfile', file('root.pem', pem(lab.rootCertificate)), '-untrusted', file('issuing.pem', pem(lab.issuingCertificate))]
  const checked = ['-crl_check', '-CRLfile', file('list.pem', crlPem), '-attime', String(Math.floor(at / 1000))]
  try {
    return execFileSync('openssl', ['verify', ...checked, ...trust, file('leaf.pem', pem(certificate))], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
  } catch (error) {
    return String((error as { stderr: string }).stderr)
  }
}

t.test('a CRL as openssl and verifyPath read it', async (t) => {
  const it = await labWithTwo()
  const { lab, first, second } = it
  const verdict = (leaf: typeof first, crl: Uint8Array) => {
    const roots = [parseCertificate(lab.issuingCertificate)]
    const verified = verifyPath({ leaf, intermediates: [], roots, at: start, crls: [parseCrl(crl)] })
    return verified.ok ? 'ok' : verified.code
  }
  const empty = await lab.crl()
  t.match(opensslCheck(t, it, empty, first.raw, start), /OK/)
  t.equal(verdict(first, empty), 'ok')
  t.same(Buffer.from(await lab.crl()), Buffer.from(empty), 'asked again, it is the same one')

  await lab.revoke(serialNumberHex(first), 'keyCompromise')
  await lab.revoke(serialNumberHex(first), 'superseded')
  const listing = await lab.crl()
  const issuingFile = join(t.testdir({ 'issuing.pem': pem(lab.issuingCertificate) }), 'issuing.pem')
  const shown = spawnSync('openssl', ['crl', '-inform', 'DER', '-noout', '-text', '-CAfile', issuingFile], {
    input: listing,
    encoding: 'utf8',
  })
  t.match(shown.stderr, /verify OK/)
  const text = shown.stdout
  t.match(text, /Version 2 \(0x1\)/)
  t.match(text, /X509v3 CRL Number:\s+2\n/)
  t.match(text, new RegExp(`Serial Number: ${serialNumberHex(first).toUpperCase()}\\n.*\\n.*\\n.*CRL Reason Code:\\s+Key Compromise`, 'i'))
  t.equal(text.match(/Serial Number:/g)?.length, 1, 'revoking again changes nothing')
  t.match(opensslCheck(t, it, listing, first.raw, start), /certificate revoked/)
  t.match(opensslCheck(t, it, listing, second.raw, start), /OK/)
  t.equal(verdict(first, listing), 'revoked')
  t.equal(verdict(second, listing), 'ok')
  t.match(lab.audit().at(-1), { event: 'revoked', serialNumber: serialNumberHex(first), detail: 'keyCompromise' })
  await t.rejects(lab.revoke('00ff'), { code: 'ERR_UNSUPPORTED' })
})

t.test('the next CRL is made half-way, with a number of its own', async (t) => {
  const { lab, clock, first } = await labWithTwo()
  await lab.revoke(serialNumberHex(first))
  const numberOf = async () => parseCrl(await lab.crl()).number
  t.equal(await numberOf(), 1n)
  const half = parseCrl(await lab.crl()).thisUpdate + 3.5 * day
  await clock.advance(half - start - 1)
  t.equal(await numberOf(), 1n, 'one millisecond before')
  await clock.advance(1)
  t.equal(await numberOf(), 2n)
  t.equal(parseCrl(await lab.crl()).entries.size, 1)
})

t.test('asked for by many at once while another is revoked, no two CRLs have a number in common', async (t) => {
  const { lab, first, second } = await labWithTwo()
  const asked = [
    lab.crl(),
    lab.revoke(serialNumberHex(first)).then(() => lab.crl()),
    lab.revoke(serialNumberHex(second)).then(() => lab.crl()),
  ]
  const crls = (await Promise.all(asked)).map(parseCrl)
  const byNumber = new Map(crls.map((crl) => [crl.number, Buffer.from(crl.raw).toString('hex')]))
  for (const crl of crls) t.equal(byNumber.get(crl.number), Buffer.from(crl.raw).toString('hex'))
  t.equal(parseCrl(await lab.crl()).entries.size, 2)
})

t.test('a revoked certificate renews nothing', async (t) => {
  const { lab, first } = await labWithTwo()
  const renew = async (key: KeyHandle) => {
    const signer = { certificate: first, key: await testKey('a') }
    return exchange(lab, { messageType: 'RenewalReq', key, signer, content: await csrFor({ key }) })
  }
  t.match(await renew(await testKey('c')), { status: 'success' })
  await lab.revoke(serialNumberHex(first))
  t.match(await renew(await testKey('d')), { status: 'failure', failInfo: 'badRequest' }, 'with a new key')
  t.match(await renew(await testKey('a')), { status: 'failure', failInfo: 'badRequest' }, 'with its own')
  t.equal(await enroll(lab, { key: await testKey('a'), challenge: 'secret' }), 'badRequest', 'nor is it handed out again')
  t.match(lab.audit().at(-1), { event: 'refused', detail: /revoked/ })
})

t.test('GetCert and GetCRL', async (t) => {
  const { lab, first, second } = await labWithTwo()
  const [a, b, c] = [await testKey('a'), await testKey('b'), await testKey('c')]
  const selfSigned = (key: KeyHandle) => buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: start })
  const byOther = { certificate: second, key: b }
  const forged = parseCertificate(await testCertificate({ subject: wifi.subject, key: c, issuer: { subject: 'CN=Another CA', key: c } }))
  const wanted = issuerAndSerialNumber(first)
  const unknown = issuerAndSerialNumber({ issuer: first.issuer, serialNumber: Uint8Array.of(0x7f, 1) })
  const elsewhere = issuerAndSerialNumber({ issuer: forged.issuer, serialNumber: first.serialNumber })
  const rows: [string, 'GetCert' | 'GetCRL', Uint8Array, KeyHandle, { certificate: typeof first; key: KeyHandle }, string][] = [
    ['by the certificate itself', 'GetCert', wanted, a, { certificate: first, key: a }, 'success'],
    ['by its key alone: an answer was lost', 'GetCert', wanted, a, await selfSigned(a), 'success'],
    ['by another certificate of the CA', 'GetCert', wanted, b, byOther, 'success'],
    ['by a stranger', 'GetCert', wanted, c, await selfSigned(c), 'badCertId'],
    ['by a certificate of another CA', 'GetCert', wanted, c, { certificate: forged, key: c }, 'badCertId'],
    ['of a serial number that is nobody’s', 'GetCert', unknown, b, byOther, 'badCertId'],
    ['of another issuer', 'GetCert', elsewhere, b, byOther, 'badCertId'],
    ['the CRL, by a certificate of the CA', 'GetCRL', unknown, b, byOther, 'success'],
    ['the CRL, by the key of the certificate', 'GetCRL', wanted, a, await selfSigned(a), 'success'],
    ['the CRL, by a stranger', 'GetCRL', wanted, c, await selfSigned(c), 'badCertId'],
    ['the CRL of another CA', 'GetCRL', elsewhere, b, byOther, 'badCertId'],
  ]
  for (const [name, messageType, content, key, signer, expected] of rows) {
    const reply = await exchange(lab, { messageType, content, key, signer, transactionId: 'Q' })
    t.equal(reply.status === 'failure' ? reply.failInfo : reply.status, expected, name)
    if (reply.status !== 'success') continue
    if (messageType === 'GetCert') t.same(reply.certificates.map(Buffer.from), [Buffer.from(first.raw)], 'the one, and no other')
    else t.same(reply.crls.map(Buffer.from), [Buffer.from(await lab.crl())])
  }
  await lab.revoke(serialNumberHex(second))
  const reply = await exchange(lab, { messageType: 'GetCert', content: wanted, key: b, signer: byOther, transactionId: 'Q' })
  t.match(reply, { failInfo: 'badCertId' }, 'a revoked certificate vouches for nobody')
})
