import { randomInt } from 'node:crypto'
import type { Command } from 'commander'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { loadScenario } from '../scenario/load.ts'
import { maxVirtualDays } from '../scenario/virtual.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { addressOption, seedOption, wholeNumber } from './options.ts'
import { queueOptionNames, withQueue } from './queue-options.ts'
import { runLoad } from './run-load.ts'
import { mergeOptions, type ScenarioOptions, withReportOptions, withScenarioOptions } from './run-options.ts'
import { populationIn } from './run-parts.ts'
import { maxShardDevices, runOverQueue } from './run-queue.ts'
import { runVirtual, type VirtualOptions } from './run-virtual.ts'
import { tellProblem } from './tell.ts'

interface RunOptions extends ScenarioOptions, VirtualOptions {
  readonly virtual?: true
}

const examples = `
Examples:
  $ certfleet run
  $ certfleet run --devices 8 --seed 42 --out fleet
  $ certfleet run examples/first-fleet.yaml --json > results.json
  $ certfleet run examples/load-10k.yaml --report load --metrics 9464
  $ certfleet run --devices 1000 --keys primes --threshold "enrollment.p99 < 2s" --threshold "failed.rate < 1%"
  $ certfleet run examples/bare-scep.yaml --legacy-des --legacy-sha1
  $ certfleet run stay.yaml --state fleet-state
  $ certfleet run --profiles export/ --tenant tenant.yaml
  $ certfleet run --fact android.pending.polls=5 --fact windows.renewal.begun-by=check-in
  $ certfleet run big.yaml --queue redis://10.0.0.1:6379 --queue-password-file redis.pass --queue-key fleet.key --lab-host 10.0.0.1
  $ certfleet run --virtual --days 365 --devices 100 --seed 7

A scenario (YAML; every key is optional; options win over it) says which devices there are and when they begin, what they enrol with,
how long they stay, what goes wrong, and what has to hold at the end: docs/scenario.md. "certfleet init" writes one to begin with.

Devices are spread over processes (--workers), beside the embedded lab in one of its own; a process that crashes is told, and its devices
begin anew. Ctrl+C ends a run with a report of what was done; with --state the next run with the same seed and devices goes on.

Without ksp, Windows devices have a modelled TPM beside the software KSP, and from Windows 10 on a modelled Passport whose user
answers at once; all others have software keys. The keys of a device end with the run, on a token too, unless --state keeps them.

--report DIR gets results.json, report.html, junit.xml and root.pem; --out DIR the same and a folder a device with cert.pem, chain.pem
(issuing CA to root) and csr.pem; further certificates of a device are cert-2.pem and so on. csr.pem is the request signed again without its
challenge; a certificate that came with its key, as PKCS#12, has none: secrets are never written. A folder that holds anything else than an
earlier run is refused.

With --queue "certfleet worker" carries the devices, on as many machines as it is started on; here they are watched, added up and judged as
on one machine. They are dealt out in shards (--shard-devices), at least two for each of --workers; with arrival or duration in one shard
for each of --workers, which then has to be given, and the run begins once each has been taken. "concurrency" is of each worker process.
Ctrl+C and "certfleet stop" leave a run that "certfleet resume" goes on with; one against the embedded lab only with --state, an empty
folder that keeps the lab. What is secret is sealed under --queue-key, a file that each machine has a copy of. --lab-host lets workers on
other machines reach the embedded lab, in plain http: for a network of your own. Not with --queue: --in-process, --out, --otel, --virtual.

With --virtual, or the key "virtual" (days, faults, checkInHours, startOverHours, jitter, events), the same agents run on a virtual clock
against a lab in the same process, first with faults, then healed; exit code 0 when no invariant was violated and every device ends with
its certificates. The keys are cheap and insecure there (--keys primes): two share a prime. One seed gives one trace.

Exit code 0 when every threshold holds, 1 when one does not, 2 for bad input, 130 when interrupted. Without thresholds nothing may have
failed, be pending or wait for a user. Invariants (serial numbers, keys, chains, orphans, removal) always have to hold.`

export function defineRun(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('run')
    .description('Run an emulated fleet against the embedded lab: policy, trusted roots, keys, SCEP enrolment, report')
    .argument('[scenario]', 'scenario file')
    .option('--seed <seed>', 'replays the chance of an earlier run (default: drawn and printed)', seedOption)
  withScenarioOptions(command)
    .option('--key-pool <dir>', 'folder that keeps the pool of --keys pool or primes for the next run')
    .option('--in-process', 'call the lab without sockets')
    .option('--out <dir>', 'the same as --report, with the certificates and requests of every device')
    .option('--state <dir>', 'keep what the devices have, and go on from it the next time')
    .option('--otel', 'make spans by the OpenTelemetry SDK that the process has loaded')
  withReportOptions(command)
  withQueue(command, 'the sealing key, made where it is missing (mode 600); copy it to the workers, Redis never sees it')
    .option('--shard-devices <n>', 'over a queue: devices of a shard, at most (default: 250)', wholeNumber(1, maxShardDevices))
    .option('--lab-host <address>', 'over a queue: IP address at which the embedded lab serves workers on other machines', addressOption)
    .option('--virtual', 'run on a virtual clock: years in minutes, with seeded faults, crashes and edits, judged by invariants')
    .option('--days <n>', 'virtual days (default: 365)', wholeNumber(1, maxVirtualDays))
    .option('--no-faults', 'nothing goes wrong on the virtual clock but what the scenario asks for')
    .option('--trace <file>', 'write what happened on the virtual clock, a line each: the same for the same seed')
    .option('--replay', 'run the virtual clock twice, to see that the seed gives the same trace (I9)')
    .addHelpText('after', examples)
    .action(async (file: string | undefined, options: RunOptions) => end(await run(file, options, io)))
}

async function run(file: string | undefined, options: RunOptions, io: Io): Promise<ExitCode> {
  const interrupt = interruptSignal(io)
  try {
    return await runScenario(file, options, interrupt.signal, io)
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; nothing was run' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
  }
}

async function runScenario(file: string | undefined, options: RunOptions, signal: AbortSignal, io: Io): Promise<ExitCode> {
  const scenario = mergeOptions(file === undefined ? {} : await loadScenario(file), options)
  const isVirtual = options.virtual === true || scenario.virtual !== undefined
  refuseOptionsOf(virtualOptions, options, !isVirtual, 'without --virtual')
  refuseOptionsOf(loadOptions, options, isVirtual, 'on a virtual clock')
  refuseOptionsOf(overQueue, options, options.queue === undefined, 'without --queue')
  if (options.keyPool !== undefined && (scenario.keys ?? (isVirtual ? 'primes' : 'fresh')) === 'fresh')
    throw new InputError('--key-pool: has no effect on fresh keys; give --keys pool or --keys primes, or leave it out')
  const seed = scenario.seed ?? randomInt(2 ** 32)
  const say = (line: string) => (options.json ? io.err : io.out)(`${printable(line)}\n`)
  say(`seed ${seed}`)
  const { imported, tenant } = await populationIn(scenario)
  if (isVirtual) return runVirtual({ scenario, options, seed, imported, tenant, signal }, io)
  const command = { file, scenario, options, seed, imported, tenant, signal, say }
  return options.queue === undefined ? runLoad(command, io) : runOverQueue(command, options, io)
}

const loadOptions = [
  'queue',
  'out',
  'report',
  'state',
  'concurrency',
  'workers',
  'inProcess',
  'threshold',
  'metrics',
  'otel',
  'log',
  'logLevel',
] as const
const virtualOptions = ['days', 'trace', 'replay'] as const

const overQueue = [...queueOptionNames, 'shardDevices', 'labHost'] as const

/** An option that would change nothing was given for something else. */
function refuseOptionsOf(names: readonly (keyof RunOptions)[], options: RunOptions, isIdle: boolean, where: string): void {
  const given = isIdle ? names.find((name) => options[name] !== undefined) : undefined
  if (given === undefined) return
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  throw new InputError(`${flag}: has no effect ${where}; leave it out`)
}
