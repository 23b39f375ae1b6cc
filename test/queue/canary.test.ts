import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { Redis } from 'ioredis'
import t from 'tap'
import type { SpawnedRun } from '../fakes/fleet-processes.ts'
import { type QueueFleet, queueFleet, scenario, signalAll, textOf } from './fleet.ts'
import { noRedis } from './redis-server.ts'

t.setTimeout(300_000)

t.test('neither Redis nor any output holds a secret of the run', { skip: noRedis() }, async (t) => {
  const fleet = await queueFleet(t)
  const { redis, lab, folder } = fleet
  const { run, log, submitted, through } = fleet.submit(scenario, '--shard-devices', '16')
  const id = await submitted()
  const worker = fleet.worker()
  await through(2)
  // What it was at stays in Redis.
  while (!(await frozenWithDevices(worker, fleet))) signalAll(worker, 'SIGCONT')
  signalAll(worker, 'SIGKILL')
  await worker.ended
  const stopped = fleet.stop(id)
  await Promise.all([run.ended, stopped.ended])
  const places = new Map([
    ...(await valuesOf(fleet)),
    ...filesBelow(join(folder, 'redis')),
    ...filesBelow(join(folder, 'run-1')),
    ['log', textOf(log)],
    ...[run, worker, stopped].flatMap(({ stdout, stderr }, i) => [[`output ${i}`, stdout() + stderr()] as const]),
  ])
  const secrets = {
    token: lab.registrationToken,
    admin: lab.adminToken,
    password: redis.password,
    'sealing key': textOf(join(folder, 'queue.key')).trim(),
    ...Object.fromEntries(primesOf(fleet)),
  }
  t.ok(
    [...places.keys()].some((name) => name.startsWith('certfleet:run:') && name.includes(':devices:')),
    'devices are kept',
  )
  t.ok(
    [...places.keys()].some((name) => /appendonly.*\.aof$/.test(name)),
    'the file of Redis was read',
  )
  t.strictSame(leaks(places, secrets), [])

  await t.test('the search finds what is there', async (t) => {
    const missed = Object.entries(secrets).flatMap(([name, secret]) => {
      const forms = (['latin1', 'base64', 'hex'] as const).map((form) => `xx${Buffer.from(secret, 'latin1').toString(form)}xx`)
      return forms.filter((text) => !leaks(new Map([['here', text]]), secrets).includes(`${name} in here`))
    })
    t.strictSame(missed, [])
    t.strictSame(leaks(new Map([['here', 'PRIVATE KEY']]), secrets), ['a private key in here'])
  })
})

/** Stops it, and says whether devices were kept at that moment. */
async function frozenWithDevices(worker: SpawnedRun, { redis }: QueueFleet): Promise<boolean> {
  await systemClock.sleep(20)
  signalAll(worker, 'SIGSTOP')
  const client = new Redis(redis.url)
  const kept = await client.keys('certfleet:run:*:devices:*')
  await client.quit()
  return kept.length > 0
}

/** By key, and by field where there are fields. */
async function valuesOf({ redis }: QueueFleet): Promise<Map<string, string>> {
  const client = new Redis(redis.url)
  const values = new Map<string, string>()
  for (const key of await client.keys('*')) {
    const type = await client.type(key)
    const whole =
      type === 'hash'
        ? Object.entries(await client.hgetallBuffer(key)).flatMap(([field, value]) => [Buffer.from(field), value])
        : type === 'list'
          ? await client.lrangeBuffer(key, 0, -1)
          : type === 'string'
            ? [await client.getBuffer(key)]
            : []
    values.set(key, whole.map((value) => value?.toString('latin1') ?? '').join('\n'))
  }
  await client.quit()
  return values
}

/** As latin1, in which every octet has a spelling of its own. */
function filesBelow(folder: string): [string, string][] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile())
  return names.map((name) => [name, textOf(join(folder, name))])
}

/** Every private key of the run is made of two of them. */
function primesOf({ folder }: QueueFleet): [string, string][] {
  const [name = ''] = readdirSync(join(folder, 'keys'))
  const { primes }: { primes: string[] } = JSON.parse(readFileSync(join(folder, 'keys', name), 'utf8'))
  return primes.map((prime, i) => [`prime ${i}`, Buffer.from(prime, 'base64url').toString('latin1')])
}

function leaks(places: ReadonlyMap<string, string>, secrets: Readonly<Record<string, string>>): string[] {
  return [...places].flatMap(([place, text]) => {
    const found = Object.entries(secrets).filter(([, secret]) => formsOf(secret).some((form) => text.includes(form)))
    return [...found.map(([name]) => name), ...(text.includes('PRIVATE KEY') ? ['a private key'] : [])].map((name) => `${name} in ${place}`)
  })
}

function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, 'latin1')
  return [bytes.toString('latin1'), bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')]
}
