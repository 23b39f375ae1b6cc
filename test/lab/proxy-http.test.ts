import { execFile } from 'node:child_process'
import { createServer as createPlainServer, type IncomingMessage, type RequestListener, request } from 'node:http'
import { createServer } from 'node:https'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '@certfleet/agent-core'
import { serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { ProxyAgent, request as undiciRequest } from 'undici'
import { type HttpProxyOptions, serveHttpProxy } from '#emulator/lab/proxy/http-proxy.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { endOf, listenOnLoopback } from '#emulator/lab/tls/loopback.ts'
import { certificatePem, tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { FakeClock } from '../fakes/clock.ts'
import { startLab } from './surroundings.ts'

const run = promisify(execFile)
const serviceName = 'manage.contoso.example'
const authority = await makeTlsAuthority({ clock: systemClock, name: 'Service Root' })
const service = await issueTlsCertificate({ publicName: serviceName, purposes: ['server'] }, authority, systemClock)

async function serve(t: Test, listener: RequestListener, isTls = false): Promise<number> {
  const server = isTls ? createServer(tlsServerOptions(service), listener) : createPlainServer(listener)
  t.teardown(endOf(server))
  return listenOnLoopback(server, 0)
}

async function proxyOf(t: Test, allowed: Record<string, number>, options: Partial<HttpProxyOptions> = {}) {
  const told: unknown[] = []
  const onError = (error: unknown) => told.push(error)
  const proxy = await serveHttpProxy({ allowed: new Map(Object.entries(allowed)), clock: systemClock, onError, ...options })
  t.teardown(() => proxy.close())
  return { ...proxy, port: Number(new URL(proxy.url).port), told }
}

/** What comes back for bytes, whole. */
function say(port: number, ...lines: string[]): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    let heard = ''
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(heard))
    socket.write([...lines, '', ''].join('\r\n'))
  })
}

/** A tunnel through the proxy, or the status that refuses it. */
function tunnel(port: number, authority: string, headers: Record<string, string> = {}): Promise<Socket | number> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method: 'CONNECT', path: authority, headers })
      .on('connect', (response, socket) => resolve(response.statusCode === 200 ? (socket as Socket) : (response.statusCode ?? 0)))
      .on('response', (response) => resolve(response.statusCode ?? 0))
      .on('error', reject)
      .end()
  })
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

t.test('plain http by absolute form, for what is on the list', async (t) => {
  const received: IncomingMessage[] = []
  const port = await serve(t, (incoming, outgoing) => {
    received.push(incoming)
    outgoing.end('through')
  })
  const proxy = await proxyOf(t, { 'crl.contoso.example:80': port, 'crl.contoso.example:8080': port })
  const rows: [string, string[], number][] = [
    ['on the list', ['GET http://crl.contoso.example/a?b HTTP/1.1', 'host: x', 'connection: close'], 200],
    ['whatever its case', ['GET http://CRL.contoso.example:8080/ HTTP/1.1', 'host: x', 'connection: close'], 200],
    ['without a path', ['GET http://crl.contoso.example?q HTTP/1.1', 'host: x', 'connection: close'], 200],
    ['another port', ['GET http://crl.contoso.example:81/ HTTP/1.1', 'host: x'], 403],
    ['another host', ['GET http://127.0.0.1/ HTTP/1.1', 'host: crl.contoso.example'], 403],
    ['credentials in the address', ['GET http://u@crl.contoso.example/ HTTP/1.1', 'host: x'], 403],
    ['https wants a tunnel', ['GET https://crl.contoso.example/ HTTP/1.1', 'host: x'], 400],
    ['for the proxy itself', ['GET / HTTP/1.1', 'host: crl.contoso.example'], 400],
    ['TRACE', ['TRACE http://crl.contoso.example/ HTTP/1.1', 'host: x'], 405],
    [
      'a body over 1 MiB',
      ['POST http://crl.contoso.example/ HTTP/1.1', 'host: x', `content-length: ${1024 * 1024 + 1}`, '', 'a'.repeat(1024 * 1024 + 1)],
      413,
    ],
  ]
  for (const [name, lines, status] of rows) t.equal(statusOf(await say(proxy.port, ...lines)), status, name)
  t.same(
    received.map(({ url, headers }) => [url, headers.host]),
    [
      ['/a?b', 'crl.contoso.example'],
      ['/', 'CRL.contoso.example:8080'],
      ['/?q', 'crl.contoso.example'],
    ],
  )
  t.same(proxy.told, [])
})

t.test('a tunnel by CONNECT, for what is on the list, both ways', async (t) => {
  const echo = createTcpServer((socket) => socket.pipe(socket).on('error', () => undefined))
  t.teardown(endOf(echo))
  const proxy = await proxyOf(t, { 'manage.contoso.example:443': await listenOnLoopback(echo, 0) })
  const socket = (await tunnel(proxy.port, 'Manage.contoso.example:443')) as Socket
  const sent = 'a'.repeat(1_000_000)
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk
  })
  socket.write(sent)
  socket.end()
  await new Promise((resolve) => socket.once('end', resolve))
  t.equal(heard, sent)
  for (const authority of ['manage.contoso.example:80', 'manage.contoso.example', '127.0.0.1:443', 'localhost:22'])
    t.equal(await tunnel(proxy.port, authority), 403, authority)
})

t.test('account credentials', async (t) => {
  const port = await serve(t, ({ headers }, outgoing) => outgoing.end(JSON.stringify(Object.keys(headers))))
  const proxy = await proxyOf(t, { 'a.example:80': port }, { credentials: { user: 'connector', password: 'pass:wörd' } })
  const basic = (text: string) => `proxy-authorization: Basic ${Buffer.from(text).toString('base64')}`
  const rows: [string, string[], number][] = [
    ['right', [basic('connector:pass:wörd')], 200],
    ['wrong password', [basic('connector:pass')], 407],
    ['wrong user', [basic('admin:pass:wörd')], 407],
    ['none', [], 407],
    ['another scheme', ['proxy-authorization: Bearer eA=='], 407],
    ['no base64', ['proxy-authorization: Basic ***'], 407],
    ['for the server, not for the proxy', [basic('connector:pass:wörd').replace('proxy-', '')], 407],
  ]
  for (const [name, headers, status] of rows) {
    const answer = await say(proxy.port, 'GET http://a.example/ HTTP/1.1', 'host: a.example', 'connection: close', ...headers)
    t.equal(statusOf(answer), status, name)
    if (status === 407) t.match(answer, /proxy-authenticate: Basic realm=/)
    else t.notMatch(answer, 'proxy-authorization', 'they go no further')
    const header = headers[0]?.split(': ')
    const opened = await tunnel(proxy.port, 'a.example:80', header ? { [header[0] as string]: header[1] as string } : {})
    t.equal(typeof opened === 'number' ? opened : 200, status, `${name}, for a tunnel`)
    if (typeof opened !== 'number') opened.destroy()
  }
})

t.test('what is down is 502, what is slow 504', async (t) => {
  const closed = createPlainServer()
  const nobody = await listenOnLoopback(closed, 0)
  await endOf(closed)()
  const proxy = await proxyOf(t, { 'a.example:80': nobody })
  t.equal(statusOf(await say(proxy.port, 'GET http://a.example/ HTTP/1.1', 'host: x')), 502)
  t.equal(await tunnel(proxy.port, 'a.example:80'), 502)
  t.match(proxy.told, [{ code: 'ERR_NETWORK' }, { code: 'ERR_NETWORK' }])

  const clock = new FakeClock(0)
  const slow = await serve(t, () => clock.advance(5000))
  const late = await proxyOf(t, { 'a.example:80': slow }, { clock, timeoutMs: 5000 })
  t.equal(statusOf(await say(late.port, 'GET http://a.example/ HTTP/1.1', 'host: x')), 504)
  t.equal(clock.sleeping, 0)
})

t.test('a tunnel without traffic is ended, and close ends those that are open', async (t) => {
  const accepted: Socket[] = []
  const mute = createTcpServer((socket) => accepted.push(socket.on('error', () => undefined)))
  t.teardown(endOf(mute))
  const allowed = { 'a.example:443': await listenOnLoopback(mute, 0) }
  const idle = await proxyOf(t, allowed, { timeoutMs: 100 })
  const first = (await tunnel(idle.port, 'a.example:443')) as Socket
  await new Promise((resolve) => first.resume().once('close', resolve))
  const open = await proxyOf(t, allowed)
  const second = (await tunnel(open.port, 'a.example:443')) as Socket
  const ended = new Promise((resolve) =>
    second
      .on('error', () => undefined)
      .resume()
      .once('close', resolve),
  )
  await open.close()
  await ended
  await Promise.all(accepted.map((socket) => socket.destroyed || new Promise((resolve) => socket.resume().once('close', resolve))))
  t.equal(accepted.length, 2)
})

t.test('curl, by both ways, with TLS to the end', async (t) => {
  const { lab } = await startLab()
  const served = await serveLab(lab)
  t.teardown(() => served.close())
  const secure = await serve(t, (_, outgoing) => outgoing.end('the service'), true)
  const proxy = await proxyOf(t, { [`${serviceName}:443`]: secure, 'ndes.contoso.example:80': Number(new URL(served.url).port) })
  const folder = t.testdir({ 'root.pem': certificatePem(authority.root.raw) })
  const curl = async (...args: string[]) => {
    const options = [
      '--silent',
      '--noproxy',
      '',
      '--proxy',
      proxy.url,
      '--cacert',
      join(folder, 'root.pem'),
      '--write-out',
      ' %{http_code}',
    ]
    return (await run('curl', [...options, ...args])).stdout
  }
  t.equal(await curl(`https://${serviceName}/`), 'the service 200')
  t.equal(await curl('http://ndes.contoso.example/certsrv/mscep/mscep.dll'), ' 403', 'the health probe (S57)')
  await t.rejects(curl('https://other.example/'), { code: 56 }, 'not on the list')
})

t.test("undici's ProxyAgent, which the agent's transport could take", async (t) => {
  const secure = await serve(t, (_, outgoing) => outgoing.end('the service'), true)
  const plain = await serve(t, (_, outgoing) => outgoing.end('plain'))
  const credentials = { user: 'connector', password: 'secret' }
  const proxy = await proxyOf(t, { [`${serviceName}:443`]: secure, 'a.example:80': plain }, { credentials })
  const token = `Basic ${Buffer.from('connector:secret').toString('base64')}`
  const agent = new ProxyAgent({ uri: proxy.url, token, requestTls: { ca: certificatePem(authority.root.raw) } })
  t.teardown(() => agent.close())
  const ask = async (url: string) => (await undiciRequest(url, { dispatcher: agent })).body.text()
  t.equal(await ask(`https://${serviceName}/`), 'the service')
  t.equal(await ask('http://a.example/'), 'plain')
  await t.rejects(ask('http://b.example/'))
})
