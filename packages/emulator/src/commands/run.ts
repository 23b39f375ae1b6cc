import { randomInt } from 'node:crypto'
import type { FactOverrides } from '@certfleet/platforms'
import { type Command, Option } from 'commander'
import type { DeviceSpec } from '../fleet/device.ts'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { type EmbeddedLab, startEmbeddedLab } from '../fleet/embedded-lab.ts'
import type { FleetKeyStorage } from '../fleet/key-storage.ts'
import { openOutput, type RunOutput } from '../fleet/output.ts'
import { runFleet } from '../fleet/run.ts'
import { emulationKeyModes } from '../keys/index.ts'
import { printable } from '../report/printable.ts'
import { type ProgressFacts, showProgress } from '../report/progress.ts'
import { isGood, type RunResults, resultsOf } from '../report/results.ts'
import { renderResults } from '../report/table.ts'
import { InputError } from '../scenario/input-error.ts'
import { loadScenario } from '../scenario/load.ts'
import { populationOf } from '../scenario/population.ts'
import { maxConcurrency, maxDevices, type ScenarioDocument, type Seed } from '../scenario/schema.ts'
import { maxVirtualDays } from '../scenario/virtual.ts'
import type { Tenant } from '../tenant/index.ts'
import { type Replacement, retarget } from '../tenant/index.ts'
import { type FactOptions, refuseFactsOfOthers, withFacts } from './fact-option.ts'
import { fleetKeyStorage } from './fleet-key-storage.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { type LegacyOptions, seedOption, wholeNumber, withLegacy } from './options.ts'
import { runVirtual, type VirtualOptions } from './run-virtual.ts'
import { tellProblem } from './tell.ts'
import { readTenant } from './tenant-input.ts'

interface RunOptions extends LegacyOptions, VirtualOptions, FactOptions {
  readonly profiles?: string
  readonly tenant?: string
  readonly devices?: number
  readonly seed?: Seed
  readonly out?: string
  readonly concurrency?: number
  readonly inProcess?: true
  readonly virtual?: true
}

const defaultDevices = 200
const defaultConcurrency = 32

const examples = `
Examples:
  $ certfleet run
  $ certfleet run --devices 8 --seed 42 --out fleet
  $ certfleet run examples/first-fleet.yaml --json > results.json
  $ certfleet run --profiles export/ --tenant tenant.yaml
  $ certfleet run --fact android.pending.polls=5 --fact windows.renewal.begun-by=check-in
  $ certfleet run --virtual --days 365 --devices 100 --seed 7
  $ certfleet run examples/virtual/renewal-storm.yaml

Scenario (YAML; every key is optional): seed, devices (a number, a number a platform, or total with shares),
profiles (Graph JSON, relative to the file), tenant (YAML), concurrency, legacy-des, legacy-sha1, lab.validityDays,
ksp (software, tpm, passport or pkcs11:MODULE?token=LABEL: every device holds every key there, instead of where its profiles say),
management (what the devices of a platform are enrolled as: android: deviceAdministrator, ios: unmanaged, …),
pin-file (its first line is the PIN of that token or Passport; default: CERTFLEET_PIN, or a prompt),
facts (by id, what is taken instead of a fact that is inferred or was seen once; "certfleet facts" lists them).
Options win over the file.

Without ksp, Windows devices have a modelled TPM beside the software KSP, and from Windows 10 on a modelled Passport whose user
answers at once; all others have software keys. The keys of a device end with the run, on a token too.

--out DIR gets results.json, root.pem, and a folder a device with cert.pem, chain.pem (issuing CA to root) and csr.pem;
further certificates of a device are cert-2.pem and so on. csr.pem is the request signed again without its challenge; a certificate
that came with its key, as PKCS#12, has none: secrets are never written. A folder that holds anything else than an earlier run is refused.

With --virtual, or the key "virtual" (days, faults, checkInHours, startOverHours, jitter, events), the same agents run on a virtual clock
against a lab in the same process, first with faults, then healed; exit code 0 when no invariant was violated and every device ends with
its certificates. The keys are cheap and insecure there (--keys primes): two share a prime. One seed gives one trace.

Exit code 0 when everything is installed, 1 when anything failed or is pending, 2 for bad input, 130 when interrupted:
the report is then of what was done.`

export function defineRun(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('run')
    .description('Run an emulated fleet against the embedded lab: policy, trusted roots, keys, SCEP enrolment, report')
    .argument('[scenario]', 'scenario file')
    .option('--profiles <path>', 'file or folder of Graph JSON (default: the example)')
    .option('--tenant <file>', 'tenant YAML, which names the devices (default: a generated tenant)')
    .option('--devices <n>', `devices in all, shared evenly by the platforms (default: ${defaultDevices})`, wholeNumber(1, maxDevices))
    .option('--seed <seed>', 'replays the chance of an earlier run (default: drawn and printed)', seedOption)
    .option('--out <dir>', 'write certificates, requests and results to a folder')
    .option('--concurrency <n>', `devices at work at the same time (default: ${defaultConcurrency})`, wholeNumber(1, maxConcurrency))
    .option('--in-process', 'call the lab without sockets')
    .option('--json', 'print one JSON document on stdout')
    .option('--virtual', 'run on a virtual clock: years in minutes, with seeded faults, crashes and edits, judged by invariants')
    .option('--days <n>', 'virtual days (default: 365)', wholeNumber(1, maxVirtualDays))
    .option('--no-faults', 'nothing goes wrong on the virtual clock but what the scenario asks for')
    .addOption(new Option('--keys <mode>', 'keys on the virtual clock').choices(emulationKeyModes))
    .option('--key-pool <dir>', 'folder that keeps the pool of --keys pool or primes for the next run')
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
  refuseOptionsOf(isVirtual ? socketOptions : virtualOptions, options, isVirtual)
  const seed = scenario.seed ?? randomInt(2 ** 32)
  const say = (line: string) => (options.json ? io.err : io.out)(`${printable(line)}\n`)
  say(`seed ${seed}`)
  const { imported, tenant } = await readTenant(scenario, populationOf(scenario.devices ?? defaultDevices))
  if (tenant.devices.size === 0) throw new InputError(`${tenant.file}: names no device, so there is nothing to run`)
  const legacy = {
    legacyDes: options.legacyDes || (scenario['legacy-des'] ?? false),
    legacySha1: options.legacySha1 || (scenario['legacy-sha1'] ?? false),
  }
  const overrides = scenario.facts
  refuseFactsOfOthers(overrides, tenant.devices.values())
  if (isVirtual) return runVirtual({ scenario, options, seed, imported, tenant, signal }, io)
  const keyStorage = await fleetKeyStorage(scenario, io, signal)
  const output = options.out === undefined ? undefined : await openOutput(options.out)
  const lab = await startEmbeddedLab({
    ...legacy,
    ...scenario.lab,
    tenant,
    overrides,
    clock: io.clock,
    inProcess: options.inProcess ?? false,
  })
  try {
    const { imported: pointed, replaced } = retarget(imported, { root: lab.root, issuing: lab.issuing, scepUrl: lab.scepUrl })
    lab.deliver(pointed)
    say(`${populationText(tenant)}; ${replacementText(replaced)}`)
    await output?.begin(lab.root)
    const results = await runWithProgress(
      { lab, tenant, seed, concurrency: scenario.concurrency ?? defaultConcurrency, output, keyStorage, overrides, ...legacy, signal },
      io,
    )
    await output?.finish(results)
    io.out(options.json ? `${JSON.stringify(results)}\n` : `\n${printable(renderResults(results))}\n`)
    return results.interrupted ? 130 : isGood(results) ? 0 : 1
  } finally {
    await lab.close()
  }
}

const socketOptions = ['out', 'concurrency', 'inProcess'] as const
const virtualOptions = ['days', 'keys', 'keyPool', 'trace', 'replay'] as const

/** An option that would change nothing was given for something else. */
function refuseOptionsOf(names: readonly (keyof RunOptions)[], options: RunOptions, isVirtual: boolean): void {
  const given = names.find((name) => options[name] !== undefined)
  if (given === undefined) return
  const flag = `--${given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  throw new InputError(`${flag}: has no effect ${isVirtual ? 'on a virtual clock' : 'without --virtual'}; leave it out`)
}

/** An option wins over the file, where both can be. */
function merge(scenario: ScenarioDocument, { devices, seed, concurrency, profiles, tenant, fact }: RunOptions): ScenarioDocument {
  if (devices !== undefined && (tenant ?? scenario.tenant) !== undefined)
    throw new InputError(`--devices: the ${tenant ? '' : "scenario's "}tenant names its devices; leave the option out`)
  return {
    ...scenario,
    ...(profiles !== undefined && { profiles }),
    ...(tenant !== undefined && { tenant }),
    ...(devices !== undefined && { devices }),
    ...(seed !== undefined && { seed }),
    ...(concurrency !== undefined && { concurrency }),
    ...(fact !== undefined && { facts: new Map([...(scenario.facts ?? []), ...fact]) }),
  }
}

interface Running extends LegacyOptions {
  readonly lab: EmbeddedLab
  readonly tenant: Tenant
  readonly seed: Seed
  readonly concurrency: number
  readonly output: RunOutput | undefined
  readonly keyStorage: FleetKeyStorage | undefined
  readonly overrides: FactOverrides | undefined
  readonly signal: AbortSignal
}

async function runWithProgress({ lab, tenant, output, ...running }: Running, io: Io): Promise<RunResults> {
  const devices = [...tenant.devices.values()].map(
    (device): DeviceSpec => ({ ...deviceSpecOf(device), receivesPfx: lab.deliversPfx(device.id) }),
  )
  const finished = new AbortController()
  const startedAt = io.clock.now()
  let facts: ProgressFacts = { done: 0, total: devices.length, installed: 0, failed: 0, elapsedMs: 0 }
  const read = () => ({ ...facts, elapsedMs: io.clock.now() - startedAt })
  const progress = showProgress(
    read,
    { write: io.err, isTerminal: io.errIsTerminal, ...(io.columns && { columns: io.columns }) },
    io.clock,
    finished.signal,
  )
  try {
    const outcome = await runFleet({
      ...running,
      ...lab.surroundings,
      devices,
      clock: io.clock,
      ...(output && { keep: output.keep }),
      onDevice: ({ certificatesInstalled, failures }) => {
        facts = {
          ...facts,
          done: facts.done + 1,
          installed: facts.installed + certificatesInstalled,
          failed: facts.failed + failures.length,
        }
      },
    })
    return resultsOf(running.seed, outcome, running.overrides)
  } finally {
    finished.abort()
    await progress
  }
}

function populationText({ devices }: Tenant): string {
  const counts = new Map<string, number>()
  for (const { platform } of devices.values()) counts.set(platform, (counts.get(platform) ?? 0) + 1)
  return `${devices.size} devices (${[...counts].map(([platform, count]) => `${count} ${platform}`).join(', ')})`
}

function replacementText(replaced: readonly Replacement[]): string {
  const count = (member: Replacement['member']) => replaced.filter((replacement) => replacement.member === member).length
  const [roots, urls, authorities] = [count('trustedRootCertificate'), count('scepServerUrls'), count('certificationAuthority')]
  const pkcs = authorities > 0 ? `, and the CA of ${authorities} PKCS profiles` : ''
  return `the lab stands in for the tenant's CA: ${roots} trusted roots and ${urls} SCEP URLs replaced${pkcs}`
}
