import type { Command } from 'commander'
import { assertJoinable, isRunId, scenarioDigest } from '../fleet/queue/manifest.ts'
import type { RunManifest, ShardQueue } from '../fleet/queue/shard-queue.ts'
import { markings } from '../keys/index.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { loadScenario } from '../scenario/load.ts'
import { fleetKeyStorage } from './fleet-key-storage.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { readingInput } from './options.ts'
import { keyToHave, knownRun, openQueue, queueSettings, withQueue } from './queue-options.ts'
import { followToEnd } from './run-follow.ts'
import { mergeOptions, type ScenarioOptions, withReportOptions, withScenarioOptions } from './run-options.ts'
import {
  devicesOf,
  type Endings,
  endingAll,
  type LoadCommand,
  type LoadReport,
  openOutputs,
  populationIn,
  populationText,
  targetOf,
} from './run-parts.ts'
import { loadOf, ordersOf, serviceRequest } from './run-queue.ts'
import { openService } from './run-service.ts'
import { labAgainIn } from './run-state.ts'
import { tellProblem } from './tell.ts'

const examples = `
Examples:
  $ certfleet resume r-k3v7qa2mzd big.yaml --queue redis://10.0.0.1:6379 --queue-key fleet.key --report load
  $ certfleet resume r-k3v7qa2mzd --devices 5000 --queue redis://10.0.0.1:6379 --queue-key fleet.key --state lab-of-the-run

Goes on with a run over a queue that was stopped, or whose "certfleet run" is gone, and reports on the whole of it, from its first device.
Scenario and options are those that the run was begun with: one that changed since is refused. The seed is known. A run against the embedded
lab needs the folder of its --state, in which the lab is found again, at its address. Its workers are started as before.
The run may be left out where there is one alone. Exit codes are those of "certfleet run".`

export function defineResume(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('resume')
    .description('Go on with a run over a queue that was stopped, or was left')
    .argument('[run]', 'id of the run, as "certfleet run" told it')
    .argument('[scenario]', 'scenario file')
  withScenarioOptions(command).option('--state <dir>', 'folder that keeps the embedded lab of the run')
  withReportOptions(command)
  withQueue(command, keyToHave)
    .addHelpText('after', examples)
    .action(async (run: string | undefined, file: string | undefined, options: ScenarioOptions) =>
      end(await resume(givenBy(run, file), options, io)),
    )
}

interface Given {
  readonly run: string | undefined
  readonly file: string | undefined
}

/** A file alone is that of the one run that there is. */
const givenBy = (first: string | undefined, second: string | undefined): Given =>
  first !== undefined && second === undefined && !isRunId(first) ? { run: undefined, file: first } : { run: first, file: second }

async function resume(given: Given, options: ScenarioOptions, io: Io): Promise<ExitCode> {
  const interrupt = interruptSignal(io)
  const queue = await openQueue(await queueSettings(options, io, { makesKey: false }), io)
  try {
    const manifest = await manifestOf(queue, given.run)
    const command = await commandOf(given.file, manifest, options, interrupt.signal, io)
    return await endingAll(command, io, (endings) => resumeToEnd(command, { queue, manifest, options }, endings, io))
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; the run stands where it was' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
    await queue.close()
  }
}

async function manifestOf(queue: ShardQueue, run: string | undefined): Promise<RunManifest> {
  const id = await knownRun(queue, run)
  const status = await queue.status(id)
  if (!status) throw new InputError(`run ${id} has just been added up and removed`)
  await readingInput(() => assertJoinable(status.manifest))
  return status.manifest
}

async function commandOf(
  file: string | undefined,
  { id, seed: seedOfRun }: RunManifest,
  options: ScenarioOptions,
  signal: AbortSignal,
  io: Io,
): Promise<LoadCommand> {
  const scenario = mergeOptions(file === undefined ? {} : await loadScenario(file), options)
  if (scenario.virtual !== undefined) throw new InputError(`the scenario is for a virtual clock, and run ${id} is not`)
  const seed = scenario.seed ?? seedOfRun
  const say = (line: string) => (options.json ? io.err : io.out)(`${printable(line)}\n`)
  say(`run ${id}, seed ${seed}`)
  return { file, scenario, options, seed, ...(await populationIn(scenario)), signal, say }
}

interface Resuming {
  readonly queue: ShardQueue
  readonly manifest: RunManifest
  readonly options: ScenarioOptions
}

async function resumeToEnd(command: LoadCommand, { queue, manifest, options }: Resuming, endings: Endings, io: Io): Promise<LoadReport> {
  const { scenario, say, signal } = command
  const target = await targetOf(command, io)
  const devices = devicesOf(command, target)
  if (scenarioDigest({ ...command, devices, target }) !== manifest.scenario)
    throw new InputError(
      `run ${manifest.id} was begun with another scenario, other options, or other profiles or devices: give what it was begun with`,
    )
  const load = await loadOf(command)
  const again = target ? {} : await labAgainIn(stateOf(options, manifest), manifest.id)
  const outputs = await openOutputs(options)
  const service = await readingInput(() => openService(serviceRequest(command, { target, ...again }), io))
  endings.push(() => service.close())
  say([populationText(devices), ...service.remarks].join('; '))
  const keyStorage = await fleetKeyStorage(scenario, io, signal)
  // The keys of the workers are in the queue: none are made here.
  const orders = ordersOf(command, { service, devices, keys: { mode: 'fresh' }, keyStorage }, manifest.shards, load)
  signal.throwIfAborted()
  await queue.resume(manifest.id)
  const { keys = 'fresh' } = scenario
  const marking = keys === 'fresh' ? undefined : markings[keys]
  return followToEnd(command, { queue, where: options, manifest, orders, service, outputs, marking }, io)
}

function stateOf({ state }: ScenarioOptions, { id }: RunManifest): string {
  if (state !== undefined) return state
  throw new InputError(
    `--state: run ${id} enrols with an embedded lab; name the folder that keeps it. A run that was begun without one cannot be resumed`,
  )
}
