import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Lab, type ServeLimits, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { register, startLab } from './surroundings.ts'

const quick = { headersTimeoutMs: 300, requestTimeoutMs: 500 }
const post = (headers: string, body = '') => `POST /scep?operation=PKIOperation HTTP/1.1\r\nhost: lab\r\n${headers}\r\n\r\n${body}`
const get = 'GET /scep?operation=GetCACaps HTTP/1.1\r\nhost: lab\r\n\r\n'

const { lab } = await startLab()

async function port(t: Test, limits: Partial<ServeLimits>, handle: Lab['handle'] = lab.handle): Promise<number> {
  const served = await serveLab({ ...lab, handle }, { limits })
  t.teardown(() => served.close())
  return Number(new URL(served.url).port)
}

interface Client {
  readonly socket: Socket
  /** All that it is told until the server ends the connection. */
  readonly ended: Promise<string>
  /** Up to the first match. */
  seen(words: RegExp): Promise<string>
}

async function client(t: Test, port: number, words = ''): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let text = ''
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  // Not once(): it rejects where the peer resets a connection, which is an end like any other.
  const ended = new Promise<string>((resolve) => {
    for (const event of ['end', 'close']) socket.once(event, () => resolve(text))
  })
  await once(socket, 'connect')
  socket.write(words)
  const seen = async (wanted: RegExp) => {
    while (!wanted.test(text)) await Promise.race([once(socket, 'data'), ended.then(() => Promise.reject(new Error(`ended: ${text}`)))])
    return text
  }
  return { socket, ended, seen }
}

/** All that it is told before the end. */
async function told(t: Test, port: number, words: string): Promise<string> {
  const { socket, ended } = await client(t, port, words)
  const text = await ended
  socket.destroy()
  return text
}

const answers = async (t: Test, port: number) => (await client(t, port, get)).seen(/^HTTP\/1\.1 200 /)

t.test('slow senders are cut, and told of it', async (t) => {
  const at = await port(t, quick)
  const rows: [string, string, RegExp][] = [
    ['not a word', '', /^HTTP\/1\.1 408 /],
    ['headers that stop', 'GET /scep HTTP/1.1\r\nhost: lab\r\nx: ', /^HTTP\/1\.1 408 /],
    ['a body that stops', post('content-length: 20000', 'x'.repeat(10_000)), /^HTTP\/1\.1 408 /],
    ['a body in chunks that stops', post('transfer-encoding: chunked', '5\r\nhello\r\n'), /^HTTP\/1\.1 408 /],
    ['a second request that stops', `${get}GET`, /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 408 /],
  ]
  await Promise.all(rows.map(async ([name, words, answer]) => t.match(await told(t, at, words), answer, name)))
})

t.test('an octet now and then is no progress', async (t) => {
  const at = await port(t, quick)
  for (const words of ['GET /scep HTTP/1.1\r\nx: ', post('content-length: 1000000')]) {
    const { socket, ended } = await client(t, at, words)
    const dribble = setInterval(() => socket.write('x'), 5)
    t.match(await ended, /^HTTP\/1\.1 408 /, words)
    clearInterval(dribble)
  }
})

t.test('a body that never ends is 413', async (t) => {
  const { socket, ended } = await client(t, await port(t, {}), post('transfer-encoding: chunked'))
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
  const more = () => {
    while (socket.writable && socket.write(chunk));
  }
  socket.on('drain', more)
  more()
  // Who goes on sending may be reset before the answer is read.
  t.match(await ended, /^$|^HTTP\/1\.1 413 /)
})

t.test('1,000 idle connections end, and it answers meanwhile', async (t) => {
  const at = await port(t, { headersTimeoutMs: 1_000 })
  const idle = await Promise.all(Array.from({ length: 1_000 }, () => client(t, at)))
  await answers(t, at)
  for (const { socket, ended } of idle) void ended.then(() => socket.destroy())
  t.equal((await Promise.all(idle.map(({ ended }) => ended))).length, 1_000)
})

t.test('more connections than may be are closed unheard, until one ends', async (t) => {
  const at = await port(t, { maxConnections: 2 })
  const [first] = [await client(t, at, get), await client(t, at, get)]
  await first.seen(/200 /)
  t.equal(await told(t, at, get), '')
  first.socket.destroy()
  t.match(await untilHeard(t, at), /^HTTP\/1\.1 200 /)
})

/** The server learns of an end in its own time. */
async function untilHeard(t: Test, port: number): Promise<string> {
  for (;;) {
    const { socket, ended, seen } = await client(t, port, get)
    const answer = await Promise.race([ended, seen(/200 /).catch(() => '')])
    socket.destroy()
    if (answer !== '') return answer
  }
}

const whole = post('content-length: 100000\r\nconnection: close', 'x'.repeat(100_000))
const half = post('content-length: 80000\r\nexpect: 100-continue', 'x'.repeat(60_000))

t.test('bodies have so much room together; who has none is 503', async (t) => {
  const at = await port(t, { maxHeldBytes: 150_000 })
  t.match(await told(t, at, whole), /^HTTP\/1\.1 400 /, 'there is room')
  const { socket, seen } = await client(t, at, half)
  await seen(/100 Continue/)
  // The server reads it in its own time: the same is asked until the room is taken.
  let answer = ''
  while (!/^HTTP\/1\.1 503 /.test(answer)) answer = await told(t, at, whole)
  t.match(answer, /retry-after: 5\r\n/)
  t.match(answer, /connection: close\r\n/i)
  await answers(t, at)
  socket.write('x'.repeat(20_000))
  await seen(/HTTP\/1\.1 400 /)
  t.match(await told(t, at, whole), /^HTTP\/1\.1 400 /, 'given back')
})

t.test('room is given back by who leaves in the middle', async (t) => {
  const at = await port(t, { maxHeldBytes: 150_000 })
  for (let i = 0; i < 5; i++) {
    const { socket, seen } = await client(t, at, half)
    await seen(/100 Continue/)
    socket.destroy()
  }
  let answer = ''
  while (!/^HTTP\/1\.1 400 /.test(answer)) answer = await told(t, at, whole)
  t.pass('there is room again')
})

t.test('a body in chunks of one octet takes no more room than another', async (t) => {
  const bodies: number[] = []
  const at = await port(t, { maxHeldBytes: 16_384 }, async ({ body }) => {
    bodies.push(body?.length ?? 0)
    return { status: 200, headers: {}, body: new Uint8Array() }
  })
  const { seen } = await client(t, at, post('transfer-encoding: chunked', `${'1\r\nx\r\n'.repeat(5_000)}0\r\n\r\n`))
  await seen(/^HTTP\/1\.1 200 /)
  t.same(bodies, [5_000])
})

t.test('requests that run ahead of their answers are cut', async (t) => {
  let asked = 0
  const never = new Promise<never>(() => {})
  const at = await port(t, { maxHeldBytes: 50_000 }, () => {
    asked++
    return never
  })
  t.equal(await told(t, at, get.repeat(1_000)), '')
  t.ok(asked >= 5 && asked <= 12, `${asked} were begun`)
})

t.test('an answer that is not read ends', async (t) => {
  const body = new Uint8Array(32 * 1024 * 1024)
  const at = await port(t, { stallTimeoutMs: 50, maxConnections: 1 }, async ({ url }) => ({
    status: 200,
    headers: {},
    body: url === '/large' ? body : new Uint8Array(),
  }))
  const { socket } = await client(t, at, 'GET /large HTTP/1.1\r\nhost: lab\r\n\r\n')
  socket.pause()
  t.match(await untilHeard(t, at), /^HTTP\/1\.1 200 /)
})

t.test('push: so many connections; who is refused does not stay', async (t) => {
  const at = await port(t, { maxPushConnections: 1, maxConnections: 2 })
  const authorization = `Bearer ${await register(lab)}`
  const socket = new WebSocket(`ws://127.0.0.1:${at}/device/push`, { headers: { authorization } })
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  const upgrade = (credential: string) =>
    'GET /device/push HTTP/1.1\r\nhost: lab\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n' +
    `sec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\nauthorization: ${credential}\r\n\r\n`
  t.match(await told(t, at, upgrade(authorization)), /^HTTP\/1\.1 503 [\s\S]*retry-after: 60\r\n/)
  for (let i = 0; i < 3; i++) {
    // It never ends its half.
    const { ended } = await client(t, at, upgrade('Bearer guess'))
    t.match(await ended, /^HTTP\/1\.1 401 |^$/)
  }
  t.match(await untilHeard(t, at), /^HTTP\/1\.1 200 /)
})
