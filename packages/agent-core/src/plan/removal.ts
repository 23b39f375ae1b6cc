import type { LifecycleRules, ManagedKind, RemovalEvent, RemovalRule } from '../lifecycle.ts'
import type { DevicePolicy, DeviceState, IdentityFacts, IdentityKey } from '../types.ts'
import type { Action, Reason } from './plan.ts'

/** A certificate whose profile is gone and that the OS leaves where it is. */
export interface Kept {
  readonly key: IdentityKey
  readonly reason: Reason
}

const reasons: Readonly<Record<RemovalEvent, Reason>> = {
  unassigned: 'ProfileRemoved',
  retired: 'DeviceRetired',
  wiped: 'DeviceWiped',
  unenrolled: 'DeviceUnenrolled',
  unlicensed: 'LicenseLost',
}

const kindOf = ({ requested }: IdentityFacts): ManagedKind => ('kind' in requested ? requested.kind : 'scep')

/**
 * What becomes of attempts and identities that no profile stands behind any more: attempts end, identities go or stay by the OS's rules.
 * A profile that merely fails keeps what it has: the old certificate stays usable.
 */
export function removedProfiles(
  policy: DevicePolicy,
  state: DeviceState,
  { removal }: LifecycleRules,
): { actions: Action[]; kept: Kept[] } {
  const event = policy.lifecycle ?? 'unassigned'
  const reason = reasons[event]
  const isGone = isGoneFrom(policy)
  const begun = new Set([...state.attempts.keys(), ...state.failures.keys()].filter(isGone))
  const identities = [...state.identities].filter(([key]) => isGone(key))
  const stays = ([, identity]: (typeof identities)[number]) => !removal[event].removed.includes(kindOf(identity))
  return {
    actions: [
      ...[...begun].map((key): Action => ({ kind: 'end-attempt', key, reason })),
      ...identities.filter((entry) => !stays(entry)).map(([key]): Action => ({ kind: 'remove-identity', key, reason })),
      ...identities
        .filter((entry) => stays(entry) && isToBeReleased(entry[1], removal[event]))
        .map(([key]): Action => ({ kind: 'release-identity', key, event, reason })),
    ],
    kept: identities.filter(stays).map(([key]) => ({ key, reason })),
  }
}

function isGoneFrom({ scepProfiles, pfxProfiles, failedProfiles }: DevicePolicy): (key: IdentityKey) => boolean {
  const wanted = new Set([...scepProfiles, ...pfxProfiles, ...failedProfiles].map(({ principal, id }): IdentityKey => `${principal}/${id}`))
  return (key) => !wanted.has(key)
}

function isToBeReleased(identity: IdentityFacts, { revoked }: RemovalRule): boolean {
  return identity.releasedBy === undefined && revoked.includes(kindOf(identity))
}

/**
 * The roots that no profile wants, unless the OS leaves them too. One that is being replaced stays until nothing wanted depends on it:
 * what the device trusts by the old certificate's CA must go on until it has the new one.
 */
export function surplusRoots(policy: DevicePolicy, state: DeviceState, { removal }: LifecycleRules): Action[] {
  if (!removal[policy.lifecycle ?? 'unassigned'].removed.includes('trusted-root')) return []
  const wanted = new Set(policy.trustedRoots.map(({ destinationStore, fingerprint }) => `${destinationStore} ${fingerprint}`))
  return state.roots
    .filter(({ store, fingerprint }) => !wanted.has(`${store} ${fingerprint}`) && !isBeingReplaced(fingerprint, policy, state))
    .map((root) => ({ kind: 'remove-root', root, reason: 'RootNoLongerTrusted' }))
}

function isBeingReplaced(fingerprint: string, { scepProfiles, pfxProfiles, trustedRoots }: DevicePolicy, state: DeviceState): boolean {
  return [...scepProfiles, ...pfxProfiles].some(({ principal, id, rootProfileId }) => {
    const identity = state.identities.get(`${principal}/${id}`)
    return identity?.requested.rootFingerprint === fingerprint && trustedRoots.some((root) => root.id === rootProfileId)
  })
}

export function unreferencedKeys(state: DeviceState): Action[] {
  const referenced = new Set([...state.attempts.values(), ...state.identities.values()].map((holder) => holder.keyLabel))
  return [...state.keyLabels]
    .filter((keyLabel) => !referenced.has(keyLabel))
    .map((keyLabel) => ({ kind: 'destroy-key', keyLabel, reason: 'KeyUnreferenced' }))
}
