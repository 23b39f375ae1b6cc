import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { clientCpuRows } from './enrollment-rows.ts'
import { flatnessRows } from './flatness.ts'
import { makePool, type Workshop } from './fleet-run.ts'
import { freshRows } from './fresh-keys.ts'
import { idleFigures, idleTargetKiB } from './idle-figures.ts'
import { endAll } from './processes.ts'
import { rateRows } from './rate.ts'
import { once, printRows, type Row, textOf } from './row.ts'

/** The table of what the fleet promises as a load tool: ratios of what ran in turn, with peers beside. Nothing fails by a missed target. */
interface Options {
  readonly quick?: true
  readonly json?: true
  readonly workers?: number
  readonly only?: readonly string[]
}

const options = new Command('bench')
  .option('--quick', 'smaller counts: minutes, and figures that say less')
  .option('--json', 'print an array of rows')
  .option('--workers <n>', 'processes that carry devices (default: a core is left to the lab)', Number)
  .option('--only <tables...>', 'of rate, fresh, cpu, idle and flat')
  .parse()
  .opts<Options>()

const sizes = options.quick
  ? {
      rate: { rounds: 3, devices: 300, peerEnrolments: 100 },
      fresh: { rounds: 1, devices: 100 },
      idle: { plain: 1_000, tls: 500 },
      flat: { few: 500, many: 3_000, rounds: 1 },
    }
  : {
      rate: { rounds: 5, devices: 1_500, peerEnrolments: 200 },
      fresh: { rounds: 3, devices: 400 },
      idle: { plain: 10_000, tls: 2_000 },
      flat: { few: 1_000, many: 10_000, rounds: 3 },
    }

const tell = (line: string) => void process.stderr.write(`${line}\n`)
const folder = await mkdtemp(join(tmpdir(), 'certfleet-bench-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
const workshop: Workshop = { folder, workers: options.workers ?? Math.max(1, availableParallelism() - 1), tell }

const tables: Readonly<Record<string, () => Promise<Row[]>>> = {
  rate: () => rateRows(workshop, sizes.rate),
  fresh: () => freshRows(workshop, sizes.fresh),
  cpu: () => clientCpuRows(),
  idle: idleRows,
  flat: () => flatnessRows(workshop, sizes.flat),
}

try {
  tell(
    `${availableParallelism()} cores, ${workshop.workers} processes with devices, load ${loadavg()[0]?.toFixed(1)} before the first round`,
  )
  tell('the prime pool, made once')
  await makePool()
  const rows: Row[] = []
  for (const [name, measure] of Object.entries(tables)) {
    if (options.only && !options.only.includes(name)) continue
    const measured = await measure()
    for (const one of measured) tell(`  ${textOf(one)}`)
    rows.push(...measured)
  }
  printRows(rows, options.json === true)
} finally {
  await rm(folder, { recursive: true, force: true })
}

/** At once: what fails because its processes end is not to be told. They may write for another moment. */
function stop(): never {
  endAll()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  process.exit(130)
}

async function idleRows(): Promise<Row[]> {
  const { plain, tls } = sizes.idle
  tell(`memory: ${plain} connected idle devices`)
  const { rss } = await idleFigures(plain, false)
  tell(`memory: ${tls} connected idle devices over TLS`)
  const overTls = await idleFigures(tls, true)
  return [
    once(`memory per connected idle device, ${plain} devices`, 'KiB', rss, { atMost: idleTargetKiB }, 'RSS above the empty fleet'),
    once(`  the same over TLS, ${tls} devices`, 'KiB', overTls.rss),
  ]
}
