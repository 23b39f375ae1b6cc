import {
  type AgentState,
  type Departure,
  type Identity,
  type Instant,
  identityKey,
  type ManagedKind,
  type RemovalEvent,
} from '@certfleet/agent-core'
import { removalOf } from '@certfleet/platforms'
import type { DeviceSpec } from '../fleet/device.ts'
import type { IssuedRecord } from '../lab/index.ts'
import type { SimulatedDevice } from './device.ts'

/** Whether the OS leaves an identity at that event, by the rows of platform facts. */
export function stays({ requested }: Identity, event: RemovalEvent, { platform, osVersion }: DeviceSpec): boolean {
  return removalOf('kind' in requested ? requested.kind : 'scep', event, platform, osVersion).device === 'stays'
}

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
  const rowOf = (kind: ManagedKind) => removalOf(kind, event, device.spec.platform, device.spec.osVersion)
  const identities = await device.identities()
  if (state.attempts.size + state.pending.size > 0) return `an attempt is under way though the device is ${event}`
  const left = identities.find((identity) => !stays(identity, event, device.spec))
  if (left) return `the certificate of ${nameOf(left)} is left though the device is ${event}`
  if (rowOf('trusted-root').device !== 'stays' && (await device.roots()).length > 0) return `a root is left though the device is ${event}`
  const held = new Set(identities.map(({ keyLabel }) => keyLabel))
  if ((await device.keyLabels()).some((label) => !held.has(label)))
    return `a key is left without a certificate though the device is ${event}`
  for (const { serialNumber, profileId = '', at: issuedAt } of issued) {
    if (issuedAt > at) return `a certificate was issued for ${profileId} though the device is ${event}`
    const revokedAt = departed.revokedAt(serialNumber)
    const isRevoking = rowOf(departed.kindOf(profileId)).ca === 'revoked'
    if (isRevoking && revokedAt === undefined && departed.wasGood(serialNumber))
      return `a certificate of ${profileId} is not revoked though the device is ${event}`
    if (!isRevoking && revokedAt !== undefined && revokedAt > at)
      return `a certificate of ${profileId} is revoked though the device is ${event}`
  }
  return undefined
}

const nameOf = ({ principal, profileId }: Identity): string => identityKey(principal, profileId)
