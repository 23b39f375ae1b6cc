import { execFile } from 'node:child_process'
import { chmodSync, existsSync } from 'node:fs'
import { createServer as createPlainServer, type IncomingMessage, type RequestListener, request } from 'node:http'
import { createServer } from 'node:https'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { httpTransport, registerDevice, scepProtocol, systemClock, systemJitter } from '@certfleet/agent-core'
import { createLab, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import { behaviourOf } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { type HttpProxyOptions, serveHttpProxy } from '#emulator/lab/proxy/http-proxy.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { endOf, listenOnLoopback } from '#emulator/lab/tls/loopback.ts'
import { certificatePem, tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { command } from '../commands/terminal.ts'
import { testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { csrFor, policyWith, registrationToken, startLab, wifi } from './surroundings.ts'

const run = promisify(execFile)
const ndesName = 'ndes.contoso.example'
const credentials = { user: 'connector', password: 'pass:wörd' }
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
  const proxy = await proxyOf(t, { 'a.example:80': port }, { credentials })
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

/** The lab, over http and over TLS by the names that the proxy lets through. */
async function labBehindProxy(t: Test) {
  const lab = await createLab({
    store: memoryLabStore(),
    clock: systemClock,
    policyFor: () => policyWith(wifi),
    registrationToken,
    staticChallenge: 'open-sesame-17',
  })
  const tls = await issueTlsCertificate({ publicName: ndesName, purposes: ['server'] }, authority, systemClock)
  const [plain, secure] = [await serveLab(lab), await serveLab(lab, { tls })]
  t.teardown(() => Promise.all([plain.close(), secure.close()]))
  const portOf = (url: string) => Number(new URL(url).port)
  const allowed = { [`${ndesName}:80`]: portOf(plain.url), [`${ndesName}:443`]: portOf(secure.url) }
  const proxy = await proxyOf(t, allowed, { credentials })
  return { lab, proxy, options: { proxy: { url: proxy.url, credentials }, trustAnchors: [authority.root.raw] } }
}

t.test('a whole enrolment of an agent through it, with account, over http and over https', async (t) => {
  const { lab, proxy, options } = await labBehindProxy(t)
  const transport = httpTransport(options)
  t.teardown(() => transport.close())
  for (const scheme of ['http', 'https']) {
    const url = `${scheme}://${ndesName}`
    const policyUrl = `${url}/device/policy`
    const deviceId = `device-${scheme}`
    const { credential } = await registerDevice({ policyUrl, transport, registrationToken, deviceId, platform: 'windows', osVersion: '11' })
    const asked = await transport.send({
      method: 'POST',
      url: `${url}/device/challenge`,
      headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ profileId: 'wifi', attemptId: 'attempt-1' })),
    })
    const { challenge } = JSON.parse(Buffer.from(asked.body).toString())
    const key = await testKey(scheme)
    const protocol = scepProtocol({
      urls: [`${url}/certsrv/mscep/mscep.dll`],
      habits: behaviourOf('windows', '10.0.26100').habits('test'),
      transport,
      trust: { root: lab.rootCertificate },
      clock: systemClock,
      jitter: systemJitter,
    })
    const outcome = await protocol.request({ csr: await csrFor({ key, challenge }), key }, new AbortController().signal)
    t.equal(outcome.status, 'issued', url)
  }
  t.same(proxy.told, [])
})

t.test('certfleet enroll --proxy', async (t) => {
  const { proxy } = await labBehindProxy(t)
  const folder = t.testdir({ 'password.txt': `${credentials.password}\n`, 'wrong.txt': 'canary\n', 'empty.txt': '\n' })
  for (const name of ['password.txt', 'wrong.txt']) chmodSync(join(folder, name), 0o600)
  const out = join(folder, 'out')
  const url = `http://${ndesName}/certsrv/mscep/mscep.dll`
  const wish = ['enroll', '--url', url, '--subject', 'CN=laptop-1,O=Lab', '--key-curve', 'P-256']
  const through = [...wish, '--proxy', proxy.url]
  const env = { CERTFLEET_CHALLENGE: 'open-sesame-17' }
  const withPassword = { ...env, CERTFLEET_PROXY_PASSWORD: credentials.password }
  const account = ['--proxy-user', credentials.user]
  const file = (name: string) => [...account, '--proxy-password-file', join(folder, name)]

  t.match(await command([...through, ...file('password.txt'), '--out', join(folder, 'by-file')], env), {
    exitCode: 0,
    stdout: /^issued CN=laptop-1/,
  })
  const asked = await command([...through, ...account, '--out', join(folder, 'by-environment')], withPassword)
  t.match(asked, { exitCode: 0, stdout: /^issued CN=laptop-1/ })

  const other = wish.map((arg) => (arg === url ? 'https://other.example/scep' : arg))
  const noPassword = /no password for the account at the proxy: set CERTFLEET_PROXY_PASSWORD or name a file/
  const rows: [string, string[], number, RegExp][] = [
    [
      'a wrong password',
      [...through, ...file('wrong.txt')],
      1,
      /refuses the account that it was shown \(407\);.*\n {2}ERR_UNAUTHORIZED: give the account by --proxy-user/,
    ],
    ['no account', through, 1, /wants an account, and none was given \(407\);.*\n {2}ERR_UNAUTHORIZED: give/],
    [
      'a proxy that is down',
      [...wish, '--proxy', 'http://127.0.0.1:1'],
      1,
      /the proxy 127.0.0.1:1 was not reached.*ECONNREFUSED;.*\n {2}ERR_NETWORK/,
    ],
    [
      'a host that is not let through',
      [...other, '--proxy', proxy.url, ...file('password.txt')],
      1,
      /opens no connection to other.example:443 \(403\)/,
    ],
    ['a user without a password', [...through, ...account], 2, noPassword],
    ['an empty file', [...through, ...file('empty.txt')], 2, /empty.txt: its first line is empty; expected the proxy account's password/],
    [
      'a password for nobody',
      [...through, '--proxy-password-file', 'x'],
      2,
      /--proxy-password-file is for an account; name one with --proxy-user/,
    ],
    ['an account nowhere', [...wish, ...account], 2, /--proxy-user is for a proxy; name one with --proxy/],
    [
      'a password in the URL',
      [...wish, '--proxy', 'http://u:canary@p:1'],
      2,
      /--proxy: a proxy is http:.*its account is given apart from that/,
    ],
    ['no URL', [...wish, '--proxy', 'canary'], 2, /--proxy: a proxy is http:/],
  ]
  for (const [name, args, exitCode, message] of rows) {
    const { stdout, stderr, ...outcome } = await command([...args, '--out', out], env)
    t.equal(outcome.exitCode, exitCode, `${name}: ${stderr}`)
    t.match(stdout + stderr, message, name)
    t.notMatch(stdout + stderr, /canary|pass:wörd/, name)
  }
  t.notOk(existsSync(join(out, 'cert.pem')))
  chmodSync(join(folder, 'password.txt'), 0o644)
  const readable = await command([...through, ...file('password.txt'), '--out', join(folder, 'readable')], env)
  t.match(readable, { exitCode: 0, stderr: /warning: --proxy-password-file .*others on this machine can read it/ })
})
