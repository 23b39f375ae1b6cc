import type { LabOptions } from '@certfleet/emulator/lab'
import type { PlatformName } from '@certfleet/platforms'
import type { ServerTarget } from '@certfleet/platforms/conformance'
import type { Break } from './foreign-server.ts'

/** A server, and the run that judges it. */
export interface Setting {
  readonly breaks?: Break
  readonly lab?: Partial<LabOptions>
  readonly target?: Partial<ServerTarget>
  /** One is prepared. */
  readonly rollOver?: true
}

/** One thing that is wrong, and the checks that find it. */
export interface Mutant extends Setting {
  readonly name: string
  readonly on?: PlatformName
  readonly fails: readonly string[]
  /** A check that passes where it is skipped with the lab as it is, and the other way round. */
  readonly passes?: string
  readonly skips?: string
  /** Of the first that failed, or of the one that is skipped. */
  readonly reason?: RegExp
}
