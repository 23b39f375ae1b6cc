import type { AgentState, Departure, Instant, ManagedKind } from '@certfleet/agent-core'
import { leftover, ruleOf } from '../invariants/leftovers.ts'
import type { IssuedRecord } from '../lab/index.ts'
import type { SimulatedDevice } from './device.ts'

/** A device that is managed no longer, and what the CA has on record of it. */
export interface Departed {
  readonly event: Departure
  readonly at: Instant
  /** What it was ever given and has not been forgotten. */
  readonly issued: readonly Pick<IssuedRecord, 'serialNumber' | 'profileId' | 'at'>[]
  /** Of the profiles that it had. */
  readonly kindOf: (profileId: string) => ManagedKind
  /** Of what was good for a day longer: the lab revokes once a day, and nothing that has expired. */
  wasGood(serialNumber: string): boolean
  revokedAt(serialNumber: string): Instant | undefined
}

/** What a device that is managed no longer has, or the CA did, against the rows of platform facts; undefined where all is as they say. */
export async function clings(device: SimulatedDevice, state: AgentState, departed: Departed): Promise<string | undefined> {
  const { event, at, issued } = departed
  const [identities, roots, keyLabels] = [await device.identities(), await device.roots(), await device.keyLabels()]
  const left = leftover({ identities, roots, keyLabels, state }, event, device.spec)
  if (left) return `${left} though the device is ${event}`
  for (const { serialNumber, profileId = '', at: issuedAt } of issued) {
    if (issuedAt > at) return `a certificate was issued for ${profileId} though the device is ${event}`
    const revokedAt = departed.revokedAt(serialNumber)
    const isRevoking = ruleOf(departed.kindOf(profileId), event, device.spec).ca === 'revoked'
    if (isRevoking && revokedAt === undefined && departed.wasGood(serialNumber))
      return `a certificate of ${profileId} is not revoked though the device is ${event}`
    if (!isRevoking && revokedAt !== undefined && revokedAt > at)
      return `a certificate of ${profileId} is revoked though the device is ${event}`
  }
  return undefined
}
