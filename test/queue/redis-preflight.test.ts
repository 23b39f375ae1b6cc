import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core/system'
import t, { type Test } from 'tap'
import { isNear } from '#emulator/fleet/queue/redis/address.ts'
import type { RedisQueueSettings } from '#emulator/fleet/queue/redis/open-redis-queue.ts'
import { workAt } from '#emulator/fleet/queue/work-at.ts'
import { makeTlsAuthority } from '#emulator/lab/tls/authority.ts'
import { issueTlsCertificate } from '#emulator/lab/tls/certificate.ts'
import { certificatePem, tlsServerOptions } from '#emulator/lab/tls/server-options.ts'
import { freePort } from '../tooling/free-port.ts'
import { answering, connected, withClient } from './redis-runs.ts'
import { noRedis, redisPassword, redisServer } from './redis-server.ts'

const skip = noRedis()

type Refusal = { readonly name: string; readonly code?: string; readonly message: RegExp }

/** Refused in one line, which shows neither password nor what stands for it. */
async function refuses(t: Test, name: string, url: string, expected: Refusal, more: Partial<RedisQueueSettings> = {}): Promise<void> {
  const error = await connected(t, { url }, more).catch((error: Error) => error)
  t.match(error, expected, name)
  const text = JSON.stringify([(error as Error).message, error, String((error as Error).cause ?? '')])
  t.notMatch(text, new RegExp(`${redisPassword}|${wrong}`), `${name}: no password`)
  t.notMatch((error as Error).message, /\n/, `${name}: one line`)
}

const wrong = 'not-the-password'
/** A hundred times as fast. */
const hurried = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 100, signal) }

t.test('what is no address of a Redis', async (t) => {
  for (const url of [
    '',
    'localhost:6379',
    'http://127.0.0.1',
    `redis://:${wrong}@`,
    'redis://127.0.0.1/x',
    'redis://:%zz@127.0.0.1',
    'redis://127.0.0.1/?db=1',
  ])
    await refuses(t, url, url, { name: 'InputError', message: /^the address of the queue is no URL like redis:/ })
})

t.test('a lease is at least a second', async (t) => {
  await t.rejects(connected(t, { url: 'redis://127.0.0.1' }, { leaseMs: 999 }), { name: 'RangeError' })
})

t.test('what is near', async (t) => {
  const near = [
    '127.0.0.1',
    '127.8.8.8',
    '::1',
    '10.255.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.3.4',
    '169.254.1.1',
    '100.64.0.1',
    '100.127.255.255',
    'fd00::1',
    'fc00::',
    'fe80::1',
    '::ffff:10.0.0.1',
  ]
  const public_ = [
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.0',
    '192.169.0.1',
    '100.63.255.255',
    '100.128.0.0',
    '128.0.0.1',
    '2001:db8::1',
    'fec0::1',
    '::2',
    '::ffff:8.8.8.8',
    '0.0.0.0',
  ]
  t.same(
    near.filter((address) => !isNear(address)),
    [],
  )
  t.same(public_.filter(isNear), [])
})

t.test('a public address without TLS is refused before anything is sent there', async (t) => {
  const message = /^redis:\/\/203\.0\.113\.9:6379 is a public address and has no TLS; use rediss:\/\/, or say --allow-plain-queue$/
  await refuses(t, 'IPv4', `redis://:${redisPassword}@203.0.113.9`, { name: 'InputError', message })
  await refuses(t, 'IPv6', 'redis://[2001:db8::9]:7000/2', {
    name: 'InputError',
    message: /^redis:\/\/\[2001:db8::9\]:7000\/2 is a public address/,
  })
})

t.test('what is no Redis that can be used', async (t) => {
  const port = await freePort()
  await refuses(t, 'nobody', `redis://127.0.0.1:${port}`, {
    name: 'AgentError',
    code: 'ERR_NETWORK',
    message: /^no Redis at redis:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\)$/,
  })
  const name = 'redis://no-such-host.invalid'
  await refuses(t, 'no name', name, { name: 'AgentError', code: 'ERR_NETWORK', message: /the name is not known/ })
  const silent = await answering(t, () => {})
  const noAnswer = /^no Redis at redis:\/\/127\.0\.0\.1:\d+ \(no answer within 10 s\)$/
  await refuses(t, 'what is silent', silent, { name: 'AgentError', code: 'ERR_NETWORK', message: noAnswer }, { clock: hurried })
  const web = await answering(t, (_, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await refuses(t, 'a web server', web, { name: 'AgentError', code: 'ERR_NETWORK', message: /^no Redis at / })
})

const good = { redis_version: '6.2.0', redis_mode: 'standalone', role: 'master', maxmemory_policy: 'noeviction', aof_enabled: '1' }
const unfit: readonly [name: string, info: Partial<Record<keyof typeof good, string>>, message: RegExp][] = [
  ['too old', { redis_version: '5.0.14' }, /has version 5\.0\.14; 6\.2 or later is needed$/],
  ['just too old', { redis_version: '6.1.9' }, /has version 6\.1\.9; 6\.2/],
  ['of no version', { redis_version: 'x' }, /has version unknown; 6\.2/],
  ['a node of a cluster', { redis_mode: 'cluster' }, /is a node of a cluster; a single one is needed$/],
  ['a replica', { role: 'slave' }, /is a replica/],
  ['one that evicts', { maxmemory_policy: 'allkeys-lru' }, /has maxmemory-policy "allkeys-lru", .*; set noeviction$/],
]
for (const [name, info, message] of unfit) {
  t.test(`a Redis that is unfit: ${name}`, async (t) => {
    const url = await answeringInfo(t, { ...good, ...info })
    await refuses(t, name, url, { name: 'AgentError', code: 'ERR_UNSUPPORTED', message })
  })
}

/** Says that of itself. */
function answeringInfo(t: Test, info: Readonly<Record<string, string>>): Promise<string> {
  const text = Object.entries(info)
    .map(([key, value]) => `${key}:${value}\r\n`)
    .join('')
  return answering(t, (asked, socket) => {
    for (const _ of asked.matchAll(/info/gi)) socket.write(`$${text.length}\r\n${text}\r\n`)
  })
}

t.test('passwords', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const bare = `redis://127.0.0.1:${server.port}`
  const input = (message: RegExp) => ({ name: 'InputError', message })
  await refuses(
    t,
    'none',
    bare,
    input(/^the Redis at redis:\/\/127\.0\.0\.1:\d+ wants a password; name the file that holds it by --queue-password-file$/),
  )
  await refuses(
    t,
    'wrong',
    `redis://:${wrong}@127.0.0.1:${server.port}`,
    input(/^the Redis at redis:\/\/127\.0\.0\.1:\d+ refuses the password$/),
  )
  await refuses(t, 'no such user', `redis://bob:${redisPassword}@127.0.0.1:${server.port}`, input(/refuses the password$/))
  await refuses(t, 'wrong, and wins over the URL', server.url, input(/refuses the password$/), { password: wrong })
  t.same(await (await connected(t, { url: `redis://:${wrong}@127.0.0.1:${server.port}` }, { password: redisPassword })).runs(), [])
})

t.test('a real Redis that evicts, and one that forgets', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const set = (name: string, value: string) => withClient(server, (client) => client.config('SET', name, value))
  await set('maxmemory-policy', 'volatile-lru')
  await refuses(t, 'evicts', server.url, { name: 'AgentError', code: 'ERR_UNSUPPORTED', message: /"volatile-lru"/ })
  await set('maxmemory-policy', 'noeviction')
  const warnings: string[] = []
  await connected(t, server, { onWarning: (warning) => warnings.push(warning) })
  t.same(warnings, [])
  await set('appendonly', 'no')
  await connected(t, server, { onWarning: (warning) => warnings.push(warning) })
  t.same(warnings, [`the Redis at redis://127.0.0.1:${server.port} has "appendonly no": a run does not outlast a restart of it`])
})

t.test('TLS', { skip }, async (t) => {
  const folder = t.testdir()
  const [issuer, foreign] = [
    await makeTlsAuthority({ clock: systemClock, name: 'Root' }),
    await makeTlsAuthority({ clock: systemClock, name: 'Other' }),
  ]
  const ca = certificatePem(issuer.root.raw)
  const identity = await issueTlsCertificate({ publicName: '127.0.0.1', purposes: ['server'] }, issuer, systemClock)
  const { cert, key } = tlsServerOptions(identity)
  const fileOf = (name: string, text: string | Buffer) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const port = await freePort()
  const tls = ['--tls-port', String(port), '--tls-auth-clients', 'no']
  const files = [
    '--tls-cert-file',
    fileOf('cert.pem', cert),
    '--tls-key-file',
    fileOf('key.pem', key),
    '--tls-ca-cert-file',
    fileOf('ca.pem', ca),
  ]
  const server = await redisServer(t, folder, [...tls, ...files])
  const url = `rediss://:${redisPassword}@127.0.0.1:${port}`
  t.same(await (await connected(t, { url }, { ca })).runs(), [])
  const failed = (message: RegExp) => ({ name: 'AgentError', code: 'ERR_NETWORK', message })
  await refuses(
    t,
    'an unknown CA',
    url,
    failed(/^TLS with the Redis at rediss:\/\/127\.0\.0\.1:\d+ fails \([A-Z_]+\); name its CA by --queue-ca$/),
  )
  await refuses(t, 'another CA', url, failed(/^TLS with/), { ca: certificatePem(foreign.root.raw) })
  await refuses(t, 'another name', url.replace('127.0.0.1', 'localhost'), failed(/^TLS with .*ALTNAME/), { ca })
  const bare = url.replace(String(port), String(server.port))
  await refuses(t, 'a port without TLS', bare, failed(/^no Redis at .* \(no answer within 10 s\)$/), { ca, clock: hurried })
  await refuses(t, 'a port with TLS', server.url.replace(String(server.port), String(port)), failed(/^no Redis at/))
})

t.test('a worker that is started anew while Redis is away waits for it', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  await server.kill()
  const queue = { url: server.url, sealingKey: new Uint8Array(32), allowPlain: false, patienceMs: 20_000 }
  const [over, said] = [new AbortController(), [] as string[]]
  const say = (line: string) => {
    said.push(line)
    over.abort()
  }
  const ports = { clock: hurried, signal: over.signal, say }
  const working = workAt({ queue }, ports)
  await Promise.race([working, systemClock.sleep(100)])
  await server.start()
  t.same(await working, { kind: 'stopped' })
  t.match(said, [/ joined, and waits for shards$/])
  await server.kill()
  const impatient = workAt({ queue: { ...queue, patienceMs: 0 } }, { ...ports, signal: new AbortController().signal })
  await t.rejects(impatient, { code: 'ERR_NETWORK', message: /^no Redis at/ })
  t.same(await workAt({ queue }, { ...ports, signal: AbortSignal.abort() }), { kind: 'stopped' })
})
