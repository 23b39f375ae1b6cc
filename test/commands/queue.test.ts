import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import t, { type Test } from 'tap'
import { openRedisQueue } from '#emulator/fleet/queue/redis/open-redis-queue.ts'
import { makeSealingKey } from '#emulator/fleet/queue/redis/sealing-key.ts'
import type { Results } from '#emulator/report/schema.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { noRedis, redisPassword, redisServer } from '../queue/redis-server.ts'
import { runOf } from '../queue/runs.ts'
import { command, type Terminal, terminal } from './terminal.ts'

t.test('what cannot be over a queue is refused in one line', async (t) => {
  const folder = t.testdir({ 'redis.pass': 'secret', 'key.txt': 'no key', keep: { x: '' }, policy: { token: 'token' } })
  const queue = ['--queue', 'redis://127.0.0.1:1', '--queue-key', join(folder, 'made.key')]
  const run = ['run', ...queue]
  const scenario = (text: string) => {
    const file = join(folder, 'scenario.yaml')
    writeFileSync(file, text)
    return file
  }
  const rows: [string, () => readonly string[], RegExp][] = [
    ['--in-process', () => [...run, '--in-process'], /^certfleet: --in-process: not with --queue: workers are processes of their own$/],
    ['--out', () => [...run, '--out', 'x'], /--out: not with --queue: the devices' folders .* --report$/],
    ['--otel', () => [...run, '--otel'], /--otel: not with --queue/],
    ['--virtual', () => [...run, '--virtual'], /--queue: has no effect on a virtual clock; leave it out$/],
    ['a token', () => [...run, scenario('ksp: pkcs11:/lib.so?token=a\n')], /ksp: not with --queue: a PKCS#11 token is of one machine/],
    [
      'by plan, without workers',
      () => [...run, scenario('arrival: { over: 5s }\n')],
      /--workers: with arrival or duration expected the number/,
    ],
    ['for a while, with none', () => [...run, scenario('duration: 5s\nworkers: 0\n')], /--workers: with arrival or duration expected/],
    ['shards by plan', () => [...run, scenario('duration: 5s\nworkers: 2\n'), '--shard-devices', '5'], /--shard-devices: with arrival/],
    ['no key', () => ['run', '--queue', 'redis://127.0.0.1:1'], /--queue-key: expected the file of the sealing key, which is made/],
    ['a key alone', () => ['run', '--queue-key', 'x'], /--queue-key: has no effect without --queue; leave it out$/],
    ['a lab alone', () => ['run', '--lab-host', '127.0.0.1'], /--lab-host: has no effect without --queue/],
    ['a lab at no address', () => [...run, '--lab-host', 'here'], /--lab-host.*Expected an IP address/],
    ['no device a shard', () => [...run, '--shard-devices', '0'], /--shard-devices.*whole number from 1 to 10000/],
    ['no Redis', () => run, /^certfleet: no Redis at redis:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)$/],
    ['no URL', () => ['worker'], /--queue: expected the URL of the Redis/],
    ['no key for a worker', () => ['worker', '--queue', 'redis://127.0.0.1:1'], /--queue-key: expected .* a copy of the one/],
    ['no such key', () => ['worker', ...queue.slice(0, 3), join(folder, 'none')], /there is no such file; it holds the sealing key/],
    ['another file', () => ['stop', ...queue.slice(0, 3), join(folder, 'key.txt')], /key\.txt: /],
    ['a lease too short', () => ['worker', ...queue, '--lease', '10ms'], /--lease.*Expected a duration such as 30s, 1s to 1h/],
    ['a patience in words', () => ['worker', ...queue, '--patience', 'long'], /--patience.*Expected a duration/],
    ['no worker', () => ['worker', ...queue, '--workers', '0'], /--workers.*whole number from 1/],
    ['no URL to resume at', () => ['resume'], /--queue: expected the URL of the Redis/],
  ]
  for (const [name, argv, line] of rows) {
    const { exitCode, stderr, stdout } = await command(argv())
    t.equal(exitCode, 2, name)
    t.match(stderr.trimEnd(), line, name)
    t.notMatch(stderr + stdout, /secret/, name)
  }
  t.match(await command([...run, '--json', '--out', 'x']), { exitCode: 2, stdout: /^\{"error":\{"code":"BAD_INPUT"/ })
  t.equal(statSync(join(folder, 'made.key')).mode & 0o777, 0o600, 'the key was made for the run that found no Redis')
})

t.setTimeout(180_000)
const skip = noRedis()

/** A Redis, and the options that name it. */
async function queueFor(t: Test) {
  const folder = t.testdir({ redis: {}, 'redis.pass': `${redisPassword}\n` })
  const server = await redisServer(t, join(folder, 'redis'))
  const options = ['--queue', `redis://127.0.0.1:${server.port}`, '--queue-password-file', join(folder, 'redis.pass')]
  return { folder, server, options: [...options, '--queue-key', join(folder, 'fleet.key')] }
}

/** A command that goes on beside others. */
function started(t: Test, argv: readonly string[]): Terminal & { readonly exitCode: Promise<number> } {
  const shell = terminal()
  let isOver = false
  const exitCode = runCommandLine(argv, shell.io).finally(() => {
    isOver = true
  })
  t.teardown(async () => {
    if (!isOver) shell.interrupt()
    await exitCode.catch(() => undefined)
  })
  return { ...shell, exitCode }
}

const resultsIn = (folder: string): Results => JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'))

t.test('workers carry a run, and it is reported as on one machine', { skip, timeout: 120_000 }, async (t) => {
  const { folder, options, server } = await queueFor(t)
  const fleet = ['--devices', '40', '--seed', '5', '--keys', 'primes', '--key-pool', await primesFolder(join(folder, 'pool'))]
  const run = started(t, ['run', ...fleet, ...options, '--shard-devices', '10', '--report', join(folder, 'many')])
  await run.seen(/run r-[a-z2-7]{10} submitted: 4 shards; on each machine: certfleet worker --queue redis:/)
  t.notMatch(run.stdout() + run.stderr(), new RegExp(redisPassword))
  const workers = started(t, ['worker', ...options, '--workers', '2'])
  t.equal(await run.exitCode, 0, run.stderr())
  workers.interrupt()
  t.equal(await workers.exitCode, 0)
  t.match(workers.stderr(), /joined, and waits for shards[\s\S]*took shard \d of run r-[\s\S]*is through with shard/)
  const many = resultsIn(join(folder, 'many'))
  t.equal(await runCommandLine(['run', ...fleet, '--workers', '0', '--report', join(folder, 'one')], terminal().io), 0)
  const one = resultsIn(join(folder, 'one'))
  const counts = ({ outcomes, platforms, devices, keys, steps, profiles, seed, verdict }: Results) => ({
    ...{ outcomes, devices, keys, seed, verdict, profiles: profiles.map(({ os: _, ...profile }) => profile) },
    platforms: Object.values(platforms).map(({ latencyMs: _, ...counted }) => counted),
    steps: steps.flatMap(({ step, platform, count }) => (step === 'connect' ? [] : [[step, platform, count]])),
  })
  t.strictSame(counts(many), counts(one))
  t.match(many.queue, { shards: 4, attempts: 4, takeovers: [], repeated: {}, devicesDelayed: 0 })
  t.equal(many.run.workers, many.queue?.workers.length)
  t.ok(many.invariants.every(({ violations }) => violations === 0))
  const queue = await openRedisQueue({
    url: server.url,
    sealingKey: await makeSealingKey(join(folder, 'fleet.key')),
    allowPlain: false,
    clock: systemClock,
    onWarning: t.fail,
  })
  t.strictSame(await queue.runs(), [], 'nothing is left of it')
  await queue.submit(runOf('r-otheroneaa', 1, { version: '0.0.9' }))
  const unfit = await command(['worker', ...options, '--workers', '1'])
  t.match(unfit, { exitCode: 2, stderr: /certfleet: run r-otheroneaa is of certfleet 0\.0\.9, and this is .*: install the same version/ })
  t.match(await command(['resume', ...options]), { exitCode: 2, stderr: /is of certfleet 0\.0\.9/ })
  await queue.submit(runOf('r-otheronebb'))
  t.match(await command(['stop', ...options]), { exitCode: 2, stderr: /which run\? the queue has r-otheroneaa, r-otheronebb/ })
  t.match(await command(['stop', 'r-x', ...options]), { exitCode: 2, stderr: /"r-x": no such run; the queue has r-otheroneaa, r-/ })
  for (const id of ['r-otheroneaa', 'r-otheronebb'])
    t.match(await command(['stop', id, '--forget', ...options]), { exitCode: 0, stdout: `run ${id} is stopped and removed\n` })
  t.match(await command(['stop', ...options]), { exitCode: 2, stderr: /the queue has no run/ })
  t.match(await command(['worker', ...options, '--workers', '1', '--until-idle', '200ms']), { exitCode: 0 })
  await queue.submit(runOf('r-otheronecc'))
  const otherKey = [...options.slice(0, -1), join(folder, 'other.key')]
  await makeSealingKey(join(folder, 'other.key'))
  const notItsKey = /^certfleet: the sealing key is not the one of the run "r-otheronecc", or the queue was changed; give every.*\n$/m
  t.match(await command(['stop', ...otherKey]), { exitCode: 2, stderr: notItsKey })
  t.match(await command(['resume', ...otherKey]), { exitCode: 2, stderr: notItsKey })
  t.match(await command(['worker', ...otherKey, '--workers', '1']), { exitCode: 2, stderr: /\ncertfleet: the sealing key is not .*\n$/ })
  t.match(await queue.status('r-otheronecc'), { isStopped: false })
  await queue.forget('r-otheronecc')
  const batch = started(t, ['worker', ...options, '--workers', '1', '--until-idle', '1h'])
  await batch.seen(/joined/)
  batch.interrupt()
  t.equal(await batch.exitCode, 130, 'something may be left')
  const [url, ...rest] = options.slice(1)
  const wrong = ['--queue', url as string, '--queue-password-file', join(folder, 'fleet.key'), ...rest.slice(2)]
  t.match(await command(['worker', ...wrong]), { exitCode: 2, stderr: /^certfleet: the Redis at .* refuses the password$/m })
  await queue.close()
})

t.test('a run that is stopped goes on with the same scenario alone', { skip, timeout: 120_000 }, async (t) => {
  const { folder, options } = await queueFor(t)
  const scenario = join(folder, 'slow.yaml')
  const slow = 'devices: 24\nseed: 3\nkeys: primes\nconcurrency: 2\nfaults: { delayed: 1, delay: 200ms }\n'
  writeFileSync(scenario, slow)
  const state = join(folder, 'state')
  const pool = await primesFolder(join(folder, 'pool'))
  const run = started(t, ['run', scenario, '--key-pool', pool, ...options, '--shard-devices', '8', '--state', state])
  await run.seen(/submitted: 3 shards/)
  const id = /run (r-[a-z2-7]{10}) submitted/.exec(run.stdout())?.[1] as string
  const worker = started(t, ['worker', ...options, '--workers', '1'])
  await worker.seen(/took shard 0/)
  run.interrupt()
  t.equal(await run.exitCode, 130)
  t.match(run.stderr(), new RegExp(`run ${id} is stopped; go on: certfleet resume ${id} .*slow\\.yaml --queue redis://.* --state `))
  t.notMatch(run.stdout() + run.stderr(), new RegExp(redisPassword))
  t.match(await command(['run', scenario, ...options, '--state', state]), {
    exitCode: 2,
    stderr: /keeps the lab of another run; go on with that one/,
  })
  t.match(await command(['resume', id, scenario, ...options]), {
    exitCode: 2,
    stderr: /--state: run .* enrols with an embedded lab; name the folder/,
  })
  const elsewhere = await command(['resume', id, scenario, ...options, '--state', pool])
  t.match(elsewhere, { exitCode: 2, stderr: /keeps no lab of a run over a queue \(run\.json: ENOENT\)/ })
  writeFileSync(scenario, slow.replace('24', '25'))
  const changed = await command(['resume', id, scenario, ...options, '--state', state])
  t.match(changed, {
    exitCode: 2,
    stderr: /^certfleet: run .* was begun with another scenario, other options, or other profiles or devices: give/m,
  })
  writeFileSync(scenario, slow)
  const resumed = started(t, ['resume', scenario, ...options, '--state', state, '--report', join(folder, 'report')])
  t.equal(await resumed.exitCode, 0, resumed.stderr())
  worker.interrupt()
  t.equal(await worker.exitCode, 0)
  const { outcomes, queue, invariants, devices, steps } = resultsIn(join(folder, 'report'))
  t.match({ devices, outcomes, queue }, { devices: 24, outcomes: { installed: 24, failed: 0 }, queue: { id, repeated: {}, takeovers: [] } })
  t.equal(steps.find(({ step, platform }) => step === 'enrollment' && platform === 'all')?.count, 24)
  t.ok(invariants.every(({ violations, checked }) => violations === 0 && checked > 0))
  t.ok(existsSync(join(state, 'lab')))
})
