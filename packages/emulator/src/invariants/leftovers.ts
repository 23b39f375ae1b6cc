import { type AgentState, type Identity, type InstalledRoot, identityKey, type ManagedKind, type RemovalEvent } from '@certfleet/agent-core'
import { type FactOverrides, removalOf } from '@certfleet/platforms'
import type { DeviceSpec } from '../fleet/device.ts'

/** The device whose OS decides, and what is taken instead of facts. */
export type Remover = Pick<DeviceSpec, 'platform' | 'osVersion' | 'management'> & { readonly overrides?: FactOverrides | undefined }

/** What a device has. */
export interface Holdings {
  readonly identities: readonly Identity[]
  readonly roots: readonly InstalledRoot[]
  readonly keyLabels: readonly string[]
  readonly state: AgentState
}

/** What becomes of certificates of a kind at that event, by the rows of platform facts. */
export function ruleOf(kind: ManagedKind, event: RemovalEvent, { platform, osVersion, overrides, management }: Remover) {
  return removalOf(kind, event, platform, osVersion, overrides, management)
}

/** Whether the OS leaves an identity at that event. */
export function stays({ requested }: Identity, event: RemovalEvent, remover: Remover): boolean {
  return ruleOf('kind' in requested ? requested.kind : 'scep', event, remover).device === 'stays'
}

/** What is there that the event takes away; undefined where there is nothing but what the OS leaves. */
export function leftover({ identities, roots, keyLabels, state }: Holdings, event: RemovalEvent, remover: Remover): string | undefined {
  if (state.attempts.size + state.pending.size > 0) return 'an attempt is under way'
  const left = identities.find((identity) => !stays(identity, event, remover))
  if (left) return `the certificate of ${identityKey(left.principal, left.profileId)} is left`
  if (roots.length > 0 && ruleOf('trusted-root', event, remover).device !== 'stays') return 'a root is left'
  const held = new Set(identities.map(({ keyLabel }) => keyLabel))
  if (keyLabels.some((label) => !held.has(label))) return 'a key is left without a certificate'
  return undefined
}
