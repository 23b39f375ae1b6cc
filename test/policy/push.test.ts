import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { type AgentError, connectPush, type Jitter, type PushChannel, type PushOptions } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { FakeClock } from '../fakes/clock.ts'
import { makeCa, type TestCa } from '../transport/pki.ts'

const minuteMs = 60_000
/** The longest delay of each. */
const longest: Jitter = { between: (_, maxMs) => maxMs }
const shortest: Jitter = { between: (minMs) => minMs }

class Queue<T> {
  readonly #items: T[] = []
  readonly #takers: ((item: T) => void)[] = []
  put(item: T): void {
    const taker = this.#takers.shift()
    if (taker) taker(item)
    else this.#items.push(item)
  }
  async next(): Promise<T> {
    return this.#items.shift() ?? new Promise((resolve) => this.#takers.push(resolve))
  }
  get waiting(): number {
    return this.#items.length
  }
}

interface Peer {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  /** What came as control frames. */
  readonly pings: Queue<'ping'>
  readonly pongs: Queue<'pong'>
}

/** A push service that takes `credential-1`. */
async function listen(t: Test, { ca, answersPings = true }: { ca?: TestCa; answersPings?: boolean } = {}) {
  const peers = new Queue<Peer>()
  const handshakes = { count: 0 }
  const http = ca ? createTlsServer(ca.server) : createServer()
  const service = new WebSocketServer({ noServer: true, autoPong: answersPings })
  http.on('upgrade', (request, socket, head) => {
    handshakes.count++
    if (request.headers.authorization !== 'Bearer credential-1') return socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n')
    service.handleUpgrade(request, socket, head, (socket) => {
      const pings = new Queue<'ping'>()
      const pongs = new Queue<'pong'>()
      socket.on('ping', () => pings.put('ping')).on('pong', () => pongs.put('pong'))
      peers.put({ socket, request, pings, pongs })
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const stop = () => {
    for (const client of service.clients) client.terminate()
    http.close()
  }
  t.teardown(stop)
  const policyUrl = `http${ca ? 's' : ''}://127.0.0.1:${(http.address() as AddressInfo).port}/device/policy`
  return { policyUrl, peers, handshakes, stop }
}

function connect(t: Test, options: Pick<PushOptions, 'policyUrl'> & Partial<PushOptions>) {
  const clock = new FakeClock()
  const wakes = new Queue<'wake'>()
  const downs = new Queue<AgentError>()
  const channel: PushChannel = connectPush({
    credential: 'credential-1',
    clock,
    jitter: longest,
    onWake: () => wakes.put('wake'),
    onDown: (reason) => downs.put(reason),
    ...options,
  })
  t.teardown(() => channel.close().catch(() => undefined))
  return { channel, clock, wakes, downs }
}

await t.test('it wakes at the connection and at each wake, and ignores what it does not know', async (t) => {
  const server = await listen(t)
  const { channel, wakes } = connect(t, server)
  const { socket, request } = await server.peers.next()
  await wakes.next()
  t.equal(request.url, '/device/push')
  t.equal(request.headers.authorization, 'Bearer credential-1')
  t.equal(request.headers.origin, undefined)
  t.equal(request.headers['sec-websocket-extensions'], undefined, 'no compression')
  for (const message of ['', 'null', '[]', '{"type":"sleep"}', '{"type":["wake"]}', '{"type":"wake"', '"wake"']) socket.send(message)
  socket.send(Buffer.from('{"type":"wake"}'), { binary: true })
  socket.send('{"type":"wake","policy":{}}')
  await wakes.next()
  socket.send('{"type":"wake"}')
  await wakes.next()
  t.equal(wakes.waiting, 0)
  const gone = new Promise((resolve) => socket.on('close', resolve))
  await channel.close()
  await gone
  await channel.close()
})

await t.test('after a failure it waits, twice as long each time, up to five minutes', async (t) => {
  const server = await listen(t)
  server.stop()
  const { clock, downs } = connect(t, server)
  for (const delayMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]) {
    t.match(await downs.next(), { code: 'ERR_NETWORK', message: /127\.0\.0\.1:\d+ failed: .*ECONNREFUSED/ })
    await clock.advance(delayMs - 1)
    t.equal(clock.sleeping, 1, `not a millisecond before ${delayMs}`)
    await clock.advance(1)
  }
})

await t.test('the jitter is full: from nothing up', async (t) => {
  const server = await listen(t)
  server.stop()
  const asked: number[][] = []
  const jitter: Jitter = {
    between(minMs, maxMs) {
      asked.push([minMs, maxMs])
      return 5
    },
  }
  const { clock, downs } = connect(t, { ...server, jitter })
  for (let i = 0; i < 3; i++) {
    await downs.next()
    await clock.advance(5)
  }
  t.same(asked.slice(0, 3), [
    [0, 1000],
    [0, 2000],
    [0, 4000],
  ])
})

await t.test('a connection that lasted a ping begins the delays anew; one that did not goes on doubling', async (t) => {
  const server = await listen(t)
  const { clock, downs, wakes } = connect(t, server)
  const lose = async (afterMs: number) => {
    const { socket, pings } = await server.peers.next()
    await wakes.next()
    await pings.next()
    await clock.advance(afterMs)
    socket.terminate()
    t.match(await downs.next(), { code: 'ERR_NETWORK' })
  }
  await lose(minuteMs - 1)
  await clock.advance(1000)
  await lose(minuteMs - 1)
  await clock.advance(1999)
  t.equal(server.handshakes.count, 2)
  await clock.advance(1)
  await lose(minuteMs)
  await clock.advance(1000)
  await server.peers.next()
})

await t.test('a refused credential is told, and tried again after 2.5 to 5 minutes', async (t) => {
  const server = await listen(t)
  for (const [jitter, delayMs] of [
    [shortest, 2.5 * minuteMs],
    [longest, 5 * minuteMs],
  ] as const) {
    const { channel, clock, downs } = connect(t, { ...server, jitter, credential: 'hidden' })
    const reason = await downs.next()
    t.match(reason, { code: 'ERR_UNAUTHORIZED', message: /401/ })
    t.notMatch(inspect(reason, { depth: 9 }), /hidden/)
    await clock.advance(delayMs - 1)
    t.equal(clock.sleeping, 1)
    await clock.advance(1)
    t.match(await downs.next(), { code: 'ERR_UNAUTHORIZED' })
    await channel.close()
  }
})

await t.test('a connection of which only our half is left is given up at the second ping, and made again', async (t) => {
  const server = await listen(t, { answersPings: false })
  const { clock, downs, wakes } = connect(t, server)
  const { pings } = await server.peers.next()
  await wakes.next()
  await pings.next()
  await clock.advance(minuteMs - 1)
  t.equal(downs.waiting, 0)
  await clock.advance(1)
  t.match(await downs.next(), { code: 'ERR_NETWORK' })
  await clock.advance(1000)
  await server.peers.next()
})

await t.test('a peer that answers pings, or sends its own, is kept', async (t) => {
  const server = await listen(t)
  const { clock, downs, wakes } = connect(t, server)
  const { socket, pings, pongs } = await server.peers.next()
  await wakes.next()
  for (let i = 0; i < 3; i++) {
    await pings.next()
    // Its answer is behind our pong on the wire.
    socket.ping()
    await pongs.next()
    await clock.advance(minuteMs)
  }
  t.equal(downs.waiting, 0)
  t.equal(server.handshakes.count, 1)
})

await t.test('a message of more than 4 KiB ends the connection', async (t) => {
  const server = await listen(t)
  const { downs, wakes } = connect(t, server)
  const { socket } = await server.peers.next()
  await wakes.next()
  socket.send(JSON.stringify({ type: 'wake', padding: 'x'.repeat(4096) }))
  t.match(await downs.next(), { code: 'ERR_NETWORK' })
  t.equal(wakes.waiting, 0)
})

await t.test('what a callback throws ends the channel and comes out of close, nowhere else', async (t) => {
  for (const name of ['onWake', 'onDown'] as const) {
    const server = await listen(t)
    const bug = new Error('a bug')
    const called = new Queue<'call'>()
    const callback = () => {
      called.put('call')
      throw bug
    }
    const { channel, clock } = connect(t, { ...server, [name]: callback })
    const { socket } = await server.peers.next()
    const gone = new Promise((resolve) => socket.once('close', resolve))
    if (name === 'onDown') socket.terminate()
    await Promise.all([gone, called.next()])
    await new Promise(setImmediate)
    await clock.advance(60 * minuteMs)
    t.equal(await channel.close().catch((error) => error), bug)
    t.equal(server.handshakes.count, 1)
  }
})

await t.test('close ends a channel that waits, or is still connecting', async (t) => {
  const server = await listen(t)
  await connect(t, server).channel.close()
  server.stop()
  const { channel, downs, clock } = connect(t, server)
  await downs.next()
  await channel.close()
  t.equal(clock.sleeping, 0)
})

await t.test('over TLS it trusts its anchors alone', async (t) => {
  const ca = makeCa(t, 'bootstrap anchor')
  const server = await listen(t, { ca })
  const { downs } = connect(t, server)
  t.match(await downs.next(), { code: 'ERR_NETWORK', message: /certificate/ })
  const { wakes } = connect(t, { ...server, trustAnchors: [ca.anchor] })
  await wakes.next()
  t.equal((await server.peers.next()).request.url, '/device/push')
})
