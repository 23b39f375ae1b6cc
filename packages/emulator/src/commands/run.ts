import { randomInt } from 'node:crypto'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type EmulationKeyMode, emulationKeyModes } from '../keys/index.ts'
import { logLevels } from '../report/log-events.ts'
import { printable } from '../report/printable.ts'
import { maxDevices } from '../scenario/devices.ts'
import { InputError } from '../scenario/input-error.ts'
import { loadScenario } from '../scenario/load.ts'
import { maxWorkers } from '../scenario/load-schema.ts'
import { populationOf } from '../scenario/population.ts'
import { maxConcurrency, type ScenarioDocument, type Seed } from '../scenario/schema.ts'
import { parseThreshold, type Threshold } from '../scenario/threshold.ts'
import { maxVirtualDays } from '../scenario/virtual.ts'
import { type FactOptions, refuseFactsOfOthers, withFacts } from './fact-option.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { type LegacyOptions, seedOption, wholeNumber, withLegacy } from './options.ts'
import { type LoadOptions, runLoad } from './run-load.ts'
import { runVirtual, type VirtualOptions } from './run-virtual.ts'
import { tellProblem } from './tell.ts'
import { readTenant } from './tenant-input.ts'

interface RunOptions extends LegacyOptions, LoadOptions, VirtualOptions, FactOptions {
  readonly profiles?: string
  readonly tenant?: string
  readonly devices?: number
  readonly seed?: Seed
  readonly concurrency?: number
  readonly workers?: number
  readonly threshold?: readonly Threshold[]
  readonly json?: true
  readonly keys?: EmulationKeyMode
  readonly keyPool?: string
  readonly virtual?: true
}

const defaultDevices = 200
const maxPort = 65_535

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
    .option('--profiles <path>', 'file or folder of Graph JSON (default: the example)')
    .option('--tenant <file>', 'tenant YAML, which names the devices (default: a generated tenant)')
    .option('--devices <n>', `devices in all, shared evenly by the platforms (default: ${defaultDevices})`, wholeNumber(1, maxDevices))
    .option('--seed <seed>', 'replays the chance of an earlier run (default: drawn and printed)', seedOption)
    .addOption(
      new Option(
        '--keys <mode>',
        'how RSA keys come about; those of pool and primes are cheap and no secret (default: fresh; primes with --virtual)',
      ).choices(emulationKeyModes),
    )
    .option('--key-pool <dir>', 'folder that keeps the pool of --keys pool or primes for the next run')
    .option('--concurrency <n>', `devices at work at the same time (default: 32, or by arrival)`, wholeNumber(1, maxConcurrency))
    .option('--workers <n>', 'processes that carry devices (default: by devices and cores; 0: this one)', wholeNumber(0, maxWorkers))
    .option('--in-process', 'call the lab without sockets')
    .option('--threshold <text>', 'what has to hold at the end, such as "enrollment.p99 < 2s"; may be repeated', thresholdOption)
    .option('--report <dir>', 'write results.json, report.html and junit.xml to a folder')
    .option('--out <dir>', 'the same, with the certificates and requests of every device')
    .option('--state <dir>', 'keep what the devices have, and go on from it the next time')
    .option('--json', 'print one JSON document on stdout')
    .option('--metrics <port>', 'serve the figures for Prometheus on loopback; 0: any free port', wholeNumber(0, maxPort))
    .option('--otel', 'make spans by the OpenTelemetry SDK that the process has loaded')
    .option('--log <file>', 'write structured logs, a JSON document a line')
    .addOption(new Option('--log-level <level>', 'what of them (default: info)').choices(logLevels))
    .option('--virtual', 'run on a virtual clock: years in minutes, with seeded faults, crashes and edits, judged by invariants')
    .option('--days <n>', 'virtual days (default: 365)', wholeNumber(1, maxVirtualDays))
    .option('--no-faults', 'nothing goes wrong on the virtual clock but what the scenario asks for')
    .option('--trace <file>', 'write what happened on the virtual clock, a line each: the same for the same seed')
    .option('--replay', 'run the virtual clock twice, to see that the seed gives the same trace (I9)')
    .addHelpText('after', examples)
  withFacts(command)
  withLegacy(command, 'agents and lab read messages encrypted with single DES', 'agents and lab accept SHA-1').action(
    async (file: string | undefined, options: RunOptions) => end(await run(file, options, io)),
  )
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
  const scenario = merge(file === undefined ? {} : await loadScenario(file), options)
  const isVirtual = options.virtual === true || scenario.virtual !== undefined
  refuseOptionsOf(isVirtual ? loadOptions : virtualOptions, options, isVirtual)
  if (options.keyPool !== undefined && (scenario.keys ?? (isVirtual ? 'primes' : 'fresh')) === 'fresh')
    throw new InputError('--key-pool: has no effect on fresh keys; give --keys pool or --keys primes, or leave it out')
  const seed = scenario.seed ?? randomInt(2 ** 32)
  const say = (line: string) => (options.json ? io.err : io.out)(`${printable(line)}\n`)
  say(`seed ${seed}`)
  const { imported, tenant } = await readTenant(scenario, populationOf(scenario.devices ?? defaultDevices))
  if (tenant.devices.size === 0) throw new InputError(`${tenant.file}: names no device, so there is nothing to run`)
  refuseFactsOfOthers(scenario.facts, tenant.devices.values())
  if (isVirtual) return runVirtual({ scenario, options, seed, imported, tenant, signal }, io)
  return runLoad({ scenario, options, seed, imported, tenant, signal, say }, io)
}

const loadOptions = [
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

/** An option that would change nothing was given for something else. */
function refuseOptionsOf(names: readonly (keyof RunOptions)[], options: RunOptions, isVirtual: boolean): void {
  const given = names.find((name) => options[name] !== undefined)
  if (given === undefined) return
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  throw new InputError(`${flag}: has no effect ${isVirtual ? 'on a virtual clock' : 'without --virtual'}; leave it out`)
}

/** An option wins over the file, where both can be. */
function merge(scenario: ScenarioDocument, options: RunOptions): ScenarioDocument {
  const { devices, tenant, fact, threshold, legacyDes, legacySha1 } = options
  if (devices !== undefined && (tenant ?? scenario.tenant) !== undefined)
    throw new InputError(`--devices: the ${tenant ? '' : "scenario's "}tenant names its devices; leave the option out`)
  const { seed, concurrency, profiles, workers, keys } = options
  if (keys !== undefined && keys !== 'fresh' && scenario.ksp !== undefined)
    throw new InputError(`--keys ${keys}: such keys are not made where the scenario's "ksp" says; leave one of them out`)
  const instead = { profiles, tenant, devices, seed, concurrency, workers, keys, thresholds: threshold }
  return {
    ...scenario,
    ...(Object.fromEntries(Object.entries(instead).filter(([, value]) => value !== undefined)) as Partial<ScenarioDocument>),
    ...(fact !== undefined && { facts: new Map([...(scenario.facts ?? []), ...fact]) }),
    ...(legacyDes && { 'legacy-des': true }),
    ...(legacySha1 && { 'legacy-sha1': true }),
  }
}

/** After those given before. */
function thresholdOption(text: string, earlier: readonly Threshold[] = []): readonly Threshold[] {
  const read = parseThreshold(text)
  if ('problem' in read) throw new InvalidArgumentError(`At character ${read.column}: ${read.problem}.`)
  return [...earlier, read]
}
