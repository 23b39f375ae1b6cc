import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core/system'
import type { Results } from '@certfleet/emulator/fleet'
import type { Redis } from 'ioredis'
import type { Test } from 'tap'
import { logged, resultsIn, type SpawnedRun, spawnCertfleet, until } from '../fakes/fleet-processes.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { sameOf } from '../fleet/same-of.ts'
import { withClient } from './redis-runs.ts'
import { type RedisServer, redisServer } from './redis-server.ts'

export type QueueResults = Results & { readonly queue: NonNullable<Results['queue']> }

export interface QueueRun {
  readonly run: SpawnedRun
  readonly log: string
  /** Its id, once it is known to the queue, and the sealing key is made. */
  submitted(): Promise<string>
  /** So many devices are through. */
  through(devices: number): Promise<void>
  /** After its end, which has to be exit code 0. */
  results(): Promise<QueueResults>
}

/** A Redis and a lab, and a folder with all that machines share. */
export interface QueueFleet {
  readonly folder: string
  readonly redis: RedisServer
  readonly lab: QueueLab
  submit(scenario: string, ...options: readonly string[]): QueueRun
  /** One worker process, with a short lease. */
  worker(...options: readonly string[]): SpawnedRun
  /** Resolves once a device of the shard that it took last is under way, as the queue has it. */
  isAtDevice(worker: SpawnedRun): Promise<void>
  /** `certfleet stop`. */
  stop(run: string): SpawnedRun
  /** `certfleet resume` of what was submitted last, which shows and adds up as the submission did. */
  resume(run: string): QueueRun
}

export interface QueueLab {
  readonly policyUrl: string
  readonly adminUrl: string
  readonly registrationToken: string
  readonly adminToken: string
  /** By device and profile, how many certificates were issued until now, by the lab's own log. */
  issued(): ReadonlyMap<string, number>
  /** How much it has logged. */
  seen(): number
}

/** So slow that a shard of sixteen devices lasts some seconds. */
const slow = 'faults: { delayed: 1, delay: 300ms }'

/** Four shards of sixteen devices: a worker is at four of them at a time. */
export const scenario = `seed: 17\ndevices: { ios: 24, android: 20, macos: 16, windows: 4 }\nconcurrency: 4\nkeys: primes\n${slow}`

/** A process as it dies with its machine: all of its group at once. */
export function signalAll({ pid }: SpawnedRun, signal: NodeJS.Signals): void {
  process.kill(-pid, signal)
}

export async function queueFleet(t: Test): Promise<QueueFleet> {
  const folder = t.testdir()
  const data = join(folder, 'redis')
  mkdirSync(data)
  const redis = await redisServer(t, data)
  const lab = await startLab(t, folder, 'lab')
  const file = (name: string) => join(folder, name)
  secretFile(file('password'), redis.password)
  const pool = await primesFolder(file('keys'))
  const queue = [
    '--queue',
    redis.url.replace(/:\/\/.*@/, '://'),
    '--queue-password-file',
    file('password'),
    '--queue-key',
    file('queue.key'),
  ]
  const workers: SpawnedRun[] = []
  let runs = 0
  return {
    folder,
    redis,
    lab,
    submit(scenario, ...options) {
      const name = `run-${++runs}`
      writeFileSync(file(`${name}.yaml`), `${scenario}\ntarget: ${targetOf(lab, file('token'))}\n`)
      const shown = [...poolOf(scenario, pool), '--log', file(`${name}.log`), '--report', file(name), '--json']
      return queueRun(spawnCertfleet(t, ['run', file(`${name}.yaml`), ...queue, ...shown, ...options]), file(`${name}.log`), workers)
    },
    worker(...options) {
      const worker = spawnCertfleet(t, ['worker', ...queue, '--workers', '1', '--lease', '2s', ...options])
      workers.push(worker)
      return worker
    },
    isAtDevice: (worker) => withClient(redis, (client) => deviceUnderWay(client, worker)),
    stop: (run) => spawnCertfleet(t, ['stop', run, ...queue]),
    resume(run) {
      const log = file('resumed.log')
      return queueRun(spawnCertfleet(t, ['resume', run, file(`run-${runs}.yaml`), ...queue, '--log', log, '--json']), log, workers)
    },
  }
}

async function deviceUnderWay(client: Redis, { stderr }: SpawnedRun): Promise<void> {
  for (;;) {
    const [, shard, run] = [...stderr().matchAll(/took shard (\d+) of run (r-\w+)/g)].at(-1) ?? []
    if (shard !== undefined && (await client.hlen(`certfleet:run:${run}:devices:${shard}`)) > 0) return
    await systemClock.sleep(20)
  }
}

function queueRun(run: SpawnedRun, log: string, workers: readonly SpawnedRun[]): QueueRun {
  const completed = () => logged(log).filter(({ event }) => event === 'device-completed').length
  return {
    run,
    log,
    submitted: () => until('its submission', () => /\b(r-\w+) submitted/.exec(run.stderr())?.[1], run.stderr),
    through: async (devices) =>
      void (await until(
        `${devices} devices`,
        () => completed() >= devices,
        () => [run, ...workers].map(({ stderr }) => stderr()).join('\n'),
      )),
    async results() {
      const { exitCode } = await run.ended
      if (exitCode !== 0) throw new Error(`certfleet run ended with ${exitCode}\n${run.stderr()}\n${run.stdout()}`)
      return resultsIn(run.stdout()) as QueueResults
    },
  }
}

/**
 * One shard whose devices make keys of their own: whoever begins one anew has another key, so that its CA issues a second certificate. The
 * keys of a pool follow from the seed.
 */
export const freshScenario = `seed: 18\ndevices: { ios: 6, android: 2 }\nconcurrency: 4\n${slow}`

const poolOf = (scenario: string, folder: string): readonly string[] => (scenario.includes('keys: primes') ? ['--key-pool', folder] : [])

const known = new Map<string, Promise<Results>>()

/** What one process makes of the scenario, at a lab of its own and without waiting; once for all tests of this process. */
export function alone(t: Test, scenario: string): Promise<Results> {
  const quick = scenario.replace(/delay: \d+ms/, 'delay: 1ms')
  const results = known.get(quick) ?? runAlone(t, quick)
  known.set(quick, results)
  return results
}

async function runAlone(t: Test, scenario: string): Promise<Results> {
  const folder = join(t.testdirName, 'alone')
  mkdirSync(folder, { recursive: true })
  const lab = await startLab(t, folder, 'lab')
  writeFileSync(join(folder, 's.yaml'), `${scenario}\nworkers: 0\ntarget: ${targetOf(lab, join(folder, 'token'))}\n`)
  const options = [...poolOf(scenario, await primesFolder(join(folder, 'keys'))), '--json']
  const run = spawnCertfleet(t, ['run', join(folder, 's.yaml'), ...options])
  const { exitCode } = await run.ended
  if (exitCode !== 0) throw new Error(`the run of one process ended with ${exitCode}\n${run.stderr()}`)
  return resultsIn(run.stdout())
}

/** The same in every count, and for each device and profile one certificate, as the lab itself tells. */
export function isWhole(t: Test, results: QueueResults, expected: Results, { lab }: QueueFleet): void {
  // A request that is made again after a takeover is held up again.
  t.strictSame({ ...sameOf(results), faults: undefined }, { ...sameOf(expected), faults: undefined }, 'as in one process')
  t.ok(results.faults.delayed >= expected.faults.delayed, 'each request was held up')
  const issued = lab.issued()
  t.equal(issued.size, expected.outcomes.installed, 'every certificate is one of the lab')
  t.strictSame(
    [...issued].filter(([, count]) => count !== 1),
    [],
    'no device has a second one',
  )
  t.strictSame(
    results.invariants.filter(({ violations }) => violations > 0),
    [],
  )
}

export const repeatedSteps = ({ queue: { repeated } }: QueueResults): number =>
  Object.values(repeated).reduce((all, count) => all + count, 0)

async function startLab(t: Test, folder: string, state: string): Promise<QueueLab> {
  const process = spawnCertfleet(t, ['lab', '--state', join(folder, state)])
  const line = await until(
    'the lab',
    () => /^\{.*\}\n/.exec(process.stdout())?.[0],
    () => process.stderr(),
  )
  const seen = () => process.stderr().length
  return { ...JSON.parse(line), seen, issued: () => countsOf(process.stderr().matchAll(/ issued .*deviceId="(.*?)" profileId="(.*?)"/g)) }
}

function countsOf(found: Iterable<RegExpMatchArray>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const [, device, profile] of found) counts.set(`${device} ${profile}`, (counts.get(`${device} ${profile}`) ?? 0) + 1)
  return counts
}

function targetOf({ policyUrl, registrationToken }: QueueLab, file: string): string {
  secretFile(file, registrationToken)
  return `{ policy: { url: "${policyUrl}", token-file: "${file}" } }`
}

function secretFile(file: string, secret: string): void {
  writeFileSync(file, `${secret}\n`)
  chmodSync(file, 0o600)
}

export const textOf = (file: string): string => readFileSync(file, 'latin1')
