import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemDisk } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import { parseCaCertificates } from '@certfleet/agent-core/scep/messages'
import { openEmulationKeys } from '#emulator/keys/index.ts'
import { root } from '../tooling/root.ts'
import { challenge, type LabProcess } from './lab-process.ts'
import { outputOf } from './processes.ts'

/** Where the runs of a benchmark work, and what they share. */
export interface Workshop {
  /** Removed at the end. */
  readonly folder: string
  /** Processes that carry devices; at least 1, so that the lab has one of its own. */
  readonly workers: number
  tell(line: string): void
}

/** Of `results.json`, what is used here. */
export interface FleetResults {
  readonly durationMs: number
  readonly enrollmentsPerSecond: number
  readonly verdict: string
  readonly outcomes: { readonly installed: number }
  readonly failuresByCode: Readonly<Record<string, number>>
  readonly run: { readonly workers: number; readonly concurrency: number }
  readonly generator: { readonly processes: readonly { readonly name: string; readonly cpuMs: number }[] }
}

/**
 * Without Windows: the modelled TPM waits with every key as a real one does, and the lab grants the SID of its profile to nobody who has
 * but a static challenge.
 */
export const withoutWindows = (total: number) => ({ total, shares: { ios: 1, macos: 1, android: 1 } })

/** Kept for the next time, as the pool of the idle devices is. */
export const poolFolder = join(root, '.build/bench-keys-fleet')

const poolOfDevices = 10_000
/** What "run" asks for: one profile a device, and three keys to spare. */
const keysPerDevice = 4

/** Once for all runs, whatever their seeds. */
export async function makePool(): Promise<void> {
  const kept = { folder: poolFolder, disk: systemDisk }
  await openEmulationKeys({ mode: 'primes', seed: 'bench', devices: poolOfDevices, keysPerDevice, kept })
}

/** Fewer leave cores without work while devices wait for answers. */
const concurrency = 64
let runs = 0

/** A run of the command line as a user would have it. Every run has a seed of its own: with the same keys a lab would answer from memory. */
export async function runFleet(workshop: Workshop, scenario: object): Promise<FleetResults> {
  const { folder, workers } = workshop
  const seed = ++runs
  const file = join(folder, `scenario-${seed}.yaml`)
  await writeFile(file, JSON.stringify({ seed, workers, concurrency, ...scenario }))
  const command = [
    join(root, 'packages/emulator/dist/cli.js'),
    'run',
    file,
    '--json',
    ...('keys' in scenario && scenario.keys === 'fresh' ? [] : ['--key-pool', poolFolder]),
  ]
  const results: FleetResults = JSON.parse(await outputOf(process.execPath, command, { codes: [0, 1] }))
  if (results.verdict !== 'passed') throw new Error(`a run ${results.verdict}: ${JSON.stringify(results.failuresByCode)}`)
  return results
}

/** What makes a fleet enrol at that lab by SCEP alone. */
export async function scepTargetOf({ folder }: Workshop, { scepUrl, caFingerprint }: LabProcess): Promise<object> {
  const answer = await fetch(`${scepUrl}?operation=GetCACert`)
  const { authorities } = parseCaCertificates(new Uint8Array(await answer.arrayBuffer()))
  const certificate = authorities.find(({ raw }) => fingerprintOf(raw) === caFingerprint)
  if (!certificate) throw new Error('the lab does not show the root that it announced')
  await writeFile(join(folder, 'root.der'), certificate.raw)
  await writeFile(join(folder, 'challenge.txt'), `${challenge}\n`, { mode: 0o600 })
  return { target: { scep: { url: scepUrl, root: 'root.der', challenge: { file: 'challenge.txt' } } } }
}
