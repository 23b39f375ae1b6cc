import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stopwatchMs } from '@certfleet/agent-core/system'
import { Command } from 'commander'
import { checkExport } from '#emulator/check/index.ts'
import { importGraph } from '#emulator/tenant/index.ts'
import { file } from '../tenant/graph.ts'
import { root } from '../tooling/root.ts'
import { checkedExport, checkedTenant, pairsPerDevice, tenantFile } from './check-tenant.ts'
import { once, printRows, type Row } from './row.ts'

/** What checking a tenant costs: 2,000 profiles, ten of them a device. Each size in a process of its own, for its memory. */
interface Figures {
  readonly checkMs: number
  readonly cpuMs: number
  readonly findings: number
  readonly errors: number
  readonly peakKiB: number
}

const { sizes, seed, json, inside } = new Command('check')
  .option('--sizes <n...>', 'devices', (text: string, known: number[] = []) => [...known, Number(text)])
  .option('--seed <seed>', 'of the tenant', '1')
  .option('--json', 'print an array of rows')
  .option('--inside <n>', 'measure so many devices in this process', Number)
  .parse()
  .opts<{ sizes?: number[]; seed: string; json?: true; inside?: number }>()

const mostMs = 10_000
const mostKiB = 1024 * 1024
const cli = join(root, 'packages/emulator/dist/cli.js')
const onExit =
  "process.on('exit', () => process.stderr.write('cpu ' + process.cpuUsage().user / 1000 + ' peak ' + process.resourceUsage().maxRSS + '\\n'))"
const tellsPeak = ['--import', `data:text/javascript,${encodeURIComponent(onExit)}`]

if (inside !== undefined) console.log(JSON.stringify(measure(inside)))
else printRows(await allRows(sizes ?? [2_500, 5_000, 10_000]), json === true)

function measure(devices: number): Figures {
  const imported = importGraph([file({ value: checkedExport() })])
  const tenant = checkedTenant(devices, seed)
  const before = { wall: stopwatchMs(), cpu: process.cpuUsage() }
  const { findings } = checkExport({ imported, tenant, now: Date.UTC(2026, 10, 23) })
  const checkMs = stopwatchMs() - before.wall
  const { user, system } = process.cpuUsage(before.cpu)
  const errors = findings.filter(({ severity }) => severity === 'error').length
  return { checkMs, cpuMs: (user + system) / 1000, findings: findings.length, errors, peakKiB: process.resourceUsage().maxRSS }
}

async function allRows(sizes: readonly number[]): Promise<Row[]> {
  const rows: Row[] = []
  const pairMicroseconds: number[] = []
  for (const devices of sizes) {
    const pairs = devices * pairsPerDevice
    const name = `${devices} devices x ${pairsPerDevice} profiles`
    const { checkMs, cpuMs, findings, errors, peakKiB } = JSON.parse(
      (await run([fileURLToPath(import.meta.url), '--inside', `${devices}`, '--seed', seed])).out,
    ) as Figures
    pairMicroseconds.push((cpuMs * 1000) / pairs)
    rows.push(
      once(`${name}: check`, 'ms', checkMs, { atMost: mostMs }, `${findings} findings, ${errors} of them errors`),
      once(`${name}: a pair`, 'µs', (cpuMs * 1000) / pairs, null, 'CPU'),
      once(`${name}: peak RSS`, 'KiB', peakKiB, { atMost: mostKiB }),
    )
  }
  const few = pairMicroseconds[0] as number
  const many = pairMicroseconds.at(-1) as number
  rows.push(once('cost of a pair: most devices / fewest', 'ratio', many / few, { atMost: 1.25 }, 'CPU'))
  return [...rows, ...(await commandRows(sizes.at(-1) as number))]
}

/** Files read and answer printed, as a person runs it. */
async function commandRows(devices: number): Promise<Row[]> {
  const folder = await mkdtemp(join(tmpdir(), 'certfleet-bench-'))
  try {
    const paths = { graph: join(folder, 'export.json'), tenant: join(folder, 'tenant.yaml') }
    await writeFile(paths.graph, JSON.stringify({ value: checkedExport() }))
    await writeFile(paths.tenant, tenantFile(checkedTenant(devices, seed)))
    const start = stopwatchMs()
    const { err } = await run([...tellsPeak, cli, 'check', paths.graph, '--tenant', paths.tenant, '--json'])
    const wholeMs = stopwatchMs() - start
    return [
      once(
        `${devices} devices by the command line: whole run`,
        'ms',
        wholeMs,
        { atMost: mostMs },
        `${/cpu (\d+)/.exec(err)?.[1]} ms of CPU`,
      ),
      once(`${devices} devices by the command line: peak RSS`, 'KiB', Number(/peak (\d+)/.exec(err)?.[1]), { atMost: mostKiB }),
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Fails unless it told what it was asked for: a check that finds errors ends with 1. */
async function run(args: readonly string[]): Promise<{ out: string; err: string }> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  if (code !== 0 && code !== 1) throw new Error(`${args.at(-1)} ended with ${code}: ${said.err}`)
  return said
}
