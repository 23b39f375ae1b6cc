import { type Command, InvalidArgumentError, Option } from 'commander'
import { type EmulationKeyMode, emulationKeyModes } from '../keys/index.ts'
import { logLevels } from '../report/log-events.ts'
import { maxDevices } from '../scenario/devices.ts'
import { InputError } from '../scenario/input-error.ts'
import { maxWorkers } from '../scenario/load-schema.ts'
import { maxConcurrency, type ScenarioDocument, type Seed } from '../scenario/schema.ts'
import { parseThreshold, type Threshold } from '../scenario/threshold.ts'
import { type FactOptions, withFacts } from './fact-option.ts'
import { type LegacyOptions, wholeNumber, withLegacy } from './options.ts'
import type { QueueOptions } from './queue-options.ts'
import { defaultDevices, type LoadOptions } from './run-parts.ts'

/** What stands in the stead of a scenario's keys. */
export interface ScenarioOptions extends LegacyOptions, LoadOptions, FactOptions, QueueOptions {
  readonly profiles?: string
  readonly tenant?: string
  readonly devices?: number
  readonly seed?: Seed
  readonly concurrency?: number
  readonly workers?: number
  readonly threshold?: readonly Threshold[]
  readonly keys?: EmulationKeyMode
}

const maxPort = 65_535

/** What says which run it is; `certfleet resume` has to be given the same. */
export function withScenarioOptions(command: Command): Command {
  command
    .option('--profiles <path>', 'file or folder of Graph JSON (default: the example)')
    .option('--tenant <file>', 'tenant YAML, which names the devices (default: a generated tenant)')
    .option('--devices <n>', `devices in all, shared evenly by the platforms (default: ${defaultDevices})`, wholeNumber(1, maxDevices))
    .addOption(
      new Option(
        '--keys <mode>',
        'how RSA keys come about; those of pool and primes are cheap and no secret (default: fresh; primes with --virtual)',
      ).choices(emulationKeyModes),
    )
    .option('--concurrency <n>', 'devices at work at the same time (default: 32, or by arrival)', wholeNumber(1, maxConcurrency))
    .option('--workers <n>', 'processes that carry devices (default: by devices and cores; 0: this one)', wholeNumber(0, maxWorkers))
    .option('--threshold <text>', 'what has to hold at the end, such as "enrollment.p99 < 2s"; may be repeated', thresholdOption)
  withFacts(command)
  return withLegacy(command, 'agents and lab read messages encrypted with single DES', 'agents and lab accept SHA-1')
}

/** How a run is shown and what is written of it. */
export function withReportOptions(command: Command): Command {
  return command
    .option('--report <dir>', 'write results.json, report.html and junit.xml to a folder')
    .option('--json', 'print one JSON document on stdout')
    .option('--metrics <port>', 'serve the figures for Prometheus on loopback; 0: any free port', wholeNumber(0, maxPort))
    .option('--log <file>', 'write structured logs, a JSON document a line')
    .addOption(new Option('--log-level <level>', 'what of them (default: info)').choices(logLevels))
}

/** An option wins over the file, where both can be. */
export function mergeOptions(scenario: ScenarioDocument, options: ScenarioOptions): ScenarioDocument {
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
