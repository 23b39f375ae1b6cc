import type { Seed } from '../scenario/schema.ts'
import type { CheckResult } from './check.ts'
import type { CheckFinding } from './types.ts'

export interface EmulateOptions {
  readonly seed: Seed
  readonly signal: AbortSignal
  /** Called as each device ends. */
  readonly onDevice?: (done: number, of: number) => void
}

/** A pair of which check and emulation say different things. */
export interface Disagreement {
  readonly device: string
  readonly profile: string
  readonly profileId: string
  /** In words: what the check says, and what became of it. */
  readonly predicted: string
  readonly emulated: string
}

export interface Emulation {
  /** Those of the result, each that was held against the emulation marked. */
  readonly findings: readonly CheckFinding[]
  readonly disagreements: readonly Disagreement[]
  readonly devices: number
  /** Error findings about a profile on a device that an emulation cannot show, such as those that hang on the tenant's own URL. */
  readonly notEmulated: number
}

/** Runs the devices of the result as a fleet against a lab of its own, with its profiles pointed at that. */
export async function emulate(_result: CheckResult, _options: EmulateOptions): Promise<Emulation> {
  throw new Error('not written')
}
