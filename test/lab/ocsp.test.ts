import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constructed, integer, octetString, oid, primitive, readSequence, sequence, Tag, tlv } from '@certfleet/agent-core/der'
import { parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { type Lab, type LabOptions, lmdbLabStore, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { enrolled, pem, startLab } from './surroundings.ts'

const hour = 3_600_000
const day = 24 * hour

/** openssl judges an OCSP answer by the host's clock. */
async function labOfToday(options: Partial<LabOptions> = {}) {
  const clock = new FakeClock(Date.now())
  const { lab } = await startLab({ staticChallenge: 'secret', ...options, clock })
  const issue = async (label: string) => parseCertificate(await enrolled(lab, { key: await testKey(label), challenge: 'secret' }))
  return { lab, clock, issue }
}

interface Authority {
  readonly rootCertificate: Uint8Array
  readonly issuingCertificate: Uint8Array
}

const authorityOf = ({ rootCertificate, issuingCertificate }: Lab): Authority => ({ rootCertificate, issuingCertificate })

/** A folder with the CA's certificates and the leaf's, and the arguments that name them. */
function filesFor(t: Test, { rootCertificate, issuingCertificate }: Authority, ...leaves: readonly Uint8Array[]) {
  const folder = t.testdir({})
  const file = (name: string, text: string | Uint8Array) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const trust = ['-CAfile', file('root.pem', pem(rootCertificate)), '-verify_other', file('chain.pem', pem(issuingCertificate))]
  const certs = leaves.flatMap((leaf, i) => ['-cert', file(`leaf-${i}.pem`, pem(leaf))])
  return { folder, file, trust, asked: ['-issuer', file('issuing.pem', pem(issuingCertificate)), ...certs] }
}

function openssl(args: readonly string[]): string {
  const { stdout, stderr } = spawnSync('openssl', ['ocsp', ...args], { encoding: 'utf8' })
  return stderr + stdout
}

/** Beside this process, which serves the answer. */
function opensslAlive(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('openssl', ['ocsp', ...args])
    let text = ''
    child.stdout.on('data', (chunk) => (text += chunk))
    child.stderr.on('data', (chunk) => (text += chunk))
    child.on('close', () => resolve(text))
  })
}

const get = (lab: Lab, path: string) => lab.handle({ method: 'GET', url: path, headers: {} })
const postTo = (lab: Lab, body: Uint8Array) => lab.handle({ method: 'POST', url: '/ocsp', headers: {}, body })

/** What openssl says of the lab's answer to openssl's request, by POST, in process. */
async function ask(t: Test, lab: Lab, authority: Authority, leaf: Uint8Array, ...more: readonly string[]): Promise<string> {
  const { folder, file, trust, asked: named } = filesFor(t, authority, leaf)
  const asked = [...named, ...more]
  openssl(['-no_nonce', ...asked, '-reqout', join(folder, 'request.der')])
  const { body } = await postTo(lab, readFileSync(join(folder, 'request.der')))
  return openssl(['-no_nonce', '-respin', file('response.der', body), ...asked, ...trust, '-resp_text'])
}

t.test('openssl verifies the answers of a served lab: good, revoked with time and reason, unknown', async (t) => {
  const { lab, issue, clock } = await labOfToday()
  const [good, revoked, held] = [await issue('a'), await issue('b'), await issue('c')]
  await lab.revoke(serialNumberHex(revoked), 'keyCompromise')
  await lab.revoke(serialNumberHex(held), 'certificateHold')
  const served = await serveLab(lab)
  t.teardown(() => served.close())
  const { trust, asked } = filesFor(t, lab, good.raw, revoked.raw, held.raw)
  for (const digest of ['-sha1', '-sha256', '-sha384']) {
    const text = await opensslAlive([digest, ...asked, '-serial', '0x1234', '-url', `${served.url}/ocsp`, ...trust])
    t.match(text, /Response verify OK/, digest)
    t.notMatch(text, /nonce|error/i)
    t.match(text, /leaf-0\.pem: good/)
    t.match(text, /leaf-1\.pem: revoked\n.*\n.*\n\tReason: keyCompromise\n\tRevocation Time: /)
    t.match(text, /leaf-2\.pem: revoked\n.*\n.*\n\tReason: certificateHold/)
    t.match(text, /0x1234: unknown/)
    const [, time = ''] = /Revocation Time: (.*)/.exec(text) ?? []
    t.equal(Date.parse(time), Math.floor(clock.now() / 1000) * 1000)
  }
  await lab.revoke(serialNumberHex(held), 'removeFromCRL')
  t.match(await opensslAlive([...asked, '-url', `${served.url}/ocsp`, ...trust]), /leaf-2\.pem: good/)
})

t.test('GET as RFC 5019 has it, and what may be kept of it', async (t) => {
  const { lab, issue, clock } = await labOfToday()
  const leaf = await issue('a')
  const { folder, file, trust, asked } = filesFor(t, lab, leaf.raw)
  const request = (name: string, ...more: string[]) => {
    openssl([...more, ...asked, '-reqout', join(folder, name)])
    return spawnSync('openssl', ['base64', '-A', '-in', join(folder, name)], { encoding: 'utf8' }).stdout
  }
  const plain = request('plain.der', '-no_nonce')
  for (const [name, path] of [
    ['escaped', `/ocsp/${encodeURIComponent(plain)}`],
    ['not escaped', `/ocsp/${plain}`],
    ['in capitals', `/OCSP/${plain}`],
  ] as const) {
    const { status, headers, body } = await get(lab, path)
    t.equal(status, 200, name)
    t.equal(headers['content-type'], 'application/ocsp-response')
    t.equal(headers['cache-control'], 'max-age=3600, public, no-transform, must-revalidate')
    t.equal(Date.parse(headers.expires ?? ''), Math.floor(clock.now() / 1000) * 1000 + hour)
    t.match(headers.etag, /^"[0-9a-f]{64}"$/)
    const text = openssl(['-respin', file('response.der', body), '-no_nonce', ...asked, ...trust, '-resp_text'])
    t.match(text, /Response verify OK[\s\S]*leaf-0\.pem: good/, name)
    t.match(text, /Produced At/)
  }
  const withNonce = await get(lab, `/ocsp/${encodeURIComponent(request('nonce.der'))}`)
  t.equal(withNonce.headers['cache-control'], 'no-store', 'one with a nonce is for its asker')
  for (const path of ['/ocsp', '/ocsp/', '/ocsp/%', '/ocsp/M!', '/ocsp/AAAA']) {
    const { status, body, headers } = await get(lab, path)
    t.same([status, Buffer.from(body).toString('hex')], [200, '30030a0101'], `${path}: malformedRequest`)
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('the answer is signed by whom the CA authorised, for a week, and renews that itself', async (t) => {
  const { lab, clock, issue } = await labOfToday({ templateValidityMs: 60 * day })
  const leaf = await issue('a')
  const responderOf = async () => {
    const text = await ask(t, lab, lab, leaf.raw)
    t.match(text, /OCSP Signing/)
    t.match(text, /OCSP No Check/)
    const [, serial = '', after = ''] = /Certificate:[\s\S]*Serial Number:\s+(\S+)[\s\S]*Not After : (.*)/.exec(text) ?? []
    return { serial, notAfter: Date.parse(after) }
  }
  const begun = clock.now()
  const first = await responderOf()
  t.ok(first.notAfter > begun + 6 * day && first.notAfter <= begun + 7 * day, 'short-lived')
  t.same(await responderOf(), first, 'the same again')
  await clock.advance(3 * day)
  t.same(await responderOf(), first, 'more than half is left')
  await clock.advance(day)
  const second = await responderOf()
  t.not(second.serial, first.serial, 'less than half')
  const all = await Promise.all(Array.from({ length: 5 }, responderOf))
  t.equal(new Set(all.map(({ serial }) => serial)).size, 1)
  await clock.advance(parseCertificate(lab.issuingCertificate).notAfter - clock.now() - 2 * hour)
  t.match(await ask(t, lab, lab, leaf.raw), /Cert Status: good/, 'the last week of the CA')
  await clock.advance(hour + 1)
  t.match(await ask(t, lab, lab, leaf.raw), /unauthorized/, 'its last hour')
})

t.test('a CA that was rolled over answers for its certificates still', async (t) => {
  const { lab, clock, issue } = await labOfToday()
  const old = await issue('a')
  const former = authorityOf(lab)
  await lab.prepareRollOver(clock.now() + 1000)
  await clock.advance(1000)
  const fresh = await issue('b')
  await lab.revoke(serialNumberHex(old), 'superseded')
  t.match(await ask(t, lab, former, old.raw), /Response verify OK[\s\S]*leaf-0\.pem: revoked/)
  t.match(await ask(t, lab, lab, fresh.raw), /Response verify OK[\s\S]*leaf-0\.pem: good/)
  const foreign = await ask(t, lab, former, old.raw, '-serial', `0x${serialNumberHex(fresh)}`)
  t.match(foreign, /Response verify OK[\s\S]*0x\w+: unknown/, 'a serial number of the other CA')
  t.match(await ask(t, lab, former, fresh.raw), /unauthorized/, 'the name of one and the key of the other')
})

/** CertID, by another way than the one under test. */
function certId(digest: string, name: Uint8Array, key: Uint8Array, serial: Uint8Array): Uint8Array {
  return sequence(sequence(oid(digest)), octetString(name), octetString(key), tlv(Tag.Integer, serial))
}

const requestOf = (list: readonly Uint8Array[], ...more: readonly Uint8Array[]) =>
  sequence(sequence(sequence(...list.map((id) => sequence(id))), ...more))
const nonceOf = (value: Uint8Array) => extensions({ type: '1.3.6.1.5.5.7.48.1.2', value })
const extensions = ({ type, value, critical = false }: { type: string; value: Uint8Array; critical?: boolean }) =>
  tlv(constructed(2), sequence(sequence(oid(type), ...(critical ? [tlv(Tag.Boolean, Uint8Array.of(0xff))] : []), octetString(value))))

t.test('what is refused, and how', async (t) => {
  const store = await lmdbLabStore(t.testdir())
  t.teardown(() => store.close())
  const { lab, issue } = await labOfToday({ store })
  const leaf = await issue('a')
  const { folder, asked } = filesFor(t, lab, leaf.raw)
  openssl(['-no_nonce', ...asked, '-reqout', join(folder, 'good.der')])
  const good = readFileSync(join(folder, 'good.der'))
  const ours = good.subarray(good.indexOf(Buffer.from([0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e])) - 2)
  const [algorithm, name, key] = readSequence(ours, 'CertID').map(({ raw }) => raw) as [Uint8Array, Uint8Array, Uint8Array]
  const numbered = (serial: Uint8Array) => sequence(algorithm, name, key, tlv(Tag.Integer, serial))
  const other = certId('1.3.14.3.2.26', randomBytes(20), randomBytes(20), Uint8Array.of(1))
  /** OCSPResponseStatus. */
  const codeOf = async (body: Uint8Array) => readSequence((await postTo(lab, body)).body, 'answer')[0]?.value[0]
  const rows: [string, Uint8Array, number][] = [
    ['the good one', good, 0],
    ['version 1, written out', sequence(sequence(tlv(constructed(0), integer(0)), sequence(sequence(ours)))), 0],
    ['a requestor’s name', sequence(sequence(tlv(constructed(1), tlv(primitive(2), Buffer.from('x'))), sequence(sequence(ours)))), 0],
    ['64 certificates', requestOf(Array.from({ length: 64 }, () => ours)), 0],
    ['65 certificates', requestOf(Array.from({ length: 65 }, () => ours)), 1],
    ['none', requestOf([]), 1],
    ['nothing', new Uint8Array(), 1],
    ['16 KiB and more', requestOf([ours], nonceOf(new Uint8Array(17 * 1024))), 1],
    ['version 2', sequence(sequence(tlv(constructed(0), integer(1)), sequence(sequence(ours)))), 1],
    ['a nonce of 1 octet', requestOf([ours], nonceOf(octetString(new Uint8Array(1)))), 0],
    ['a nonce of 32 octets', requestOf([ours], nonceOf(octetString(new Uint8Array(32)))), 0],
    ['a nonce of 128 octets', requestOf([ours], nonceOf(octetString(new Uint8Array(128)))), 0],
    ['a nonce of 129 octets', requestOf([ours], nonceOf(octetString(new Uint8Array(129)))), 1],
    ['an empty nonce', requestOf([ours], nonceOf(octetString(new Uint8Array()))), 1],
    ['a nonce that is no OCTET STRING', requestOf([ours], nonceOf(new Uint8Array(16))), 1],
    ['an unknown extension', requestOf([ours], extensions({ type: '1.2.3.4', value: integer(1) })), 0],
    ['an unknown critical extension', requestOf([ours], extensions({ type: '1.2.3.4', value: integer(1), critical: true })), 1],
    ['a serial number of 15,000 octets', requestOf([numbered(new Uint8Array(15_000).fill(1))]), 0],
    ['a negative serial number', requestOf([numbered(Uint8Array.of(0x80))]), 0],
    ['no serial number', requestOf([numbered(new Uint8Array())]), 1],
    ['bytes behind it', Buffer.concat([good, Buffer.of(0)]), 1],
    ['another CA', requestOf([other]), 6],
    ['another CA beside this one', requestOf([ours, other]), 6],
    ['a digest that nobody uses', requestOf([certId('1.2.840.113549.2.5', randomBytes(16), randomBytes(16), Uint8Array.of(1))]), 6],
  ]
  for (const [name, body, code] of rows) t.equal(await codeOf(body), code, name)
  for (let length = 0; length < good.length; length++) if ((await codeOf(good.subarray(0, length))) !== 1) t.fail(`${length} octets of it`)
})

t.test('the nonce comes back', async (t) => {
  const { lab, issue } = await labOfToday()
  const { folder, file, trust, asked } = filesFor(t, lab, (await issue('a')).raw)
  const request = (name: string) => {
    openssl([...asked, '-reqout', join(folder, name)])
    return join(folder, name)
  }
  const mine = request('mine.der')
  const response = file('response.der', (await postTo(lab, readFileSync(mine))).body)
  const compared = (reqin: string) => openssl(['-reqin', reqin, '-respin', response, ...trust])
  t.equal(compared(mine), 'Response verify OK\n')
  t.match(compared(request('another.der')), /Nonce Verify error/)
})

t.test('what the CA made for the RA is good too, renewed or not', async (t) => {
  const { lab } = await labOfToday()
  const before = await raCertificates(t, lab)
  await lab.ndes.renewRegistrationAuthority()
  const after = await raCertificates(t, lab)
  t.notSame(after.map(serialNumberHex), before.map(serialNumberHex))
  for (const { raw } of [...before, ...after]) t.match(await ask(t, lab, lab, raw), /leaf-0\.pem: good/)
})

async function raCertificates(t: Test, lab: Lab) {
  const ra = (await lab.handle({ method: 'GET', url: '/scep?operation=GetCACert', headers: {} })).body
  const { stdout } = spawnSync('openssl', ['pkcs7', '-inform', 'DER', '-print_certs'], { input: ra, encoding: 'utf8' })
  const certificates =
    stdout
      .match(/-----BEGIN[\s\S]*?-----END CERTIFICATE-----/g)
      ?.map((text) => Buffer.from(text.replace(/-----.*-----|\n/g, ''), 'base64')) ?? []
  const signing = certificates.map((der) => parseCertificate(der)).filter(({ basicConstraints }) => !basicConstraints?.ca)
  t.equal(signing.length, 2)
  return signing
}

t.test('an answer of another responder is none that openssl takes', async (t) => {
  const { lab, issue } = await labOfToday()
  const leaf = await issue('a')
  const key = await testKey('z')
  const stranger = {
    rootCertificate: await testCertificate({ subject: 'CN=Another', key, ca: true }),
    issuingCertificate: lab.issuingCertificate,
  }
  t.match(await ask(t, lab, stranger, leaf.raw), /Response Verify Failure/)
})
