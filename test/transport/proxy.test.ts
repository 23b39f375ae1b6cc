import { execFile } from 'node:child_process'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { inspect, promisify } from 'node:util'
import { AgentError, type HttpTransportOptions, httpTransport, systemClock } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { serveHttpProxy } from '#emulator/lab/proxy/http-proxy.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { certificatePem, tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { transportContract } from '../contracts/transport.ts'
import { FakeClock } from '../fakes/clock.ts'
import { listenerOf, serve } from './server.ts'

const credentials = { user: 'connector', password: 'pass:wörd-canary' }
const account = Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')
const name = 'manage.contoso.example'
const authority = await makeTlsAuthority({ clock: systemClock, name: 'Service Root' })
const foreign = await makeTlsAuthority({ clock: systemClock, name: 'Somebody Else' })
const internal = 'manage.corp.contoso.example'
const service = await issueTlsCertificate({ publicName: name, internalNames: [internal], purposes: ['server'] }, authority, systemClock)
const trustAnchors = [authority.root.raw]
const secure = tlsServerOptions(service)
const get = (url: string) => ({ method: 'GET', url, headers: {} }) as const
const portOf = (url: string) => Number(new URL(url).port)

function open(t: Test, options: HttpTransportOptions) {
  const transport = httpTransport({ trustAnchors, ...options })
  t.teardown(() => transport.close())
  return transport
}

/** The lab's proxy with an account, and what it lets through. */
async function proxyOf(t: Test, allowed: Record<string, number> = {}) {
  const list = new Map(Object.entries(allowed))
  const served = await serveHttpProxy({ allowed: list, credentials, clock: systemClock, onError: () => undefined })
  t.teardown(() => served.close())
  return { proxy: { url: served.url, credentials }, host: new URL(served.url).host, allowed: list }
}

async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A proxy that says the same to everybody once it has heard something, and hangs up. */
async function rudeProxy(t: Test, answer: string) {
  const server = createTcpServer((socket) => socket.once('data', () => socket.end(answer)))
  return { url: `http://127.0.0.1:${await listen(t, server)}` }
}

for (const scheme of ['http', 'https'] as const) {
  await t.test(`it keeps the contract through a proxy, to a server of ${scheme}`, (t) =>
    transportContract(t, async (t, handler, maxResponseBytes) => {
      const { proxy, allowed } = await proxyOf(t)
      const listener = listenerOf(handler, () => url)
      const port = portOf(await serve(t, listener, scheme === 'https' ? secure : undefined))
      const url = `${scheme}://${name}:${port}`
      allowed.set(`${name}:${port}`, port)
      return { transport: open(t, { proxy, maxResponseBytes }), url }
    }),
  )
}

await t.test('the account is shown to the proxy and to nobody behind it; the server sees the host that was asked', async (t) => {
  const seen: object[] = []
  const listener = listenerOf(
    async ({ headers, url }) => {
      seen.push([url, headers.host, headers['proxy-authorization'], headers.authorization])
      return { status: 200, headers: {}, body: new Uint8Array() }
    },
    () => '',
  )
  const { proxy } = await proxyOf(t, {
    [`${name}:443`]: portOf(await serve(t, listener, secure)),
    [`${name}:80`]: portOf(await serve(t, listener)),
  })
  const transport = open(t, { proxy })
  const headers = { authorization: 'Bearer x' }
  for (const url of [`http://${name}/a?b=c`, `https://${name}/a?b=c`]) {
    t.equal((await transport.send({ method: 'GET', url, headers })).status, 200)
    t.same(seen.at(-1), ['/a?b=c', name, undefined, 'Bearer x'], url)
  }
  t.notMatch(inspect(transport, { depth: 9, showHidden: true }), /canary|Basic/)
})

await t.test('what goes wrong at the proxy says so, names both, and tells nothing of the account, the query or the body', async (t) => {
  const port = portOf(await serve(t, (_, response) => void response.end('hello')))
  const named = { [`${name}:80`]: port, [`${name}:443`]: port }
  const { proxy, host } = await proxyOf(t, named)
  const down = await proxyOf(t, { [`${name}:443`]: 1 })
  const status = (code: string) => rudeProxy(t, `HTTP/1.1 ${code}\r\ncontent-length: 0\r\n\r\n`)
  const rows: [string, 'http' | 'https', HttpTransportOptions['proxy'], string, RegExp][] = []
  for (const scheme of ['http', 'https'] as const) {
    const wrong = { ...credentials, password: 'canary' }
    rows.push(
      ['no account', scheme, { url: proxy.url }, 'ERR_UNAUTHORIZED', /^the proxy 127\S+ wants an account, and none was given \(407\)$/],
      ['a wrong password', scheme, { ...proxy, credentials: wrong }, 'ERR_UNAUTHORIZED', /refuses the account that it was shown \(407\)$/],
      ['nobody listens', scheme, { url: 'http://127.0.0.1:1', credentials }, 'ERR_NETWORK', /^the proxy 127.0.0.1:1 .*: ECONNREFUSED$/],
      ['it hangs up', scheme, { ...(await rudeProxy(t, '')), credentials }, 'ERR_NETWORK', /the proxy 127.*: UND_ERR_SOCKET$/],
      [
        'no HTTP',
        scheme,
        { ...(await rudeProxy(t, 'canary\r\n\r\n')), credentials },
        'ERR_NETWORK',
        /the proxy 127.*: Response does not match/,
      ],
    )
  }
  rows.push(
    [
      'it refuses the host',
      'https',
      await status('403 Forbidden'),
      'ERR_NETWORK',
      /opens no connection to manage.contoso.example:443 \(403\)$/,
    ],
    ['it is no proxy', 'https', await status('404 Not Found'), 'ERR_NETWORK', /\(404\)$/],
    ['the host is down', 'https', down.proxy, 'ERR_NETWORK', /\(502\)$/],
    ['no TLS in the tunnel', 'https', proxy, 'ERR_NETWORK', /^the request to manage.contoso.example through the proxy 127\S+ failed: /],
  )
  for (const [what, scheme, proxy, code, message] of rows) {
    const body = Buffer.from('body-canary')
    const url = `${scheme}://${name}/?query-canary`
    const error = await open(t, { proxy })
      .send({ method: 'POST', url, headers: { authorization: 'Bearer canary' }, body })
      .catch((error: unknown) => error)
    t.ok(error instanceof AgentError, what)
    t.match(error, { code, message }, `${what}, ${scheme}`)
    const told = inspect(error, { depth: 9, showHidden: true })
    t.notMatch(told, /canary/, `${what}, ${scheme}: no secret`)
    t.notOk(told.includes(account), `${what}, ${scheme}: no account`)
  }
  const transport = open(t, { proxy })
  const elsewhere = await transport.send(get('http://other.example/'))
  t.equal(elsewhere.status, 403, 'over plain http the answer of the proxy looks like one of the server')
  t.match(await transport.send(get(`http://${name}/`)), { status: 200 }, `${host} works afterwards`)
})

await t.test('the server is trusted as without a proxy: by its anchors and its name, or not', async (t) => {
  const port = portOf(await serve(t, (_, response) => void response.end(), secure))
  const { proxy } = await proxyOf(t, { [`${name}:443`]: port, 'other.example:443': port })
  const rows: [string, string, HttpTransportOptions, RegExp | 200][] = [
    ['its anchor', name, {}, 200],
    ['another anchor', name, { trustAnchors: [foreign.root.raw] }, /VERIFY|ISSUER/],
    ['no anchor', name, { trustAnchors: [] }, /VERIFY|ISSUER/],
    ['another name', 'other.example', {}, /ALTNAME/],
  ]
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
  for (const [what, host, options, expected] of rows) {
    const sent = open(t, { proxy, ...options }).send(get(`https://${host}/`))
    if (expected === 200) t.equal((await sent).status, 200, what)
    else await t.rejects(sent, { code: 'ERR_NETWORK', message: expected }, what)
  }
})

await t.test('the client identity goes through the tunnel', async (t) => {
  const { privateKey, chain } = await issueTlsCertificate({ publicName: 'agent.example', purposes: ['client'] }, authority, systemClock)
  const tls = { ...secure, ca: certificatePem(authority.root.raw), requestCert: true, rejectUnauthorized: true }
  const port = portOf(await serve(t, (_, response) => void response.end(), tls))
  const { proxy } = await proxyOf(t, { [`${name}:443`]: port })
  t.equal((await open(t, { proxy, clientIdentity: { chain, privateKey } }).send(get(`https://${name}/`))).status, 200)
  await t.rejects(open(t, { proxy }).send(get(`https://${name}/`)), { code: 'ERR_NETWORK' })
})

await t.test('addresses near the device need their option; names are left to the proxy, but for localhost', async (t) => {
  const port = portOf(await serve(t, (_, response) => void response.end()))
  const hosts = ['127.0.0.1', 'localhost', 'a.localhost', '[::1]', '169.254.169.254', '10.0.0.1', 'localhost.example', 'mylocalhost']
  const { proxy } = await proxyOf(t, Object.fromEntries(hosts.map((host) => [`${host}:${port}`, port])))
  const rows: [string, HttpTransportOptions, boolean][] = [
    ['127.0.0.1', {}, false],
    ['2130706433', {}, false],
    ['127.0.0.1', { allowLoopback: true }, true],
    ['localhost', {}, false],
    ['LOCALHOST.', {}, false],
    ['a.localhost', {}, false],
    ['a.localhost', { allowLoopback: true }, true],
    ['localhost.example', {}, true],
    ['mylocalhost', {}, true],
    ['[::1]', {}, false],
    ['[::1]', { allowLoopback: true }, true],
    ['169.254.169.254', { allowLoopback: true }, false],
    ['169.254.169.254', { allowLinkLocal: true }, true],
    ['10.0.0.1', {}, true],
  ]
  for (const [host, options, isAsked] of rows) {
    const sent = open(t, { proxy, ...options }).send(get(`http://${host}:${port}/`))
    if (isAsked) t.equal((await sent).status, 200, `${host} ${inspect(options)}`)
    else await t.rejects(sent, { code: 'ERR_UNSUPPORTED', message: /address, which only allow/ }, `${host} ${inspect(options)}`)
    const tunnel = open(t, { proxy, ...options }).send(get(`https://${host}:${port}/`))
    await t.rejects(tunnel, { code: isAsked ? 'ERR_NETWORK' : 'ERR_UNSUPPORTED' }, `${host} by a tunnel, where no TLS answers`)
  }
})

await t.test('time and close hold while the proxy says nothing', async (t) => {
  for (const scheme of ['http', 'https']) {
    const heard: (() => void)[] = []
    const mute = createTcpServer((socket) => socket.once('data', () => heard.shift()?.()))
    const url = `http://127.0.0.1:${await listen(t, mute)}`
    const asked = () => new Promise<void>((resolve) => void heard.push(resolve))
    const clock = new FakeClock()
    const transport = httpTransport({ proxy: { url }, clock, timeoutMs: 5000 })
    let connected = asked()
    const late = transport.send(get(`${scheme}://${name}/`))
    await connected
    const within = /^no response from manage.contoso.example through the proxy 127\S+ within 5000 ms$/
    await Promise.all([t.rejects(late, { code: 'ERR_NETWORK', message: within }), clock.advance(5000)])
    connected = asked()
    const stop = new AbortController()
    const stopped = transport.send(get(`${scheme}://${name}/`), stop.signal)
    if (scheme === 'https') await connected
    stop.abort('stopped')
    t.equal(await stopped.catch((reason) => reason), 'stopped')
    const cut = transport.send(get(`${scheme}://${name}/`))
    await Promise.all([t.rejects(cut, { code: 'ERR_NETWORK' }), transport.close()])
    t.equal(clock.sleeping, 0)
  }
})

await t.test('what is no proxy, or no account', (t) => {
  const unsupported = (proxy: NonNullable<HttpTransportOptions['proxy']>, what: string) => {
    const error = t.throws(() => httpTransport({ proxy }), { code: 'ERR_UNSUPPORTED' }, what) as AgentError
    t.notMatch(error.message, /canary/)
  }
  const urls = [
    '',
    'canary',
    'socks5://canary:1',
    'http://canary:canary@p:1',
    'http://canary@p',
    'http://p/canary',
    'http://p/?canary',
    'http://p/#canary',
  ]
  for (const url of urls) unsupported({ url }, url)
  for (const given of [
    { user: 'a:canary', password: 'x' },
    { user: 'canary\n', password: 'x' },
    { user: 'x', password: 'canary\r' },
  ])
    unsupported({ url: 'http://p:1', credentials: given }, inspect(given))
  t.end()
})

await t.test('a proxy over https is trusted by the CAs of the system, not by those of the server', async (t) => {
  const plain = portOf(await serve(t, (_, response) => void response.end()))
  const encrypted = portOf(await serve(t, (_, response) => void response.end(), secure))
  const { host } = await proxyOf(t, { [`${name}:80`]: plain, [`${name}:443`]: encrypted, [`${internal}:443`]: encrypted })
  const own = await issueTlsCertificate({ publicName: 'localhost', purposes: ['server'] }, foreign, systemClock)
  const front = createTlsServer(tlsServerOptions(own), (socket) => {
    const behind = connect(portOf(`http://${host}`), '127.0.0.1').on('error', () => socket.destroy())
    socket.on('error', () => behind.destroy())
    socket.pipe(behind).pipe(socket)
  })
  const proxy = { url: `https://localhost:${await listen(t, front)}`, credentials }
  for (const url of [`http://${name}/`, `https://${name}/`])
    await t.rejects(open(t, { proxy, trustAnchors: [foreign.root.raw] }).send(get(url)), {
      code: 'ERR_NETWORK',
      message: /the proxy localhost.*(VERIFY|ISSUER)/,
    })

  const folder = t.testdir({ 'system.pem': certificatePem(foreign.root.raw) })
  const program = `
    import { httpTransport } from '@certfleet/agent-core'
    const trustAnchors = [Buffer.from('${Buffer.from(authority.root.raw).toString('base64')}', 'base64')]
    const transport = httpTransport({ trustAnchors, proxy: ${JSON.stringify(proxy)} })
    const ask = (url) => transport.send({ method: 'GET', url, headers: {} }).then(({ status }) => status, ({ message }) => message)
    const urls = ['http://${name}/', 'https://${name}/', 'https://${internal}/']
    console.log(JSON.stringify(await Promise.all([...urls, ...urls, ...urls].map(ask))))
    await transport.close()`
  // Node adds this file to the system's anchors as it starts, not later.
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'system.pem') }
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, '--input-type=module', '-e', program], { env })
  t.same(JSON.parse(stdout), Array(9).fill(200), 'at once, to servers of several names')
})
