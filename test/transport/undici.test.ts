import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { AgentError, type HttpTransportOptions, httpTransport } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { transportContract } from '../contracts/transport.ts'
import { FakeClock } from '../fakes/clock.ts'
import { makeCa } from './pki.ts'
import { listenerOf, serve } from './server.ts'

function open(t: Test, options: HttpTransportOptions = {}) {
  const transport = httpTransport({ allowLoopback: true, ...options })
  t.teardown(() => transport.close())
  return transport
}

const get = (url: string) => ({ method: 'GET', url, headers: {} }) as const

await t.test('it keeps the contract', (t) =>
  transportContract(t, async (t, handler, maxResponseBytes) => {
    const url: string = await serve(
      t,
      listenerOf(handler, () => url),
    )
    return { transport: open(t, { maxResponseBytes }), url }
  }),
)

await t.test('a network that fails is ERR_NETWORK with the host and the cause, and without the query, headers and body', async (t) => {
  const reset: RequestListener = (request) => request.socket.destroy()
  const halfway: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('only this', () => response.destroy())
  }
  const garbage: RequestListener = (request) => request.socket.end('HTTP/1.1 two-hundred quoted-reply\r\n\r\n')
  for (const [name, url] of [
    ['nobody listens', 'http://127.0.0.1:1'],
    ['the connection is reset', await serve(t, reset)],
    ['the response ends halfway', await serve(t, halfway)],
    ['the response is not HTTP', await serve(t, garbage)],
  ] as const) {
    await t.test(name, async (t) => {
      const body = Buffer.from('secret-body')
      const headers = { authorization: 'Bearer secret-credential' }
      const error = await open(t)
        .send({ method: 'POST', url: `${url}/?message=secret-query`, headers, body })
        .catch((error) => error)
      t.ok(error instanceof AgentError)
      t.equal(error.code, 'ERR_NETWORK')
      t.ok(error.message.includes(new URL(url).host), error.message)
      t.ok(error.cause instanceof Error)
      t.notMatch(JSON.stringify([error.message, error.cause, error.cause.message, error.cause.data]), /secret|quoted-reply/)
    })
  }
})

await t.test('time', async (t) => {
  await t.test('the whole exchange has timeoutMs, however busily the server drips', async (t) => {
    const clock = new FakeClock()
    let dripped = () => {}
    const firstByte = new Promise<void>((resolve) => {
      dripped = resolve
    })
    const url = await serve(t, (_, response) => {
      response.write('x', () => dripped())
    })
    const sent = open(t, { clock, timeoutMs: 5000 }).send(get(url))
    await firstByte
    await clock.advance(4999)
    t.equal(clock.sleeping, 1, 'not a millisecond before')
    await Promise.all([clock.advance(1), t.rejects(sent, { code: 'ERR_NETWORK', message: /within 5000 ms/ })])
  })
  await t.test('beside others it has up to an eighth more, and never less', async (t) => {
    const clock = new FakeClock()
    const transport = open(t, { clock, timeoutMs: 5000 })
    const url = await serve(t, () => {})
    const failed: string[] = []
    const send = (name: string) => transport.send(get(url)).catch(() => failed.push(name))
    const first = send('first')
    await clock.advance(600)
    const second = send('second')
    await clock.advance(4399)
    t.same(failed, [])
    await clock.advance(1)
    t.same(failed, ['first'])
    await clock.advance(599)
    t.same(failed, ['first'])
    await clock.advance(625)
    await Promise.all([first, second])
    t.same(failed, ['first', 'second'])
    t.equal(clock.sleeping, 0)
  })
  await t.test('an exchange that ended leaves no timer', async (t) => {
    const clock = new FakeClock()
    const url = await serve(t, (_, response) => void response.end())
    await open(t, { clock }).send(get(url))
    t.equal(clock.sleeping, 0)
  })
})

await t.test('close ends a request under way with ERR_NETWORK', async (t) => {
  let arrived = () => {}
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve
  })
  const url = await serve(t, () => arrived())
  const transport = httpTransport({ allowLoopback: true })
  const sent = transport.send(get(url))
  await arrival
  await Promise.all([transport.close(), t.rejects(sent, { code: 'ERR_NETWORK' })])
})

await t.test('no content coding is asked for, and none undone', async (t) => {
  const packed = gzipSync('unpacked')
  let asked: string | undefined
  const url = await serve(t, (request, response) => {
    asked = request.headers['accept-encoding']
    response.writeHead(200, { 'content-encoding': 'gzip' })
    response.end(packed)
  })
  const { body } = await open(t).send(get(url))
  t.equal(asked, undefined)
  t.same([...body], [...packed])
})

await t.test('headers come in lower case, repeated ones as one, and none becomes a prototype', async (t) => {
  const url = await serve(t, (request) => {
    request.socket.end('HTTP/1.1 200 OK\r\nX-Twice: a\r\nX-TWICE: b\r\n__proto__: x\r\nContent-Length: 0\r\n\r\n')
  })
  const { headers } = await open(t).send(get(url))
  t.equal(headers['x-twice'], 'a, b')
  t.equal(Object.getPrototypeOf(headers), Object.prototype)
})

await t.test('a signal that requests share has one listener, ends all of them, and then has none', async (t) => {
  const url = await serve(t, () => {})
  const stop = new AbortController()
  const transport = open(t)
  const sent = Array.from({ length: 12 }, () => transport.send(get(url), stop.signal))
  t.equal(getEventListeners(stop.signal, 'abort').length, 1)
  const reason = new Error('stopped')
  stop.abort(reason)
  t.ok((await Promise.all(sent.map((one) => one.catch((error) => error)))).every((error) => error === reason))
  t.equal(getEventListeners(stop.signal, 'abort').length, 0)
})

await t.test('connections: more requests than connections wait their turn', async (t) => {
  let open_ = 0
  let most = 0
  const url = await serve(t, (_, response) => {
    most = Math.max(most, ++open_)
    setImmediate(() => {
      open_--
      response.end()
    })
  })
  const transport = open(t, { connections: 2 })
  await Promise.all(Array.from({ length: 12 }, () => transport.send(get(url))))
  t.ok(most <= 2, `${most} at once`)
})

await t.test('a request that waits for a connection is given up at once, by its signal and by its time', async (t) => {
  const clock = new FakeClock()
  let arrived = () => {}
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve
  })
  let requests = 0
  const url = await serve(t, () => {
    requests++
    arrived()
  })
  const transport = open(t, { connections: 1, clock, timeoutMs: 5000 })
  const elsewhere = transport.send(get(await serve(t, () => {})))
  const first = transport.send(get(url))
  await arrival
  const stop = new AbortController()
  const second = transport.send(get(url), stop.signal)
  const third = transport.send(get(url))
  const reason = new Error('stopped')
  stop.abort(reason)
  t.equal(await second.catch((error) => error), reason)
  const late = [elsewhere, first, third].map((sent) => t.rejects(sent, { code: 'ERR_NETWORK', message: /within 5000 ms/ }))
  await Promise.all([...late, clock.advance(5625)])
  t.equal(requests, 1)
  t.equal(clock.sleeping, 0)
})

await t.test('trust: the policy service is known by its bootstrap anchor alone', async (t) => {
  const ca = makeCa(t, 'bootstrap anchor')
  const other = makeCa(t, 'another CA')
  const hello: RequestListener = (_, response) => void response.end('hello')
  const url = await serve(t, hello, ca.server)
  await t.test('with the anchor it is accepted', async (t) => {
    t.equal((await open(t, { trustAnchors: [ca.anchor] }).send(get(url))).status, 200)
  })
  for (const [name, options] of [
    ['with the anchors of the system', {}],
    ['with no anchor', { trustAnchors: [] }],
    ['with another anchor', { trustAnchors: [other.anchor] }],
  ] as const) {
    await t.test(`${name} it is ERR_NETWORK`, async (t) => {
      await t.rejects(open(t, options).send(get(url)), { code: 'ERR_NETWORK', message: /VERIFY|ISSUER/ })
    })
  }
  await t.test('under another name it is ERR_NETWORK', async (t) => {
    const named = url.replace('127.0.0.1', 'localhost')
    await t.rejects(open(t, { trustAnchors: [ca.anchor] }).send(get(named)), { code: 'ERR_NETWORK', message: /ALTNAME/ })
  })
  await t.test('NODE_TLS_REJECT_UNAUTHORIZED=0 opens nothing', async (t) => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    t.teardown(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
    await t.rejects(open(t, { trustAnchors: [] }).send(get(url)), { code: 'ERR_NETWORK' })
  })
})

await t.test('anchors replace those of the system, even an empty list', async (t) => {
  const ca = makeCa(t, 'anchor of the system')
  const other = makeCa(t, 'another CA')
  const systemAnchors = join(t.testdir(), 'system.pem')
  writeFileSync(systemAnchors, ca.anchorPem)
  const url = await serve(t, (_, response) => void response.end(), ca.server)
  const program = `
    import { httpTransport } from '@certfleet/agent-core'
    const codes = []
    for (const trustAnchors of [undefined, [], [Buffer.from('${Buffer.from(other.anchor).toString('base64')}', 'base64')]]) {
      const transport = httpTransport({ trustAnchors, allowLoopback: true })
      await transport.send({ method: 'GET', url: '${url}', headers: {} }).then(({ status }) => codes.push(status), ({ code }) => codes.push(code))
      await transport.close()
    }
    console.log(JSON.stringify(codes))`
  // Node adds this file to the system's anchors as it starts, not later.
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: systemAnchors }
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, '--input-type=module', '-e', program], { env })
  t.same(JSON.parse(stdout), [200, 'ERR_NETWORK', 'ERR_NETWORK'])
})

await t.test('a client identity is presented to a server that demands one', async (t) => {
  const ca = makeCa(t, 'lab CA')
  const whoami: RequestListener = (request, response) => void response.end((request.socket as TLSSocket).getPeerCertificate().subject.CN)
  const url = await serve(t, whoami, { ...ca.server, ca: ca.anchorPem, requestCert: true, rejectUnauthorized: true })
  const known = open(t, { trustAnchors: [ca.anchor], clientIdentity: ca.client })
  t.equal(Buffer.from((await known.send(get(url))).body).toString(), 'client')
  await t.rejects(open(t, { trustAnchors: [ca.anchor] }).send(get(url)), { code: 'ERR_NETWORK' })
})
