import { tokenName } from '@certfleet/agent-core'
import type { FleetKeyStorage } from '../fleet/key-storage.ts'
import type { ScenarioDocument } from '../scenario/schema.ts'
import type { Io } from './io.ts'
import { readSecret } from './secret-input.ts'

/**
 * Where a scenario has every key, with the PIN from its `pin-file`, CERTFLEET_PIN or the terminal.
 * The users of Passports make their PINs up where none is given: there is nothing that they have to fit.
 */
export async function fleetKeyStorage(scenario: ScenarioDocument, io: Io, signal: AbortSignal): Promise<FleetKeyStorage | undefined> {
  const { ksp, 'pin-file': path } = scenario
  if (!ksp) return undefined
  const isGiven = path !== undefined || (ksp.kind === 'passport' && Boolean(io.env.CERTFLEET_PIN))
  if (!isGiven && ksp.kind !== 'pkcs11') return { ksp }
  const of = ksp.kind === 'pkcs11' ? tokenName(ksp) : 'Passport containers'
  return { ksp, pin: await readSecret({ kind: 'pin', of, isNew: false }, { option: 'pin-file', path, io, signal }) }
}
