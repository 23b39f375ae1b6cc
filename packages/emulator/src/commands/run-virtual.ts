import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { systemDisk } from '@certfleet/agent-core'
import { type EmulationKeys, openEmulationKeys } from '../keys/index.ts'
import { overriddenFacts } from '../report/overridden.ts'
import { printable } from '../report/printable.ts'
import { isSound, renderSimulation, simulationResults } from '../report/simulation.ts'
import { InputError } from '../scenario/input-error.ts'
import type { ScenarioDocument, Seed } from '../scenario/schema.ts'
import { devicesOf, keyStorageOf, policiesOf, type SimulationOutcome, sameTrace, simulate } from '../simulate/index.ts'
import type { Import, Tenant } from '../tenant/index.ts'
import type { ExitCode, Io } from './io.ts'
import { readingInput } from './options.ts'

export interface VirtualOptions {
  readonly days?: number
  readonly faults: boolean
  readonly keyPool?: string
  readonly trace?: string
  readonly replay?: true
  readonly json?: true
}

export interface VirtualRun {
  readonly scenario: ScenarioDocument
  readonly options: VirtualOptions
  readonly seed: Seed
  readonly imported: Import
  readonly tenant: Tenant
  readonly signal: AbortSignal
}

const hourMs = 3_600_000
const defaultDays = 365
const defaultValidityDays = 30

/** A scenario on a virtual clock. The seed has been told, and is told again where something is wrong. */
export async function runVirtual(run: VirtualRun, io: Io): Promise<ExitCode> {
  const { options, seed } = run
  const trace = options.trace === undefined ? undefined : await openTrace(options.trace)
  const startedAt = io.clock.now()
  try {
    const keys = await emulationKeys(run, io)
    const outcome = await simulated(run, keys, trace, io)
    const replayed = options.replay ? [sameTrace(outcome, await simulated(run, await emulationKeys(run, io), undefined, io))] : []
    const more = {
      ...(keys.marking && { marking: keys.marking }),
      ...overriddenFacts(run.scenario.facts),
      durationMs: io.clock.now() - startedAt,
    }
    const results = simulationResults({ ...outcome, invariants: [...outcome.invariants, ...replayed] }, more)
    io.out(options.json ? `${JSON.stringify(results)}\n` : `\n${printable(renderSimulation(results))}\n`)
    if (isSound(results)) return 0
    io.err(`seed ${seed}\n`)
    return 1
  } finally {
    trace?.end()
  }
}

async function simulated(
  { scenario, options, seed, imported, tenant, signal }: VirtualRun,
  keys: EmulationKeys,
  trace: WriteStream | undefined,
  io: Io,
): Promise<SimulationOutcome> {
  const { faults = true, checkInHours = 24, startOverHours = 24, jitter = true, events = [] } = scenario.virtual ?? {}
  const days = daysOf(scenario, options)
  return simulate({
    seed,
    devices: devicesOf(tenant),
    days,
    faults: faults && options.faults,
    events,
    validityDays: scenario.lab?.validityDays ?? defaultValidityDays,
    checkInMs: checkInHours * hourMs,
    startOverMs: startOverHours * hourMs,
    hasJitter: jitter,
    overrides: scenario.facts,
    ...policiesOf(imported, tenant),
    keysFor: keyStorageOf(keys),
    serviceKeyFor: keys.keyFor,
    ...(trace && { onLine: (line) => void trace.write(`${line}\n`) }),
    onDay: ({ day, issued, violations }) => {
      signal.throwIfAborted()
      const line = `day ${day}/${days}  ${issued} certificates  ${violations} violations`
      if (io.errIsTerminal) io.err(`\r\x1b[2K${line}${day === days ? '\n' : ''}`)
      else if (day % Math.ceil(days / 10) === 0) io.err(`${line}\n`)
    },
  })
}

const daysOf = ({ virtual }: ScenarioDocument, { days }: VirtualOptions): number => days ?? virtual?.days ?? defaultDays

/** Enough for every renewal, and for the attempts that faults end; with PFX profiles for as many again. */
function keysPerDevice(run: VirtualRun): number {
  const validityDays = run.scenario.lab?.validityDays ?? defaultValidityDays
  const kinds = run.imported.profiles.some(({ kind }) => kind === 'pkcs' || kind === 'imported-pfx') ? 2 : 1
  return kinds * (40 + Math.ceil((8 * daysOf(run.scenario, run.options)) / validityDays))
}

function emulationKeys(run: VirtualRun, io: Io): Promise<EmulationKeys> {
  const { keyPool: folder } = run.options
  const { keys: mode = 'primes' } = run.scenario
  const { signal, tenant, seed } = run
  if (mode !== 'fresh') io.err(`keys: ${mode}${folder === undefined ? ', made for this run; --key-pool keeps them for the next' : ''}\n`)
  return readingInput(() =>
    openEmulationKeys({
      mode,
      seed: String(seed),
      // The CA takes part as one more.
      devices: tenant.devices.size + 1,
      keysPerDevice: keysPerDevice(run),
      signal,
      ...(folder !== undefined && { kept: { folder, disk: systemDisk } }),
      onProgress: ({ primesMade, primes }) => {
        if (io.errIsTerminal) io.err(`\r\x1b[2K${primesMade}/${primes} primes${primesMade === primes ? '\n' : ''}`)
      },
    }),
  )
}

async function openTrace(file: string): Promise<WriteStream> {
  const stream = createWriteStream(file, { flags: 'w', mode: 0o600 })
  await once(stream, 'open').catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`--trace ${file}: cannot be written (${error.code}); name a file in a folder that exists`)
  })
  return stream
}
