import type { Clock, ScepTrust, Transport } from '@certfleet/agent-core'
import type { MakeKeys } from '../context.ts'

/** Somebody's SCEP server, and what is known of it. */
export interface ServerTarget {
  /** As a profile has it. */
  readonly url: string
  readonly transport: Transport
  readonly clock: Clock
  readonly trust: ScepTrust
  /** Default: none, and whatever needs a challenge is skipped. */
  readonly challenges?: ChallengeSupply | undefined
  /** A device would read replies in single DES. Default false. */
  readonly legacyDes?: boolean
  /** A device would take SHA-1 where the server offers nothing better. Default false. */
  readonly legacySha1?: boolean
  /** Requests that are sent at once to see whether serial numbers stay apart, 2 or more. Default 16. */
  readonly parallel?: number
  /** Default: keys of its own in memory. */
  readonly makeKeys?: MakeKeys
  /** Told before each wait for a CA that has not decided. */
  readonly onPending?: (delayMs: number) => void
  /** Told of each certificate that the server issued, once. */
  readonly onIssued?: (certificate: Footprint) => void
}

/** Where good challenges come from. They are secrets. */
export interface ChallengeSupply {
  /** It is one and the same text, and only the server knows whether that is good more than once. */
  readonly repeats: boolean
  /** Undefined where there is none any more. */
  next(): Promise<string | undefined>
}

/** A certificate that the server issued during a run. */
export interface Footprint {
  /** Lower-case hex. */
  readonly serialNumber: string
  /** Name as text. */
  readonly subject: string
}
