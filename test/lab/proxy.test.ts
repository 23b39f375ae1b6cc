import { execFile } from 'node:child_process'
import { createServer as createPlainServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import {
  type AgentError,
  type Clock,
  connectPush,
  createCsr,
  httpTransport,
  type PushOptions,
  registerDevice,
  type ScepHabits,
  scepProtocol,
  softwareKeys,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { verifyIssued } from '@certfleet/agent-core/pki'
import { createLab, type Lab, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { openAuthorities } from '#emulator/lab/authority.ts'
import { type ProxyOptions, serveProxy } from '#emulator/lab/proxy/web-application-proxy.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate, type TlsIdentity, type TlsRequest } from '#emulator/lab/tls/certificate.ts'
import { endOf, listenOnLoopback } from '#emulator/lab/tls/loopback.ts'
import { tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { FakeClock } from '../fakes/clock.ts'
import { pem, policyWith, registrationToken, wifi } from './surroundings.ts'

const ndesName = 'ndes01.corp.contoso.example'
const publicName = 'localhost'
const run = promisify(execFile)

/** Everything here is judged by the machine's clock, as curl and node do. */
const store = memoryLabStore()
const policy = policyWith(wifi)
const lab = await createLab({ store, clock: systemClock, policyFor: () => policy, registrationToken })
const issuer = (await openAuthorities(store, systemClock, 2048)).present()
const root = issuer.root.raw
const foreign = await makeTlsAuthority({ clock: systemClock, name: 'Somebody Else' })
const certificate = (request: Partial<TlsRequest> = {}, by = issuer as typeof foreign) =>
  issueTlsCertificate({ publicName, purposes: ['server'], ...request }, by, systemClock)
const published = await certificate()
const inside = await certificate({ publicName: 'ndes.contoso.example', internalNames: [ndesName] })

interface Received {
  readonly url: string
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** A server behind TLS that remembers what it was asked. */
async function upstreamOf(t: Test, listener: RequestListener, identity: TlsIdentity = inside) {
  const received: Received[] = []
  const server = createServer({ ...tlsServerOptions(identity), maxHeaderSize: 256 * 1024 }, async (incoming, outgoing) => {
    received.push({ url: incoming.url ?? '', rawHeaders: incoming.rawHeaders, body: await text(incoming) })
    listener(incoming, outgoing)
  })
  t.teardown(endOf(server))
  return { port: await listenOnLoopback(server, 0), received }
}

async function text(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function proxyOf(t: Test, port: number, options: Partial<ProxyOptions> = {}) {
  const told: unknown[] = []
  const proxy = await serveProxy({
    publicName,
    certificate: published,
    upstream: { port, serverName: ndesName },
    trust: [root],
    clock: systemClock,
    onError: (error) => told.push(error),
    ...options,
  })
  t.teardown(() => proxy.close())
  return { ...proxy, told }
}

/** What comes back for bytes over TLS, whole; the error's code where there is no TLS. */
function say(port: number, bytes: string, { servername = publicName, quiet = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, ca: pem(root), servername, checkServerIdentity: () => undefined })
    let heard = ''
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
    })
    socket.on('error', (error: Error & { code?: string }) => resolve(error.code ?? error.message))
    socket.on('close', () => resolve(heard))
    socket.on('secureConnect', () => socket.write(bytes, 'latin1'))
    if (!quiet) socket.on('end', () => socket.end())
  })
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? Number.NaN)
const get = (target: string, ...headers: string[]) =>
  [`GET ${target} HTTP/1.1`, `host: ${publicName}`, 'connection: close', ...headers, '', ''].join('\r\n')

t.test('ndes.proxy-uri, ndes.longest-url: URLs of 65534 bytes go through both ways; one byte more is 414', async (t) => {
  const upstream = await upstreamOf(t, ({ url = '' }, outgoing) => outgoing.writeHead(302, { location: url }).end())
  const { port } = await proxyOf(t, upstream.port)
  const query = (bytes: number) => '/scep?message='.padEnd(bytes, '%41')
  const rows: [string, string, number][] = [
    ['a path of 65534 bytes', `/${'a'.repeat(65_533)}`, 302],
    ['a path of 65535 bytes', `/${'a'.repeat(65_534)}`, 414],
    ['a query of 65534 bytes', query(65_534), 302],
    ['a query of 65535 bytes', query(65_535), 414],
    ['in absolute form, the name not counted', `https://${publicName}:1${query(65_534)}`, 302],
    ['in absolute form, one more', `https://${publicName}${query(65_535)}`, 414],
    ['a plain one', '/?operation=GetCACaps', 302],
  ]
  for (const [name, target, status] of rows) {
    const answer = await say(port, get(target))
    t.equal(statusOf(answer), status, name)
    if (status !== 302) continue
    const path = target.replace(/^https:..[^/]*/, '')
    t.equal(upstream.received.at(-1)?.url, path, `${name}, as it arrives`)
    t.ok(answer.includes(`\r\nlocation: ${path}\r\n`), `${name}, as it comes back`)
  }
  t.notMatch(await say(port, get(`/${'a'.repeat(131_072)}`)), / 302 /, 'more than all headers may have is cut')
})

t.test('what the proxy itself refuses', async (t) => {
  const upstream = await upstreamOf(t, (_, outgoing) => outgoing.end('through'))
  const { port, told } = await proxyOf(t, upstream.port)
  const request = (...lines: string[]) => [...lines, 'connection: close', '', ''].join('\r\n')
  const post = (body: string) => request('POST / HTTP/1.1', `host: ${publicName}`, `content-length: ${body.length}`) + body
  const chunked = 'transfer-encoding: chunked'
  const rows: [string, string, number][] = [
    ['the public name', request('GET / HTTP/1.1', 'host: LocalHost:444'), 200],
    ['another Host', request('GET / HTTP/1.1', 'host: other.example'), 421],
    ['the internal name for Host', request('GET / HTTP/1.1', `host: ${ndesName}`), 421],
    ['no Host', request('GET / HTTP/1.1'), 400],
    ['two Hosts', request('GET / HTTP/1.1', `host: ${publicName}`, `host: ${publicName}`), 400],
    ['the public name in absolute form', request(`GET https://${publicName}/x HTTP/1.1`, 'host: other.example'), 200],
    ['another name in absolute form', request('GET https://other.example/ HTTP/1.1', `host: ${publicName}`), 421],
    ['http in absolute form', request(`GET http://${publicName}/ HTTP/1.1`, `host: ${publicName}`), 400],
    ['an asterisk', request('OPTIONS * HTTP/1.1', `host: ${publicName}`), 400],
    ['TRACE', request('TRACE / HTTP/1.1', `host: ${publicName}`), 405],
    ['a body of 1 MiB', post('a'.repeat(1024 * 1024)), 200],
    ['a larger body', post('a'.repeat(1024 * 1024 + 1)), 413],
    ['two lengths', request('POST / HTTP/1.1', `host: ${publicName}`, 'content-length: 1', 'content-length: 2'), 400],
    ['a length and chunks', `${request('POST / HTTP/1.1', `host: ${publicName}`, 'content-length: 1', chunked)}0\r\n\r\n`, 400],
    ['HEAD', request('HEAD / HTTP/1.1', `host: ${publicName}`), 200],
    ['octets that no URL has', request('GET /\xff\xe9\x80 HTTP/1.1', `host: ${publicName}`), 400],
    ['octets in a header', request('GET / HTTP/1.1', `host: ${publicName}`, 'x-any: \xff\xe9\x80'), 200],
    ['an upgrade that Connection does not name', request('GET / HTTP/1.1', `host: ${publicName}`, 'upgrade: websocket'), 200],
  ]
  for (const [name, bytes, status] of rows) t.equal(statusOf(await say(port, bytes)), status, name)
  t.equal(await say(port, `CONNECT ${publicName}:443 HTTP/1.1\r\nhost: ${publicName}\r\n\r\n`), '', 'CONNECT is closed')
  t.equal(upstream.received.length, rows.filter(([, , status]) => status === 200).length, 'NDES was asked only for what was let through')
  t.same(told, [])
})

t.test('service.application-proxy: S59: names that do not match', async (t) => {
  const ok: RequestListener = (_, outgoing) => outgoing.end('through')
  const upstream = await upstreamOf(t, ok)
  const { port } = await proxyOf(t, upstream.port)
  t.equal(statusOf(await say(port, get('/'))), 200, 'the public name by SNI')
  t.match(await say(port, get('/'), { servername: 'other.example' }), /ECONNRESET|SSL|TLS|^$/, 'another SNI ends the handshake')
  t.notMatch(await say(port, get('/'), { servername: 'other.example' }), /HTTP/)

  const misnamed = serveProxy({
    publicName: 'scep.contoso.example',
    certificate: published,
    upstream: { port, serverName: ndesName },
    trust: [root],
    clock: systemClock,
  })
  await t.rejects(misnamed, { code: 'ERR_CERTIFICATE_MISMATCH' }, 'a certificate that is not for the public name')
  const client = await certificate({ purposes: ['client'] })
  const noServer = serveProxy({
    publicName,
    certificate: client,
    upstream: { port, serverName: ndesName },
    trust: [root],
    clock: systemClock,
  })
  await t.rejects(noServer, { code: 'ERR_CERTIFICATE_MISMATCH' }, 'a certificate that is not for servers')

  const yearMs = 365 * 86_400_000
  const inYears: Clock = { ...systemClock, now: () => systemClock.now() + 2 * yearMs }
  const rows: [string, TlsIdentity, Partial<ProxyOptions>, number, string?][] = [
    ['NDES by its internal name', inside, {}, 200],
    ['NDES by its public name', inside, { upstream: { port: 0, serverName: 'ndes.contoso.example' } }, 200],
    ['a certificate for another name', published, {}, 502, 'no subjectAltName of the leaf'],
    ['a certificate of another root', await certificate({ publicName: ndesName }, foreign), {}, 502, 'no issuer is known'],
    ['no root is trusted', inside, { trust: [] }, 502, 'no issuer is known'],
    ['the other root is trusted', await certificate({ publicName: ndesName }, foreign), { trust: [foreign.root.raw] }, 200],
    ['a client certificate', await certificate({ publicName: ndesName, purposes: ['client'] }), {}, 502, 'extendedKeyUsage'],
    ['one that has expired, by the clock of the proxy', inside, { clock: inYears }, 502, 'expired'],
  ]
  for (const [name, identity, options, status, reason] of rows) {
    const { port: behind, received } = await upstreamOf(t, ok, identity)
    const upstream = { serverName: options.upstream?.serverName ?? ndesName, port: behind }
    const proxy = await proxyOf(t, behind, { ...options, upstream })
    t.equal(statusOf(await say(proxy.port, get('/?secret'))), status, name)
    t.equal(received.length, status === 200 ? 1 : 0, `${name}: nothing is sent to whom is not trusted`)
    if (reason) t.match((proxy.told[0] as AgentError).message, reason)
  }
})

t.test('headers of one hop stay there, the others pass as they are', async (t) => {
  const upstream = await upstreamOf(t, (_, outgoing) => {
    outgoing.writeHead(200, [
      'connection',
      'x-mine',
      'x-mine',
      '1',
      'set-cookie',
      'a',
      'set-cookie',
      'b',
      'keep-alive',
      'x',
      'x-kept',
      'yes',
    ])
    outgoing.end('body')
  })
  const { port } = await proxyOf(t, upstream.port)
  const hop = [
    'Connection: close, x-private',
    'X-Private: 1',
    'TE: trailers',
    'Keep-Alive: 5',
    'Proxy-Authorization: Basic eA==',
    'Upgrade: h2c',
  ]
  const lines = [
    'POST /x HTTP/1.1',
    `host: ${publicName}`,
    ...hop,
    'X-Kept: a',
    'X-Kept: b',
    'transfer-encoding: chunked',
    'expect: 100-continue',
  ]
  const answer = await say(port, `${lines.join('\r\n')}\r\n\r\n3\r\nabc\r\n0\r\n\r\n`)
  const [received] = upstream.received
  const names = received?.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
  t.same(names, ['x-kept', 'x-kept', 'host', 'via', 'connection', 'content-length'])
  t.equal(received?.rawHeaders[received.rawHeaders.indexOf('host') + 1], ndesName, 'Host is the name of NDES')
  t.equal(received?.rawHeaders[received.rawHeaders.indexOf('connection') + 1], 'close', 'of its own hop')
  t.equal(received?.body, 'abc')
  t.match(answer, /set-cookie: a\r\nset-cookie: b\r\nx-kept: yes\r\n/)
  t.notMatch(answer, /x-mine|keep-alive/i)
})

t.test('an answer of any length comes through, framed anew', async (t) => {
  const parts = ['a', 'b', 'c'].map((letter) => letter.repeat(1_000_000))
  const upstream = await upstreamOf(t, (_, outgoing) => {
    for (const part of parts) outgoing.write(part)
    outgoing.end()
  })
  const { port } = await proxyOf(t, upstream.port)
  const transport = httpTransport({ allowLoopback: true, trustAnchors: [root] })
  t.teardown(() => transport.close())
  const { headers, body } = await transport.send({ method: 'GET', url: `https://${publicName}:${port}/`, headers: {} })
  t.equal(headers['transfer-encoding'], 'chunked')
  t.ok(Buffer.from(body).equals(Buffer.from(parts.join(''))))
})

t.test('502 where NDES is down or speaks no HTTP, 504 where it is slow, and no word why', async (t) => {
  const closed = createPlainServer()
  const nobody = await listenOnLoopback(closed, 0)
  await endOf(closed)()
  const rude = await upstreamOf(t, (incoming) => incoming.socket.end('nonsense\r\n\r\n'))
  const odd = await upstreamOf(t, (incoming) => incoming.socket.end('HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n'))
  const switching = await upstreamOf(t, (incoming) => incoming.socket.end('HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'))
  const gone = await upstreamOf(t, (incoming) => incoming.socket.destroy())
  const plain = createPlainServer((_, outgoing) => outgoing.end('plain'))
  t.teardown(endOf(plain))
  for (const [name, port] of [
    ['down', nobody],
    ['no HTTP', rude.port],
    ['a status that there is not', odd.port],
    ['another protocol', switching.port],
    ['closed at once', gone.port],
    ['no TLS', await listenOnLoopback(plain, 0)],
  ] as const) {
    const proxy = await proxyOf(t, port)
    const answer = await say(proxy.port, get('/?secret'))
    t.equal(statusOf(answer), 502, name)
    t.match(answer, /content-length: 0\r\n/)
    t.match(proxy.told, [{ code: 'ERR_NETWORK' }])
    t.notMatch(String(proxy.told), /secret/)
  }

  const clock = new FakeClock(systemClock.now())
  const silent = connectableOnly(t)
  const slow = await upstreamOf(t, () => clock.advance(10_000))
  const halfway = await upstreamOf(t, (_, outgoing) => {
    outgoing.writeHead(200, { 'content-length': '10' }).write('half')
    outgoing.socket?.once('drain', () => undefined)
    setImmediate(() => clock.advance(10_000))
  })
  const timeoutMs = 10_000
  const late = await proxyOf(t, slow.port, { clock, timeoutMs })
  t.equal(statusOf(await say(late.port, get('/'))), 504, 'no answer')
  const cut = await proxyOf(t, halfway.port, { clock, timeoutMs })
  t.notMatch(await say(cut.port, get('/')), /half.{6}/, 'an answer that breaks off is broken off')
  const mute = await proxyOf(t, await silent.port, { clock, timeoutMs })
  silent.onConnection = () => clock.advance(10_000)
  t.equal(statusOf(await say(mute.port, get('/'))), 504, 'no handshake')
  t.equal(clock.sleeping, 0, 'no timer is left')
})

/** Takes connections and says nothing. */
function connectableOnly(t: Test) {
  const server = createPlainServer()
  const silent = { port: listenOnLoopback(server, 0), onConnection: () => undefined as unknown }
  server.removeAllListeners('connection')
  const end = endOf(server)
  server.on('connection', () => silent.onConnection())
  t.teardown(end)
  return silent
}

t.test('a client that is slow is cut, one that leaves ends the exchange', async (t) => {
  const upstream = await upstreamOf(t, () => undefined)
  const { port } = await proxyOf(t, upstream.port, { timeoutMs: 100 })
  t.equal(statusOf(await say(port, 'GET / HTTP/1.1\r\nhost:')), 408, 'in its headers')
  t.equal(statusOf(await say(port, `POST / HTTP/1.1\r\nhost: ${publicName}\r\ncontent-length: 9\r\n\r\nhalf`)), 408, 'in its body')

  const clock = new FakeClock(systemClock.now())
  const asked = new Promise<IncomingMessage>((resolve) => {
    upstreamOf(t, (incoming) => resolve(incoming)).then(({ port }) => start(port))
  })
  async function start(port: number) {
    const proxy = await proxyOf(t, port, { clock })
    const socket = connect({ host: '127.0.0.1', port: proxy.port, servername: publicName, ca: pem(root) })
    socket.write(get('/'))
    await asked
    socket.destroy()
  }
  const incoming = await asked
  await new Promise((resolve) => incoming.socket.once('close', resolve))
  t.equal(clock.sleeping, 0, 'no timer is left')
})

t.test('more connections than it may have are closed', async (t) => {
  const upstream = await upstreamOf(t, (_, outgoing) => outgoing.end())
  const { port } = await proxyOf(t, upstream.port, { maxConnections: 1 })
  const first = connectPlain(port, '127.0.0.1')
  first.on('error', () => undefined)
  await new Promise((resolve) => first.once('connect', resolve))
  t.notMatch(await say(port, get('/')), /HTTP/)
  first.destroy()
})

t.test('more requests at once than it may have are 503, on one connection too', async (t) => {
  const upstream = await upstreamOf(t, (_, outgoing) => outgoing.end('through'))
  const { port } = await proxyOf(t, upstream.port, { maxConnections: 2 })
  const one = `GET / HTTP/1.1\r\nhost: ${publicName}\r\n\r\n`
  const answer = await say(port, one + one + one)
  t.same(answer.match(/HTTP.1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 503'])
  t.match(answer, /retry-after: 1\r\n/)
  t.equal(statusOf(await say(port, get('/'))), 200, 'and afterwards there is room again')
})

t.test('close ends what is open', async (t) => {
  const upstream = await upstreamOf(t, () => undefined)
  const proxy = await serveProxy({
    publicName,
    certificate: published,
    upstream: { port: upstream.port, serverName: ndesName },
    trust: [root],
    clock: systemClock,
  })
  const answer = say(proxy.port, get('/'))
  while (upstream.received.length === 0) await new Promise(setImmediate)
  await Promise.all([proxy.close(), proxy.close()])
  t.notMatch(await answer, /HTTP/)
})

/** The lab behind TLS, as serveLab would put it there: here an HTTPS server before its HTTP one. */
async function labBehindTls(t: Test, lab: Lab): Promise<number> {
  const server = createServer({ ...tlsServerOptions(inside), maxHeaderSize: 128 * 1024 }, async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const { method, url = '/', headers } = incoming
    const response = await lab.handle({
      method: method === 'POST' ? 'POST' : 'GET',
      url,
      headers: headers as Record<string, string>,
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    })
    outgoing.writeHead(response.status, response.headers).end(response.body)
  })
  t.teardown(endOf(server))
  return listenOnLoopback(server, 0)
}

const habits: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'test/1',
  signerSubject: 'csr-subject',
  renewal: 'PKCSReq',
  urls: 'first',
}

t.test('a whole enrolment through the proxy: register, challenge, SCEP, over TLS that the agent trusts by its root', async (t) => {
  const proxy = await proxyOf(t, await labBehindTls(t, lab))
  const transport = httpTransport({ allowLoopback: true, trustAnchors: [root] })
  t.teardown(() => transport.close())
  const policyUrl = `${proxy.url}/device/policy`
  const device = { deviceId: 'device-1', platform: 'windows', osVersion: '11' } as const
  const { credential } = await registerDevice({ policyUrl, transport, registrationToken, ...device })
  const asked = await transport.send({
    method: 'POST',
    url: `${proxy.url}/device/challenge`,
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify({ profileId: 'wifi', attemptId: 'attempt-1' })),
  })
  const { challenge } = JSON.parse(Buffer.from(asked.body).toString())
  const key = await softwareKeys().generate({ algorithm: 'rsa', bits: 2048 }, 'wifi')
  const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = wifi
  const csr = await createCsr({ subject, subjectAltNames, keyUsages, extendedKeyUsages, key, hash: 'sha256', challenge })
  const protocol = scepProtocol({
    urls: [`${proxy.url}/certsrv/mscep/mscep.dll`],
    habits,
    transport,
    trust: { root },
    clock: systemClock,
    jitter: systemJitter,
  })
  const outcome = await protocol.request({ csr, key }, new AbortController().signal)
  t.equal(outcome.status, 'issued')
  if (outcome.status !== 'issued') return
  const request = { subject, subjectAltNames, keySpec: { algorithm: 'rsa', bits: 2048 } as const }
  const { leaf } = verifyIssued({ issued: outcome.chain, request, key, root, at: systemClock.now() })
  t.equal([...lab.issued()].filter(({ certificate }) => Buffer.compare(certificate, leaf.raw) === 0).length, 1)

  const stranger = httpTransport({ allowLoopback: true, trustAnchors: [foreign.root.raw] })
  t.teardown(() => stranger.close())
  await t.rejects(stranger.send({ method: 'GET', url: policyUrl, headers: {} }), { code: 'ERR_NETWORK' }, 'not by another root')
})

/** The lab's own server behind the proxy, and a device that is registered there. */
async function pushThrough(t: Test, options: Partial<ProxyOptions> = {}) {
  const served = await serveLab(lab, { tls: inside })
  t.teardown(() => served.close())
  const proxy = await proxyOf(t, Number(new URL(served.url).port), options)
  const transport = httpTransport({ allowLoopback: true, trustAnchors: [root] })
  t.teardown(() => transport.close())
  const policyUrl = `${proxy.url}/device/policy`
  const deviceId = `pushed-${++pushed}`
  const { credential } = await registerDevice({ policyUrl, transport, registrationToken, deviceId, platform: 'windows', osVersion: '11' })
  const heard = { wakes: 0, down: [] as AgentError[] }
  const push = (given: Partial<PushOptions> = {}) => {
    const onWake = () => void heard.wakes++
    const onDown = (reason: AgentError) => void heard.down.push(reason)
    const channel = connectPush({
      policyUrl,
      credential,
      clock: systemClock,
      jitter: systemJitter,
      onWake,
      onDown,
      trustAnchors: [root],
      ...given,
    })
    t.teardown(() => channel.close())
    return channel
  }
  return { served, proxy, deviceId, credential, heard, push }
}
let pushed = 0

const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise(setImmediate)
}

t.test("the agent's push channel goes through, and the end of one side is the end of the other", async (t) => {
  const { served, proxy, deviceId, heard, push } = await pushThrough(t)
  const channel = push()
  await until(() => heard.wakes === 1)
  t.equal(lab.wake(deviceId), 1)
  await until(() => heard.wakes === 2)
  await channel.close()
  await until(() => lab.wake(deviceId) === 0)
  t.same(heard.down, [], 'the device left')

  const again = push()
  await until(() => heard.wakes === 3)
  await proxy.close()
  await until(() => lab.wake(deviceId) === 0)
  await until(() => heard.down.length === 1)
  await again.close()
  t.match(heard.down, [{ code: 'ERR_NETWORK' }], 'the proxy ended')
  t.same(proxy.told, [])

  const other = await pushThrough(t)
  const last = other.push()
  await until(() => other.heard.wakes === 1)
  await other.served.close()
  await until(() => other.heard.down.length === 1)
  await last.close()
  t.match(other.heard.down, [{ code: 'ERR_NETWORK', message: /ended/ }], 'the lab ended')
  await served.close()
})

t.test('what answers an upgrade in place of a WebSocket', async (t) => {
  const { proxy, heard, push } = await pushThrough(t)
  const channel = push({ credential: 'nobody' })
  await until(() => heard.down.length === 1)
  await channel.close()
  t.match(heard.down, [{ code: 'ERR_UNAUTHORIZED', message: /answered 401/ }], "the lab's answer is passed on")
  const stranger = push({ trustAnchors: [foreign.root.raw] })
  await until(() => heard.down.length === 2)
  await stranger.close()
  t.match(heard.down[1], { code: 'ERR_NETWORK' })

  const upgrading = (target: string, ...lines: string[]) => [`GET ${target} HTTP/1.1`, ...lines, 'connection: Upgrade', '', ''].join('\r\n')
  const host = `host: ${publicName}`
  const webSocket = 'upgrade: WebSocket'
  const rows: [string, string, number][] = [
    ['no place for a WebSocket', upgrading('/elsewhere', host, webSocket), 404],
    ['no key', upgrading('/device/push', host, webSocket), 401],
    ['another Host', upgrading('/device/push', 'host: other.example', webSocket), 421],
    ['no Host', upgrading('/device/push', webSocket), 400],
    ['a long URL', upgrading(`/${'a'.repeat(65_534)}`, host, webSocket), 414],
    ['another protocol', upgrading('/', host, 'upgrade: h2c'), 501],
    ['one of two protocols', upgrading('/', host, 'upgrade: websocket, h2c'), 501],
    ['another method', upgrading('/device/push', host, webSocket).replace('GET', 'POST'), 501],
  ]
  for (const [name, bytes, status] of rows) t.equal(statusOf(await say(proxy.port, bytes)), status, name)
  const smuggled = await say(proxy.port, upgrading('/elsewhere', host, webSocket) + get('/certsrv/mscep/mscep.dll'))
  t.equal(smuggled.match(/HTTP.1.1/g)?.length, 1, 'nothing behind a refused upgrade is read as a request')
  t.same(proxy.told, [])

  const upstreams: [string, RequestListener, number][] = [
    ['an answer with a body', (_, outgoing) => outgoing.writeHead(200, { 'x-kept': 'yes' }).end('body'), 200],
    ['another protocol', ({ socket }) => socket.end('HTTP/1.1 101 Yes\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'), 502],
    ['a status that there is not', ({ socket }) => socket.end('HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n'), 502],
    ['no HTTP', ({ socket }) => socket.end('nonsense\r\n\r\n'), 502],
    ['closed at once', ({ socket }) => socket.destroy(), 502],
  ]
  for (const [name, listener, status] of upstreams) {
    const upstream = await upstreamOf(t, listener)
    const answering = await proxyOf(t, upstream.port)
    const answer = await say(answering.port, upgrading('/', host, webSocket))
    t.equal(statusOf(answer), status, name)
    if (status === 200) t.match(answer, /x-kept: yes\r\n.*\r\n\r\nbody$/s)
    else t.match(answering.told, [{ code: 'ERR_NETWORK' }], name)
  }
  const clock = new FakeClock(systemClock.now())
  const mute = await proxyOf(t, (await upstreamOf(t, () => clock.advance(5000))).port, { clock, timeoutMs: 5000 })
  t.equal(statusOf(await say(mute.port, upgrading('/', host, webSocket))), 504, 'no answer in time')
  t.equal(clock.sleeping, 0)
})

t.test('a WebSocket passes what is sent early and late, without loss, and is ended when it is silent', async (t) => {
  const size = 3_000_000
  let ended = 0
  const server = createServer(tlsServerOptions(inside))
  server.on('upgrade', (_, socket, head) => {
    socket.on('error', () => undefined)
    socket.on('close', () => ended++)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-kept: yes\r\n\r\nearly')
    socket.write(head)
    socket.on('data', (chunk: Buffer) => socket.write(chunk))
  })
  t.teardown(endOf(server))
  const { port } = await proxyOf(t, await listenOnLoopback(server, 0), { timeoutMs: 50 })
  const socket = connect({ host: '127.0.0.1', port, ca: pem(root), servername: publicName })
  let heard = ''
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('latin1')
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const key = 'sec-websocket-key: x'
  socket.write(`GET / HTTP/1.1\r\nhost: ${publicName}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n\r\nhead`)
  await until(() => heard.endsWith('earlyhead'))
  t.match(heard, /^HTTP.1.1 101 Switching Protocols\r\nx-kept: yes\r\n/)
  socket.write('a'.repeat(size))
  await until(() => heard.length > size)
  t.ok(heard.endsWith(`earlyhead${'a'.repeat(size)}`))
  await closed
  await until(() => ended === 1)
})

t.test('curl and openssl s_client, from outside', async (t) => {
  const proxy = await proxyOf(t, await labBehindTls(t, lab))
  const folder = t.testdir({ 'root.pem': pem(root) })
  const trust = join(folder, 'root.pem')
  const curl = async (...args: string[]) =>
    (await run('curl', ['--silent', '--noproxy', '*', '--cacert', trust, '--write-out', '%{http_code}', ...args])).stdout
  const ndes = `${proxy.url}/certsrv/mscep/mscep.dll`
  t.equal(await curl(ndes), '403', 'the health probe (S57)')
  t.match(await curl(`${ndes}?operation=GetCACaps`), /POSTPKIOperation.*200$/s)
  const path = '/certsrv/mscep/mscep.dll?operation=GetCACaps&x='
  t.match(await curl(`${proxy.url}${path.padEnd(65_534, 'a')}`), /200$/, '65534 bytes')
  t.equal(await curl(`${proxy.url}${path.padEnd(65_535, 'a')}`), '414', '65535 bytes')
  await t.rejects(curl(`https://127.0.0.1:${proxy.port}/`), { code: 60 }, 'the certificate is for no other name')
  const byAddress = await proxyOf(t, await labBehindTls(t, lab), {
    publicName: '127.0.0.1',
    certificate: await certificate({ publicName: '127.0.0.1' }),
  })
  t.equal(await curl(`${byAddress.url}/certsrv/mscep/mscep.dll`), '403', 'an address for a name')
  const { stdout } = await run('sh', [
    '-c',
    `openssl s_client -connect 127.0.0.1:${proxy.port} -servername ${publicName} -verify_hostname ${publicName} -verify_return_error -CAfile ${trust} </dev/null`,
  ])
  t.match(stdout, /Verify return code: 0 \(ok\)/)
  await t.rejects(
    run('sh', ['-c', `openssl s_client -connect 127.0.0.1:${proxy.port} -servername other.example -CAfile ${trust} </dev/null`]),
    'openssl: another SNI',
  )
})
