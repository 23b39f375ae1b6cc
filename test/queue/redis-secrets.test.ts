import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import t from 'tap'
import { runSeal } from '#emulator/fleet/queue/redis/seal.ts'
import { makeSealingKey, readSealingKey } from '#emulator/fleet/queue/redis/sealing-key.ts'
import type { RunSubmission } from '#emulator/fleet/queue/shard-queue.ts'
import { connected, withClient } from './redis-runs.ts'
import { noRedis, redisPassword, redisServer } from './redis-server.ts'
import { keptDevice, recordOf, runOf, worker } from './runs.ts'

const skip = noRedis()
const never = new AbortController().signal
const run = 'a-run-with-secrets'

const secrets = {
  token: 'canary-registration-token',
  pin: 'canary-pin-3141592',
  challenge: 'canary-challenge-of-a-device',
  primes: randomBytes(64),
  privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'der' }),
  sealingKey: randomBytes(32),
}

/** As they would stand somewhere. */
const spellings = Object.entries(secrets).flatMap(([name, value]) => {
  const bytes = Buffer.from(value)
  return (['latin1', 'hex', 'base64', 'base64url'] as const).map((as) => [`${name}, ${as}`, bytes.toString(as).replace(/=+$/, '')] as const)
})

function secretRun(): RunSubmission {
  const { manifest, shared, shards } = runOf(run)
  const target = { kind: 'policy', policyUrl: 'http://127.0.0.1:1/', registrationToken: secrets.token } as const
  const keyStorage = { kind: 'pkcs11', module: '/module', pin: secrets.pin } as unknown as NonNullable<typeof shared.keyStorage>
  return { manifest, shards, shared: { ...shared, target, keyStorage, keyFiles: new Map([['primes', secrets.primes]]) } }
}

t.test('nothing secret is in Redis or its files in the clear', { skip }, async (t) => {
  const folder = t.testdir()
  const server = await redisServer(t, folder)
  const queue = await connected(t, server, { sealingKey: secrets.sealingKey })
  await queue.submit(secretRun())
  const lease = await queue.take(worker('a'), never)
  const records = new Map([
    ['key', secrets.privateKey],
    ['attempt', Buffer.from(JSON.stringify({ challenge: secrets.challenge }))],
  ])
  await lease.save({ record: recordOf(1), devices: new Map([[0, { ...keptDevice(1), records }]]) })
  t.same(lease.orders.target, secretRun().shared.target, 'they came with it')
  const found = `${await withClient(server, everything)}\n${filesIn(folder)}`
  for (const known of [run, 'submittedAt', 'certfleet:queue:shards', '"node":"v20.19.0"'])
    t.ok(found.includes(known), `what is public is found: ${known}`)
  t.same(
    spellings.filter(([, text]) => found.includes(text)).map(([name]) => name),
    [],
  )
  t.notOk(found.includes(redisPassword))
})

/** Every key with its value, as text. */
async function everything(client: Redis): Promise<string> {
  const texts: string[] = []
  for (const key of await client.keys('*')) {
    const values: unknown = await readers[(await client.type(key)) as keyof typeof readers](client, key)
    texts.push(key, ...textsIn(values))
  }
  return texts.join('\n')
}

const textsIn = (value: unknown): readonly string[] =>
  Buffer.isBuffer(value) ? [value.toString('latin1')] : Array.isArray(value) ? value.flatMap(textsIn) : []

const readers = {
  string: async (client: Redis, key: string) => [await client.getBuffer(key)],
  hash: async (client: Redis, key: string) =>
    Object.entries(await client.hgetallBuffer(key)).flatMap(([name, value]) => [Buffer.from(name), value]),
  list: (client: Redis, key: string) => client.lrangeBuffer(key, 0, -1),
  set: (client: Redis, key: string) => client.smembersBuffer(key),
  zset: (client: Redis, key: string) => client.zrangeBuffer(key, '0', '-1'),
  stream: (client: Redis, key: string) => client.xrangeBuffer(key, '-', '+'),
} as const satisfies Record<string, (client: Redis, key: string) => Promise<unknown>>

function filesIn(folder: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
  const contents = files.filter((file) => statSync(file).isFile()).map((file) => readFileSync(file, 'latin1'))
  return contents.join('\n')
}

const foreign = {
  name: 'AgentError',
  code: 'ERR_STATE_INVALID',
  message: 'the sealing key is not the one of the run "r", or the queue was changed; give every machine the same key file',
}

t.test('who has another sealing key is told, and leaves the shard to who has it', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const [queue, other] = [await connected(t, server), await connected(t, server, { sealingKey: secrets.sealingKey })]
  await queue.submit(runOf('r'))
  await t.rejects(other.take(worker('b'), never), foreign)
  for (const asked of [
    () => other.status('r'),
    () => other.records('r', [0]),
    () => other.stop('r'),
    () => other.resume('r'),
    () => other.forget('r'),
    () => other.takeMerge('r', never),
  ])
    await t.rejects(async () => void (await asked()), foreign, String(asked))
  const { epoch } = await queue.take(worker('a'), never)
  t.equal(epoch, 1)
  t.match(await queue.status('r'), { isStopped: false, workers: [worker('a')] })
})

const changes: readonly [name: string, change: (client: Redis) => Promise<unknown>][] = [
  [
    'the manifest',
    async (client) =>
      client.hset('certfleet:run:r', 'manifest', String(await client.hget('certfleet:run:r', 'manifest')).replace('1.2.3', '1.2.4')),
  ],
  ['the orders of all', (client) => copy(client, ['certfleet:run:s', 'shared'], ['certfleet:run:r', 'shared'])],
  ['the orders of a shard', (client) => copy(client, ['certfleet:run:r:orders', '1'], ['certfleet:run:r:orders', '0'])],
  ['the orders of another run', (client) => copy(client, ['certfleet:run:s:orders', '0'], ['certfleet:run:r:orders', '0'])],
  ['orders cut short', (client) => client.hset('certfleet:run:r:orders', '0', 'x')],
  ['no orders', (client) => client.hdel('certfleet:run:r:orders', '0')],
  ['a record', (client) => client.rpush('certfleet:run:r:records:0', '{}')],
  ['a device of another place', async (client) => copy(client, ['certfleet:run:r:devices:0', '0'], ['certfleet:run:r:devices:0', '1'])],
]
for (const [name, change] of changes) {
  t.test(`what somebody else wrote into Redis is not run: ${name}`, { skip }, async (t) => {
    const server = await redisServer(t, t.testdir())
    const queue = await connected(t, server)
    await queue.submit(runOf('r', 2))
    await queue.submit(runOf('s'))
    const lease = await queue.take(worker('a'), never)
    await lease.save({ devices: new Map([[0, keptDevice(1)]]) })
    await lease.release()
    await withClient(server, change)
    await t.rejects((await connected(t, server)).take(worker('b'), never), foreign)
  })
}

t.test('what somebody else wrote of workers is left out', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server)
  await queue.submit(runOf('r'))
  const facts = worker('b')
  const written = [
    'no JSON',
    'null',
    JSON.stringify({ ...facts, cores: '2' }),
    JSON.stringify({ ...facts, host: ['a'] }),
    JSON.stringify({ ...facts, name: 'x'.repeat(1001) }),
  ]
  await withClient(server, async (client) => {
    for (const [i, text] of written.entries()) await client.hset('certfleet:run:r:workers', `other ${i}`, text)
  })
  await queue.take(worker('a'), never)
  t.same((await queue.status('r'))?.workers, [worker('a')])
})

t.test('a job that somebody else added is passed over', { skip }, async (t) => {
  const server = await redisServer(t, t.testdir())
  const queue = await connected(t, server)
  const { Queue } = await import('bullmq')
  await withClient(server, async (connection) => {
    const jobs = new Queue('shards', { connection: connection as never, prefix: 'certfleet:queue' })
    for (const data of [null, 'r', {}, { run: 'r' }, { run: '../r', shard: 0 }, { run: 'no-such-run', shard: 0 }])
      await jobs.add('shard', data)
  })
  await queue.submit(runOf('r'))
  t.match(await queue.take(worker('a'), never), { shard: 0, epoch: 1 })
})

async function copy(client: Redis, [from, name]: [string, string], [to, as]: [string, string]): Promise<void> {
  await client.hset(to, as, (await client.hgetBuffer(from, name)) as Buffer)
}

t.test('the name of a run is that of its keys alone', { skip }, async (t) => {
  const queue = await connected(t, await redisServer(t, t.testdir()))
  for (const name of ['', 'r:shard', 'r s', '*', 'x'.repeat(101)])
    await t.rejects(queue.submit(runOf(name)), { code: 'ERR_STATE_INVALID', message: /^the name of a run is/ }, name)
})

t.test('a sealed value', async (t) => {
  const seal = runSeal(secrets.sealingKey, 'r', Buffer.from('{}'))
  const value = { map: new Map([[1, { bytes: Uint8Array.of(1, 2) }]]), never: Number.POSITIVE_INFINITY, nothing: undefined }
  const place = { kind: 'device', shard: 1, index: 2 } as const
  const sealed = seal.seal(place, value)
  t.same(seal.open(place, sealed), value)
  t.notSame(seal.seal(place, value), sealed, 'never the same twice')
  const others = [
    () => seal.open({ ...place, index: 3 }, sealed),
    () => seal.open({ ...place, shard: 2 }, sealed),
    () => seal.open({ kind: 'record', shard: 1 }, sealed),
    () => runSeal(secrets.sealingKey, 's', Buffer.from('{}')).open(place, sealed),
    () => runSeal(secrets.sealingKey, 'r', Buffer.from('{ }')).open(place, sealed),
    () => runSeal(new Uint8Array(32), 'r', Buffer.from('{}')).open(place, sealed),
    ...[0, 12, sealed.length - 1].map(
      (at) => () =>
        seal.open(
          place,
          sealed.map((octet, i) => (i === at ? octet ^ 1 : octet)),
        ),
    ),
    ...[0, 11, 12, 27, 28].map((length) => () => seal.open(place, sealed.subarray(0, length))),
    () => seal.open(place, undefined),
  ]
  for (const open of others)
    t.throws(open, { name: 'AgentError', code: 'ERR_STATE_INVALID', message: /^the sealing key is not the one of the run "[rs]", or/ })
})

t.test('the file of the sealing key', async (t) => {
  const folder = t.testdir()
  const file = join(folder, 'key')
  await t.rejects(readSealingKey(file), { name: 'InputError', message: /key: there is no such file/ })
  const key = await makeSealingKey(file)
  t.equal(key.length, 32)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.same(await makeSealingKey(file), key, 'it stays')
  t.same(await readSealingKey(file), key)
  t.notSame(await makeSealingKey(join(folder, 'other')), key)
  const hex = Buffer.from(key).toString('hex')
  for (const text of ['', hex.slice(1), `${hex}0`, `${hex}\n\n`, hex.toUpperCase().replace(/^./, 'g'), `${hex.slice(2)}zz`]) {
    writeFileSync(file, text)
    const error = await readSealingKey(file).catch((error: Error) => error)
    t.match(error, { name: 'InputError', message: /is no sealing key, which is one line of 64 hexadecimal digits$/ })
    if (text !== '') t.notOk((error as Error).message.includes(text.slice(2, 10)))
  }
  writeFileSync(file, hex)
  chmodSync(file, 0o640)
  await t.rejects(readSealingKey(file), {
    name: 'InputError',
    message: /others on this machine can read the sealing key; "chmod 600" ends that$/,
  })
  await t.rejects(makeSealingKey(file), { name: 'InputError' })
  await t.rejects(readSealingKey(folder), { name: 'InputError' })
  await t.rejects(makeSealingKey(join(folder, 'none', 'key')), { name: 'InputError' })
})
