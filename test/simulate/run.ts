import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Command, InvalidArgumentError } from 'commander'
import { simulated } from './world.ts'

/** Every so many seeds one is run twice, for I9. */
const replayEvery = 20
const days = 120

interface Judged {
  readonly seed: string
  readonly faults: Readonly<Record<string, number>>
  readonly crashes: number
  readonly certificates: number
  /** What is wrong, in words; empty where nothing is. */
  readonly wrong: readonly string[]
}

async function judge(seed: string, replay: boolean): Promise<Judged> {
  const outcome = await simulated({ seed, days })
  const wrong = outcome.invariants.flatMap(({ name, violations }) =>
    violations.map(({ atMs, device, found }) => `${name}: day ${Math.floor(atMs / 86_400_000)}, ${device ?? 'service'}: ${found}`),
  )
  if (replay && (await simulated({ seed, days })).traceDigest !== outcome.traceDigest) wrong.push('I9: two runs of this seed differ')
  return { seed, faults: outcome.faults, crashes: outcome.crashes, certificates: outcome.certificatesIssued, wrong }
}

async function work(): Promise<void> {
  const { seed, from, step, until } = workerData as { seed: string; from: number; step: number; until: number }
  for (let n = from; n < until; n += step) parentPort?.postMessage(await judge(`${seed}/${n}`, n % replayEvery === 0))
}

async function runAll(seeds: number, seed: string): Promise<number> {
  console.log(`seed ${seed}: ${seeds} simulations of 8 devices and ${days} days, every ${replayEvery}th twice`)
  const total = { done: 0, certificates: 0, crashes: 0, failed: 0, faults: new Map<string, number>() }
  const take = ({ seed, faults, crashes, certificates, wrong }: Judged) => {
    total.done++
    total.certificates += certificates
    total.crashes += crashes
    for (const [fault, count] of Object.entries(faults)) total.faults.set(fault, (total.faults.get(fault) ?? 0) + count)
    if (wrong.length > 0) total.failed++
    for (const sentence of wrong) console.log(`seed ${seed}: ${sentence}`)
    if (total.done % 100 === 0)
      console.error(`${total.done}/${seeds}  ${total.certificates} certificates  ${total.failed} seeds violate an invariant`)
  }
  const workers = Math.min(seeds, availableParallelism())
  await Promise.all(Array.from({ length: workers }, (_, from) => endOf(worker({ seed, from, step: workers, until: seeds }), take)))
  const faults = [...total.faults].sort(([, a], [, b]) => b - a).map(([fault, count]) => `${count} ${fault}`)
  console.log(`${total.certificates} certificates, ${total.crashes} crashes; faults: ${faults.join(', ')}`)
  console.log(`${total.done} seeds, ${total.failed} with a violated invariant; seed ${seed}`)
  return total.failed === 0 && total.done === seeds ? 0 : 1
}

function worker(data: object): Worker {
  return new Worker(fileURLToPath(import.meta.url), { workerData: data })
}

function endOf(worker: Worker, take: (judged: Judged) => void): Promise<void> {
  worker.on('message', take)
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', () => resolve())
  })
}

function atLeastOne(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

if (isMainThread) {
  const { seeds, seed } = new Command('simulate')
    .description('Runs simulations with all faults, and judges each by the invariants I1-I9')
    .option('--seeds <n>', 'how many', atLeastOne, 100)
    .option('--seed <text>', 'of the whole; a single simulation is <text>/<n>', 'certfleet')
    .parse()
    .opts<{ seeds: number; seed: string }>()
  process.exitCode = await runAll(seeds, seed)
} else {
  await work()
}
