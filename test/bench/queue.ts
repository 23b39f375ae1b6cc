import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { redisServer } from '../queue/redis-server.ts'
import { root } from '../tooling/root.ts'
import { type FleetResults, makePool, poolFolder, withoutWindows } from './fleet-run.ts'
import { cpuMsOf } from './lab-process.ts'
import { ratio, spread } from './measure.ts'
import { endAll, endsWithThis, outputOf } from './processes.ts'
import { once as measuredOnce, printRows, row } from './row.ts'

/** What the queue costs: two workers over Redis against two worker processes of one run, in turn. Nothing fails by a missed target. */
const options = new Command('bench:queue')
  .option('--rounds <n>', 'of both, in turn', Number, 5)
  .option('--devices <n>', 'in each run', Number, 1_000)
  .option('--json', 'print an array of rows')
  .parse()
  .opts<{ readonly rounds: number; readonly devices: number; readonly json?: true }>()

interface Round {
  readonly rate: number
  readonly cpuMs: number
  /** Of Redis, for a device. */
  readonly redisMs: number
}

/** Of each process: in one run all share it, over a queue each has its own. */
const concurrency = 32
const cli = join(root, 'packages/emulator/dist/cli.js')
const tell = (line: string) => void process.stderr.write(`${line}\n`)
const folder = await mkdtemp(join(tmpdir(), 'certfleet-bench-queue-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    endAll()
    process.exit(130)
  })

try {
  tell(`${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)} before the first round; the prime pool, made once`)
  await makePool()
  const endings: (() => unknown)[] = []
  // As it is run in earnest: the disk is asked once a second.
  const redis = await redisServer({ teardown: (end: () => unknown) => void endings.push(end) }, folder, ['--appendfsync', 'everysec'])
  const queue = await queueOptions(redis)
  const workers = [1, 2].map(() => startWorker(queue))
  const one: Round[] = []
  const over: Round[] = []
  for (let round = 0; round <= options.rounds; round++) {
    const seed = `round-${round}`
    const runs = [
      async () => roundOf(await run(seed, 2 * concurrency, ['--workers', '2']), 0),
      async () => {
        const startMs = await cpuMsOf(redis.pid())
        const results = await run(seed, concurrency, queue)
        return roundOf(results, (await cpuMsOf(redis.pid())) - startMs)
      },
    ] as const
    const measured: Round[] = []
    // Whoever is first finds the machine as the round before has left it: they change places.
    for (const i of round % 2 ? [1, 0] : [0, 1]) measured[i] = await (runs[i] as () => Promise<Round>)()
    const [inOne, onQueue] = measured as [Round, Round]
    tell(
      `round ${round}: ${inOne.rate.toFixed(1)}/s in one run, ${onQueue.rate.toFixed(1)}/s over the queue${round === 0 ? ' (not counted)' : ''}`,
    )
    if (round === 0) continue
    one.push(inOne)
    over.push(onQueue)
  }
  for (const worker of workers) await worker.stop()
  for (const end of endings) await end()
  printRows(rowsOf(one, over), options.json === true)
} finally {
  endAll()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

function rowsOf(one: readonly Round[], over: readonly Round[]) {
  const each = over.map(({ rate }, i) => rate / (one[i] as Round).rate)
  const note = `${options.devices} devices, ${each.length} rounds; the least ${Math.min(...each).toFixed(2)}, the most ${Math.max(...each).toFixed(2)}`
  const rates = (rounds: readonly Round[]) => rounds.map(({ rate }) => rate)
  const cpu = (rounds: readonly Round[]) => spread(rounds.map(({ cpuMs }) => cpuMs))
  return [
    row(
      'rate, pooled keys: two workers over the queue / one run with two',
      'ratio',
      ratio(rates(over), rates(one)),
      { atLeast: 0.9 },
      note,
    ),
    row(
      '  CPU of a device, Redis included: over the queue / one run',
      'ratio',
      ratio(
        over.map(({ cpuMs, redisMs }) => cpuMs + redisMs),
        one.map(({ cpuMs }) => cpuMs),
      ),
      null,
      'what the rate comes to on cores that have nothing else to do',
    ),
    row('  one run with two workers', '/s', spread(rates(one))),
    row('  two workers over the queue', '/s', spread(rates(over))),
    row('  CPU of a device: one run with two workers', 'ms', cpu(one), null, 'fleet and lab'),
    row('  CPU of a device: over the queue', 'ms', cpu(over), null, 'fleet and lab, without Redis'),
    measuredOnce("  Redis' own CPU for a device", 'ms', spread(over.map(({ redisMs }) => redisMs)).median),
  ]
}

async function queueOptions({ url, password }: { readonly url: string; readonly password: string }): Promise<readonly string[]> {
  const file = join(folder, 'password')
  await writeFile(file, `${password}\n`, { mode: 0o600 })
  // Workers are there before the first run, which would make it.
  await writeFile(join(folder, 'queue.key'), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  return ['--queue', url.replace(/:\/\/.*@/, '://'), '--queue-password-file', file, '--queue-key', join(folder, 'queue.key')]
}

function startWorker(queue: readonly string[]) {
  const child = spawn(process.execPath, [cli, 'worker', ...queue, '--workers', '1'], { stdio: ['ignore', 'ignore', 'inherit'] })
  endsWithThis(child)
  const closed = once(child, 'close')
  return {
    async stop() {
      child.kill('SIGTERM')
      await closed
    },
  }
}

/** A run of the command line as a user would have it, at its own lab. */
async function run(seed: string, atOnce: number, more: readonly string[]): Promise<FleetResults> {
  const file = join(folder, `${seed}.yaml`)
  await writeFile(file, JSON.stringify({ seed, keys: 'primes', concurrency: atOnce, devices: withoutWindows(options.devices) }))
  const results: FleetResults = JSON.parse(
    await outputOf(process.execPath, [cli, 'run', file, '--json', '--key-pool', poolFolder, ...more], { codes: [0, 1] }),
  )
  if (results.verdict !== 'passed') throw new Error(`a run ${results.verdict}: ${JSON.stringify(results.failuresByCode)}`)
  return results
}

function roundOf({ enrollmentsPerSecond, generator, outcomes }: FleetResults, redisMs: number): Round {
  const cpuMs = generator.processes.reduce((sum, process) => sum + process.cpuMs, 0)
  return { rate: enrollmentsPerSecond, cpuMs: cpuMs / outcomes.installed, redisMs: redisMs / outcomes.installed }
}
