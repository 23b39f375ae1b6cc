import { execFile, spawn } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { connect, createServer } from 'node:tls'
import { inspect, promisify } from 'node:util'
import { AgentError, type KeyHandle, memoryStores, modelledTpm, noLatency, softwareKeyHandle, systemClock } from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  buildCrl,
  type Certificate,
  extendedKeyUsageExtension,
  fingerprintOf,
  type KeyUsageBit,
  keyIdentifierOf,
  keyUsageExtension,
  PurposeOid,
  parseCertificate,
  serialNumberHex,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { buildRequestSigner } from '@certfleet/agent-core/scep/messages'
import { createLab, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { type Authority, freshSerialNumber, openAuthorities } from '#emulator/lab/authority.ts'
import { connectGateway, type GatewayConnection } from '#emulator/lab/gateway/device.ts'
import { type GatewayOptions, serveGateway } from '#emulator/lab/gateway/gateway.ts'
import { byCrl, type GatewayRefusal, type RevocationAnswer, type RevocationCheck } from '#emulator/lab/gateway/judge.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { endOf, listenOnLoopback } from '#emulator/lab/tls/loopback.ts'
import { certificatePem, tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { challengeFor, csrFor, enrolled, exchange, policyWith, register, start, startLab, wifi } from './surroundings.ts'

const run = promisify(execFile)
const dayMs = 86_400_000
const serverName = 'vpn.contoso.example'
const { lab, store, clock: labClock } = await startLab()
const authority = (await openAuthorities(store, labClock, 2048)).present()
const root = lab.rootCertificate
const wifiRoot = await makeTlsAuthority({ clock: labClock, name: 'Wi-Fi Root' })
const gatewayCertificate = await issueTlsCertificate({ publicName: serverName, purposes: ['server'] }, wifiRoot, labClock)

interface Device {
  readonly chain: readonly Uint8Array[]
  readonly key: KeyHandle
  readonly privateKey: KeyObject
}

interface Shape {
  readonly issuer?: { readonly certificate: Certificate; readonly key: KeyHandle } | undefined
  readonly purposes?: readonly string[]
  readonly keyUsages?: readonly KeyUsageBit[]
  readonly ca?: boolean
  readonly validityMs?: number
  readonly privateKey?: KeyObject
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** A device's certificate of any shape, by the lab's CA unless said otherwise; self-signed by `issuer: undefined`. */
async function deviceWith(shape: Shape = {}): Promise<Device> {
  const { purposes = [PurposeOid.ClientAuth], keyUsages = ['digitalSignature'], privateKey = newKey() } = shape
  const issuer = 'issuer' in shape ? shape.issuer : authority.issuing
  const key = softwareKeyHandle(privateKey, 'device')
  const subject = 'CN=device-1'
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: issuer?.certificate.subject ?? subject,
    subject,
    publicKey: key.publicKey,
    notBefore: start,
    notAfter: start + (shape.validityMs ?? 30 * dayMs),
    extensions: [
      basicConstraintsExtension({ ca: shape.ca ?? false }),
      keyUsageExtension(keyUsages),
      ...(purposes.length > 0 ? [extendedKeyUsageExtension(purposes)] : []),
      subjectKeyIdentifierExtension(key.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf((issuer?.key ?? key).publicKey)),
    ],
    signer: issuer?.key ?? key,
    hash: 'sha256',
  })
  return { chain: [certificate, ...(issuer ? [issuer.certificate.raw] : [])], key, privateKey }
}

async function gatewayOf(t: Test, options: Partial<GatewayOptions> = {}) {
  const clock = new FakeClock(start)
  const told: unknown[] = []
  const gateway = await serveGateway({
    certificate: gatewayCertificate,
    roots: [root],
    clock,
    onError: (error) => told.push(error),
    ...options,
  })
  t.teardown(() => gateway.close())
  const stores = memoryStores()
  await stores.install('computer-root', wifiRoot.root.raw)
  const visitor = { port: gateway.port, serverName, stores, delivered: [wifiRoot.root.raw, root], clock: new FakeClock(start) }
  return { gateway, clock, told, stores, visitor }
}

/** What a visit comes to, above TLS: let in, or the code of the failure. */
async function visit(connection: GatewayConnection): Promise<string> {
  try {
    const link = await connectGateway(connection)
    link.close()
    return 'admitted'
  } catch (error) {
    if (error instanceof AgentError) return error.code
    throw error
  }
}

/** The same by a client certificate in the handshake: what the device hears. */
function visitInTls(port: number, device?: Pick<Device, 'chain' | 'privateKey'>): Promise<string> {
  return new Promise((resolve) => {
    const identity = device && {
      cert: device.chain.map(certificatePem).join(''),
      key: device.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }
    const socket = connect({ host: '127.0.0.1', port, servername: serverName, rejectUnauthorized: false, ...identity })
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk
      if (heard.endsWith('\n')) socket.end()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(heard))
    if (!device) socket.on('secureConnect', () => socket.end())
  })
}

t.test('an enrolled device comes in; every other stays out, and is not told why', async (t) => {
  const revoked = new Set<string>()
  const { gateway, visitor } = await gatewayOf(t, { revocation: async (leaf) => (revoked.has(serialNumberHex(leaf)) ? 'revoked' : 'good') })
  const foreign = await makeTlsAuthority({ clock: labClock, name: 'Somebody Else' })
  const impostor = { certificate: authority.issuing.certificate, key: foreign.issuing.key }
  const withdrawn = await deviceWith()
  revoked.add(serialNumberHex(parseCertificate(withdrawn.chain[0] as Uint8Array)))
  const alone = await deviceWith()
  const rows: [string, Device, 'admitted' | GatewayRefusal][] = [
    ['an enrolled device', await deviceWith(), 'admitted'],
    ['for any purpose', await deviceWith({ purposes: [PurposeOid.Any] }), 'admitted'],
    ['self-signed', await deviceWith({ issuer: undefined }), 'self-signed'],
    ['of another CA', await deviceWith({ issuer: foreign.issuing }), 'foreign'],
    ['of a CA that only has the name', await deviceWith({ issuer: impostor }), 'foreign'],
    ['without the certificate of its CA', { ...alone, chain: alone.chain.slice(0, 1) }, 'foreign'],
    ['for servers', await deviceWith({ purposes: [PurposeOid.ServerAuth] }), 'wrong-purpose'],
    ['for no purpose in particular', await deviceWith({ purposes: [] }), 'wrong-purpose'],
    ['for key encipherment alone (S35)', await deviceWith({ keyUsages: ['keyEncipherment'] }), 'wrong-purpose'],
    ['revoked', withdrawn, 'revoked'],
    ['a CA', await deviceWith({ ca: true, keyUsages: ['keyCertSign', 'digitalSignature'] }), 'invalid'],
    ['of a life that ended before it began', await deviceWith({ validityMs: -1000 }), 'expired'],
  ]
  for (const [name, { chain, key, privateKey }, expected] of rows) {
    const heard = await visit({ ...visitor, identity: { chain, key } })
    t.equal(heard, expected === 'admitted' ? 'admitted' : 'ERR_UNAUTHORIZED', `${name}, above TLS`)
    const leaf = parseCertificate(chain[0] as Uint8Array)
    const seen = {
      at: start,
      by: 'exporter',
      subject: 'CN=device-1',
      serialNumber: serialNumberHex(leaf),
      fingerprint: fingerprintOf(leaf.raw),
    }
    t.match(
      gateway.visits().at(-1),
      expected === 'admitted' ? { ...seen, refusal: undefined } : { ...seen, refusal: expected, detail: String },
    )
    // OpenSSL's client sends no certificate that is not for clients; whoever shows none has nothing to show.
    const inTls = await visitInTls(gateway.port, { chain, privateKey })
    t.equal(inTls, expected === 'admitted' ? 'admitted\n' : '', `${name}, in TLS`)
    t.equal(gateway.visits().at(-1)?.refusal, expected === 'admitted' ? undefined : expected)
    t.equal(gateway.visits().at(-1)?.by, 'tls')
  }
  t.equal(await visitInTls(gateway.port), '', 'no certificate')
  t.match(gateway.visits().at(-1), { refusal: 'no-certificate', by: undefined })
  t.equal(gateway.visits().length, 2 * rows.length + 1)
})

t.test('boundaries in time, on both sides', async (t) => {
  const { gateway, clock, visitor } = await gatewayOf(t)
  const { chain, key } = await deviceWith({ validityMs: 10 * dayMs })
  const steps: [string, number, 'admitted' | GatewayRefusal][] = [
    ['the first second', 0, 'admitted'],
    ['the last second', 10 * dayMs, 'admitted'],
    ['its last millisecond', 999, 'admitted'],
    ['the next second', 1, 'expired'],
  ]
  for (const [name, afterMs, expected] of steps) {
    await clock.advance(afterMs)
    await visit({ ...visitor, identity: { chain, key } })
    t.equal(gateway.visits().at(-1)?.refusal ?? 'admitted', expected, name)
  }
  const early = await gatewayOf(t, { clock: new FakeClock(start - 1) })
  await visit({ ...early.visitor, identity: { chain, key } })
  t.equal(early.gateway.visits().at(-1)?.refusal, 'not-yet-valid')
})

t.test('a device that the lab enrolled is let in until it is revoked, by the CRL of its CA', async (t) => {
  const clock = new FakeClock(start)
  const revocation = byCrl(lab.crlOf, clock)
  const { gateway, visitor } = await gatewayOf(t, { clock, revocation })
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const key = softwareKeyHandle(privateKey, 'wifi')
  const certificate = await enrolled(lab, { key, challenge: await challengeFor(lab, await register(lab)) })
  const identity = { chain: [certificate, lab.issuingCertificate, root], key }
  t.equal(await visit({ ...visitor, identity }), 'admitted')
  await lab.revoke(serialNumberHex(parseCertificate(certificate)))
  t.equal(await visit({ ...visitor, identity }), 'ERR_UNAUTHORIZED')
  t.match(gateway.visits().at(-1), { refusal: 'revoked', subject: 'CN=device-1, O=Example' })
})

t.test('after a roll-over a device is judged by the CRL of the CA that issued to it', async (t) => {
  const { lab, clock } = await startLab()
  const takesOverAt = start + 10 * dayMs
  const oldRoot = lab.rootCertificate
  const credential = await register(lab)
  const issue = async (name: string) => {
    const key = await testKey(name)
    const certificate = await enrolled(lab, { key, challenge: await challengeFor(lab, credential, name) })
    return { identity: { chain: [certificate, lab.issuingCertificate], key }, serialNumber: serialNumberHex(parseCertificate(certificate)) }
  }
  const old = await issue('a')
  const nextRoot = await lab.prepareRollOver(takesOverAt)
  const roots = [oldRoot, nextRoot]
  const { gateway, visitor } = await gatewayOf(t, { clock, roots, revocation: byCrl(lab.crlOf, clock) })
  const come = async ({ identity }: typeof old, to = { gateway, visitor }) => {
    await visit({ ...to.visitor, clock, identity })
    return to.gateway.visits().at(-1)?.refusal ?? 'admitted'
  }
  t.equal(await come(old), 'admitted', 'before')
  await clock.advance(10 * dayMs)
  t.notSame(lab.rootCertificate, oldRoot)
  const fresh = await issue('b')
  t.equal(await come(old), 'admitted', 'of the old CA, not revoked')
  t.equal(await come(fresh), 'admitted', 'of the new CA, not revoked')
  const onlyPresent = await gatewayOf(t, { clock, roots, revocation: byCrl(() => lab.crl(), clock) })
  t.equal(await come(old, onlyPresent), 'revocation-unknown', 'the CRL of another CA tells nothing')
  await lab.revoke(old.serialNumber)
  t.equal(await come(old), 'revoked', 'of the old CA, revoked after the roll-over')
  t.equal(await come(fresh), 'admitted', 'which is nothing to one of the new CA')
  await lab.revoke(fresh.serialNumber)
  t.equal(await come(fresh), 'revoked', 'of the new CA, revoked')
  t.equal(await lab.crlOf(fingerprintOf(nextRoot)), undefined, 'a root issues to no device')
})

t.test("revocation by the lab's OCSP responder, which openssl asks", async (t) => {
  const registrationToken = 'token'
  const live = await createLab({
    store: memoryLabStore(),
    clock: systemClock,
    policyFor: () => policyWith(wifi),
    registrationToken,
    staticChallenge: 'static',
  })
  const served = await serveLab(live)
  t.teardown(() => served.close())
  const revocation: RevocationCheck = async (leaf, issuer) => {
    const folder = t.testdir({
      'leaf.pem': certificatePem(leaf.raw),
      'issuer.pem': certificatePem(issuer.raw),
      'trust.pem': certificatePem(live.rootCertificate) + certificatePem(issuer.raw),
    })
    const of = ['-issuer', 'issuer.pem', '-cert', 'leaf.pem', '-CAfile', 'trust.pem', '-url', `${served.url}/ocsp`]
    const { stdout } = await run('openssl', ['ocsp', ...of], { cwd: folder })
    return (/leaf.pem: (good|revoked|unknown)/.exec(stdout)?.[1] ?? 'unknown') as RevocationAnswer
  }
  const { gateway, visitor } = await gatewayOf(t, { clock: systemClock, roots: [live.rootCertificate], revocation })
  const key = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'wifi')
  const asked = await csrFor({ key, challenge: 'static' })
  const signer = await buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: systemClock.now() })
  const reply = await exchange(live, { key, content: asked, signer })
  t.equal(reply.status, 'success')
  if (reply.status !== 'success') return
  const certificate = reply.certificates[0] as Uint8Array
  const identity = { chain: [certificate, live.issuingCertificate], key }
  t.equal(await visit({ ...visitor, identity }), 'admitted')
  await live.revoke(serialNumberHex(parseCertificate(certificate)))
  t.equal(await visit({ ...visitor, identity }), 'ERR_UNAUTHORIZED')
  t.match(gateway.visits().at(-1), { refusal: 'revoked' })
})

t.test('what a CRL says, and when it counts', async (t) => {
  const device = await deviceWith()
  const leaf = parseCertificate(device.chain[0] as Uint8Array)
  const issuer = authority.issuing.certificate
  const foreign = await makeTlsAuthority({ clock: labClock, name: 'Somebody Else' })
  const crl = (by: Pick<Authority['issuing'], 'key'>, revoked: boolean) =>
    buildCrl({
      issuer: issuer.subject,
      number: 1,
      thisUpdate: start,
      nextUpdate: start + 1000,
      entries: revoked ? [{ serialNumber: leaf.serialNumber, revokedAt: start, reason: 'keyCompromise' }] : [],
      signer: by.key,
      hash: 'sha256',
    })
  const good = await crl(authority.issuing, false)
  const rows: [string, Uint8Array | undefined, number, RevocationAnswer][] = [
    ['it is not on it', good, start, 'good'],
    ['until nextUpdate', good, start + 1000, 'good'],
    ['no longer than nextUpdate', good, start + 1001, 'unknown'],
    ['not before thisUpdate', good, start - 1, 'unknown'],
    ['it is on it', await crl(authority.issuing, true), start, 'revoked'],
    ['signed by somebody else', await crl(foreign.issuing, false), start, 'unknown'],
    ['none is to be had', undefined, start, 'unknown'],
    ['nonsense', Buffer.from('nonsense'), start, 'unknown'],
  ]
  for (const [name, der, at, expected] of rows)
    t.equal(await byCrl(async () => der, { ...labClock, now: () => at, sleep: async () => undefined })(leaf, issuer), expected, name)
})

t.test('where revocation cannot be told nobody comes in, and an answer by OCSP is a function', async (t) => {
  const device = await deviceWith()
  const answers: [string, () => Promise<RevocationAnswer>, GatewayRefusal | undefined, number][] = [
    ['good', async () => 'good', undefined, 0],
    ['revoked', async () => 'revoked', 'revoked', 0],
    ['unknown', async () => 'unknown', 'revocation-unknown', 0],
    ['the responder is down', () => Promise.reject(new AgentError('ERR_NETWORK', 'the responder is down')), 'revocation-unknown', 1],
    ['a bug', () => Promise.reject(new TypeError('bug')), 'revocation-unknown', 1],
  ]
  for (const [name, revocation, refusal, toldCount] of answers) {
    const { gateway, visitor, told } = await gatewayOf(t, { revocation })
    await visit({ ...visitor, identity: device })
    t.equal(gateway.visits().at(-1)?.refusal, refusal, name)
    t.equal(told.length, toldCount)
  }
})

t.test("a certificate without its key gets nobody in, nor does another connection's proof", async (t) => {
  const { gateway, visitor } = await gatewayOf(t)
  const device = await deviceWith()
  const thief = await deviceWith()
  const stolen = { ...thief.key, publicKey: device.key.publicKey }
  t.equal(await visit({ ...visitor, identity: { chain: device.chain, key: stolen } }), 'ERR_UNAUTHORIZED')
  t.match(gateway.visits().at(-1), { refusal: 'not-proven' })

  const signed: Uint8Array[] = []
  const recording: KeyHandle = {
    ...device.key,
    sign: async (data, hash) => {
      const signature = await device.key.sign(data, hash)
      signed.push(signature)
      return signature
    },
  }
  t.equal(await visit({ ...visitor, identity: { chain: device.chain, key: recording } }), 'admitted')
  const replaying = { ...device.key, sign: async () => signed[0] as Uint8Array }
  t.equal(await visit({ ...visitor, identity: { chain: device.chain, key: replaying } }), 'ERR_UNAUTHORIZED')
  t.match(gateway.visits().at(-1), { refusal: 'not-proven' })
})

t.test('what is no proof is refused, whatever it is', async (t) => {
  const { gateway } = await gatewayOf(t)
  const rows: [string, string, GatewayRefusal][] = [
    ['no JSON', 'hello\n', 'unreadable'],
    ['another shape', '{"chain":[]}\n', 'unreadable'],
    ['no certificate', `${JSON.stringify({ chain: ['MAA='], hash: 'sha256', signature: 'MAA=' })}\n`, 'unreadable'],
    ['SHA-1', `${JSON.stringify({ chain: ['MAA='], hash: 'sha1', signature: 'MAA=' })}\n`, 'unreadable'],
    ['a line without end', 'a'.repeat(70_000), 'no-certificate'],
    ['an end', '', 'no-certificate'],
  ]
  for (const [name, bytes, refusal] of rows) {
    const heard = await new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: gateway.port, servername: serverName, rejectUnauthorized: false })
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(text))
      socket.on('secureConnect', () => (bytes === '' ? socket.end() : socket.write(bytes)))
    })
    t.equal(heard, '', name)
    t.equal(gateway.visits().at(-1)?.refusal, refusal, name)
  }
})

t.test('slow and hostile connections are cut', async (t) => {
  const { gateway, clock } = await gatewayOf(t, { timeoutMs: 1000, maxConnections: 1 })
  const open = () => connect({ host: '127.0.0.1', port: gateway.port, servername: serverName, rejectUnauthorized: false })
  const mute = open()
  mute.on('error', () => undefined)
  const closed = new Promise((resolve) => mute.once('close', resolve))
  while (clock.sleeping === 0) await new Promise(setImmediate)
  const second = open()
  await new Promise((resolve) => second.on('error', resolve).on('close', resolve))
  await clock.advance(999)
  t.equal(gateway.visits().length, 0)
  await clock.advance(1)
  await closed
  t.match(gateway.visits(), [{ refusal: 'too-slow' }])
  t.equal(clock.sleeping, 0)

  const old = await gatewayOf(t)
  const tls12 = connect({ host: '127.0.0.1', port: old.gateway.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false })
  await new Promise((resolve) => tls12.on('error', resolve))
  while (old.gateway.visits().length === 0) await new Promise(setImmediate)
  t.match(old.gateway.visits(), [{ refusal: 'no-certificate', detail: /handshake failed/ }])
})

t.test('a device refuses a gateway that its own stores do not trust, and shows it nothing', async (t) => {
  const identity = await deviceWith()
  const labIssuer = { root: authority.root, issuing: authority.issuing }
  const ofLab = await issueTlsCertificate({ publicName: serverName, purposes: ['server'] }, labIssuer, labClock)
  const rows: [string, Partial<GatewayOptions>, (device: Awaited<ReturnType<typeof gatewayOf>>) => unknown, string][] = [
    ['trusted', {}, () => undefined, 'admitted'],
    [
      'its root was removed',
      {},
      ({ stores }) => stores.remove({ store: 'computer-root', fingerprint: fingerprintOf(wifiRoot.root.raw) }),
      'ERR_CERTIFICATE_UNTRUSTED',
    ],
    ['its root was delivered and never installed', { certificate: ofLab }, () => undefined, 'ERR_CERTIFICATE_UNTRUSTED'],
    ['its root is installed too', { certificate: ofLab }, ({ stores }) => stores.install('computer-root', root), 'admitted'],
    [
      'its root is in an intermediate store',
      { certificate: ofLab },
      ({ stores }) => stores.install('computer-intermediate', root),
      'ERR_CERTIFICATE_UNTRUSTED',
    ],
    [
      'a certificate for clients',
      { certificate: await issueTlsCertificate({ publicName: serverName, purposes: ['client'] }, wifiRoot, labClock) },
      () => undefined,
      'ERR_CERTIFICATE_UNTRUSTED',
    ],
    [
      'a certificate for another name',
      { certificate: await issueTlsCertificate({ publicName: 'wifi.contoso.example', purposes: ['server'] }, wifiRoot, labClock) },
      () => undefined,
      'ERR_CERTIFICATE_UNTRUSTED',
    ],
    [
      'expired a second ago, by the clock of the device',
      { certificate: await issueTlsCertificate({ publicName: serverName, purposes: ['server'], validityMs: 599_000 }, wifiRoot, labClock) },
      () => undefined,
      'ERR_CERTIFICATE_UNTRUSTED',
    ],
    [
      'in its last second',
      { certificate: await issueTlsCertificate({ publicName: serverName, purposes: ['server'], validityMs: 600_000 }, wifiRoot, labClock) },
      () => undefined,
      'admitted',
    ],
  ]
  for (const [name, options, prepare, expected] of rows) {
    const device = await gatewayOf(t, options)
    await prepare(device)
    let asked = 0
    const sign: KeyHandle['sign'] = (data, hash) => {
      asked++
      return identity.key.sign(data, hash)
    }
    const key = { ...identity.key, sign }
    t.equal(await visit({ ...device.visitor, identity: { chain: identity.chain, key } }), expected, name)
    t.equal(asked, expected === 'admitted' ? 1 : 0, `${name}: the key`)
    t.same(device.gateway.visits().filter(({ by }) => by !== undefined).length, asked, `${name}: the gateway`)
  }
})

t.test('an intermediate store helps to get to a root, and is no root', async (t) => {
  const labIssuer = { root: authority.root, issuing: authority.issuing }
  const { chain, ...rest } = await issueTlsCertificate({ publicName: serverName, purposes: ['server'] }, labIssuer, labClock)
  const { visitor, stores } = await gatewayOf(t, { certificate: { ...rest, chain: chain.slice(0, 1) } })
  const connection = { ...visitor, delivered: [root, lab.issuingCertificate], identity: await deviceWith() }
  await stores.install('computer-root', root)
  t.equal(await visit(connection), 'ERR_CERTIFICATE_UNTRUSTED', 'the gateway left its CA out')
  await stores.install('computer-intermediate', lab.issuingCertificate)
  t.equal(await visit(connection), 'admitted')
  await stores.remove({ store: 'computer-root', fingerprint: fingerprintOf(root) })
  t.equal(await visit(connection), 'ERR_CERTIFICATE_UNTRUSTED')
})

t.test('a key that signs by some digests only is asked for one of them', async (t) => {
  const { visitor } = await gatewayOf(t)
  const { chain, key } = await deviceWith()
  const rows: [KeyHandle['hashes'], string][] = [
    [undefined, 'sha256'],
    [['sha384', 'sha256'], 'sha256'],
    [['sha512'], 'sha512'],
  ]
  for (const [hashes, expected] of rows) {
    const asked: string[] = []
    const sign: KeyHandle['sign'] = (data, hash) => {
      asked.push(hash)
      return key.sign(data, hash)
    }
    t.equal(await visit({ ...visitor, identity: { chain, key: { ...key, ...(hashes && { hashes }), sign } } }), 'admitted')
    t.same(asked, [expected])
  }
})

t.test('a key in a TPM proves itself without leaving it', async (t) => {
  const clock = new FakeClock(start)
  const { gateway, visitor } = await gatewayOf(t, { clock })
  const tpm = await modelledTpm({ clock, latency: noLatency }).generate({ algorithm: 'rsa', bits: 2048 }, 'device')
  t.equal(tpm.protection, 'tpm')
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: authority.issuing.certificate.subject,
    subject: 'CN=tpm-device',
    publicKey: tpm.publicKey,
    notBefore: start,
    notAfter: start + dayMs,
    extensions: [
      keyUsageExtension(['digitalSignature']),
      extendedKeyUsageExtension([PurposeOid.ClientAuth]),
      authorityKeyIdentifierExtension(keyIdentifierOf(authority.issuing.key.publicKey)),
    ],
    signer: authority.issuing.key,
    hash: 'sha256',
  })
  t.equal(await visit({ ...visitor, identity: { chain: [certificate, lab.issuingCertificate], key: tpm } }), 'admitted')
  t.match(gateway.visits().at(-1), { by: 'exporter', subject: 'CN=tpm-device' })
})

t.test('a key that fails, a gateway that is not there, one that does not answer', async (t) => {
  const { visitor } = await gatewayOf(t)
  const { chain, key } = await deviceWith()
  const gone = { ...key, sign: () => Promise.reject(new AgentError('ERR_KEY_UNAVAILABLE', 'the key is gone')) }
  await t.rejects(connectGateway({ ...visitor, identity: { chain, key: gone } }), { code: 'ERR_KEY_UNAVAILABLE' })

  const mute = createServer({ ...tlsServerOptions(gatewayCertificate) }, (socket) => socket.on('error', () => undefined).resume())
  const end = endOf(mute)
  const port = await listenOnLoopback(mute, 0)
  const clock = new FakeClock(start)
  const sign: KeyHandle['sign'] = (data, hash) => {
    clock.advance(1000)
    return key.sign(data, hash)
  }
  t.equal(await visit({ ...visitor, port, clock, timeoutMs: 1000, identity: { chain, key: { ...key, sign } } }), 'ERR_NETWORK', 'no answer')
  await end()
  t.equal(await visit({ ...visitor, port, identity: { chain, key } }), 'ERR_NETWORK', 'nobody there')
  t.equal(clock.sleeping, 0)
})

t.test('nothing of a key is in visits or links', async (t) => {
  const { gateway, visitor } = await gatewayOf(t)
  const device = await deviceWith()
  const link = await connectGateway({ ...visitor, identity: device })
  const secrets = [device.privateKey, gatewayCertificate.privateKey].map((key) => String(key.export({ format: 'jwk' }).d))
  const shown =
    inspect([gateway, gateway.visits(), link], { depth: 9, showHidden: true }) + JSON.stringify([gateway, gateway.visits(), link])
  for (const secret of secrets) t.notMatch(shown, secret)
  link.close()
})

t.test('openssl s_client comes in by a client certificate, and not without', async (t) => {
  const { gateway } = await gatewayOf(t)
  const device = await deviceWith()
  const folder = t.testdir({
    'device.pem': certificatePem(device.chain[0] as Uint8Array),
    'ca.pem': certificatePem(device.chain[1] as Uint8Array),
    'device.key': device.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'wifi.pem': certificatePem(wifiRoot.root.raw),
  })
  const verify = [
    '-verify_hostname',
    serverName,
    '-attime',
    String(Math.floor(start / 1000)),
    '-verify_return_error',
    '-CAfile',
    'wifi.pem',
  ]
  const say = (...shown: string[]) =>
    new Promise<string>((resolve) => {
      const target = ['-connect', `127.0.0.1:${gateway.port}`, '-servername', serverName]
      const client = spawn('openssl', ['s_client', '-quiet', '-no_ign_eof', ...target, ...verify, ...shown], { cwd: folder })
      let heard = ''
      client.stdout.on('data', (chunk) => {
        heard += chunk
        client.stdin.end()
      })
      client.on('close', () => resolve(heard))
      if (shown.length === 0) client.stdin.end()
    })
  t.equal(await say('-cert', 'device.pem', '-cert_chain', 'ca.pem', '-key', 'device.key'), 'admitted\n')
  t.equal(await say(), '')
  t.same(
    gateway.visits().map(({ by, refusal }) => [by, refusal]),
    [
      ['tls', undefined],
      [undefined, 'no-certificate'],
    ],
  )
})
