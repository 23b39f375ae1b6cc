import { AgentError, type Clock, type ManagedKind, type PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { type FactOverrides, type LifecycleEvent, type Management, managementModes, platformNames, removalOf } from '@certfleet/platforms'
import { connectorAccount, ndesAccount } from './ca/accounts.ts'
import { sha256Hex } from './digest.ts'
import { transactionKey } from './issuance.ts'
import type { Lab } from './lab.ts'
import type { PolicyFor } from './policies.ts'
import type { IssuedRecord } from './records.ts'
import type { LabStore } from './store.ts'

export interface RevokeOnRemovalOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly policyFor: PolicyFor
  readonly revoke: Lab['revoke']
  readonly overrides?: FactOverrides | undefined
}

/**
 * Revokes what the rows of platform facts say, by the service account that the certificate was asked for by (S52). An account that may not
 * is told of in the audit, once, and stops nothing. Certificates of other CAs are none of the lab's, so they are never revoked.
 */
export interface RevokeOnRemoval {
  /** To be called when policies may be others: revokes what no profile stands behind any more. Done again, it finishes what a crash cut off. */
  settle(): Promise<void>
  /** To be called with each report: the device has a new certificate because its profile was edited, so that the old one is revoked. */
  reported(deviceId: string): Promise<void>
}

/** Which certificate a device told of, and what its profile asked for then: by principal and profile id. */
export type Installations = Readonly<Record<string, { readonly serialNumber: string; readonly asked: string }>>

export function revokeOnRemoval({ store, clock, policyFor, revoke, overrides }: RevokeOnRemovalOptions): RevokeOnRemoval {
  const refused = new Set<string>()

  async function apply(record: IssuedRecord, event: LifecycleEvent): Promise<void> {
    const { serialNumber, deviceId = '' } = record
    if (refused.has(serialNumber) || store.get('revocations', serialNumber)) return
    // What has expired counts for nothing, and CRLs need not grow by it.
    if (parseCertificate(record.certificate).notAfter < clock.now()) return
    const account = accountOf(record, store)
    if (!isRevoked(account === connectorAccount ? 'pkcs' : 'scep', event, deviceId, store, overrides)) return
    await revoke(serialNumber, event === 'edited' ? 'superseded' : 'cessationOfOperation', { account }).catch((error) => {
      if (!(error instanceof AgentError) || error.code !== 'ERR_UNAUTHORIZED') throw error
      refused.add(serialNumber)
    })
  }

  return {
    async settle() {
      const policies = new Map<string, PolicyDocument | undefined>()
      for (const record of store.list('issued')) {
        const { deviceId, profileId } = record
        if (deviceId === undefined || profileId === undefined) continue
        if (!policies.has(deviceId)) policies.set(deviceId, policyFor(deviceId))
        const event = eventFor(profileId, policies.get(deviceId))
        if (event) await apply(record, event)
      }
    },
    async reported(deviceId) {
      const report = store.get('reports', deviceId)?.report
      const policy = policyFor(deviceId)
      // A report of an earlier policy does not tell what the present one led to.
      if (report === undefined || policy === undefined || report.revision !== store.get('revisions', deviceId)?.revision) return
      const before = store.get('installations', deviceId) ?? {}
      const after = installationsOf(report.profiles, before, policy)
      for (const [key, { serialNumber, asked }] of Object.entries(before)) {
        const now = after[key]
        if (now === undefined || now.serialNumber === serialNumber || now.asked === asked) continue
        const record = store.get('issued', serialNumber)
        if (record?.deviceId === deviceId) await apply(record, 'edited')
      }
      // Last, so that a crash before it does all of this again.
      if (JSON.stringify(after) !== JSON.stringify(before)) await store.transaction((tx) => tx.put('installations', deviceId, after))
    },
  }
}

/** What has happened to a profile, if anything: a device without a policy is not known, which is no reason to revoke. */
function eventFor(profileId: string, policy: PolicyDocument | undefined): LifecycleEvent | undefined {
  if (policy === undefined || policy.lifecycle) return policy?.lifecycle
  const { scepProfiles, pfxProfiles = [], failedProfiles } = policy
  return [...scepProfiles, ...pfxProfiles, ...failedProfiles].some(({ id }) => id === profileId) ? undefined : 'unassigned'
}

/** The rows are the same for every version; what names no platform of ours is taken for Windows, and an unknown management for the usual one. */
function isRevoked(
  kind: ManagedKind,
  event: LifecycleEvent,
  deviceId: string,
  store: LabStore,
  overrides: FactOverrides | undefined,
): boolean {
  const { platform, management } = store.get('registrations', deviceId) ?? {}
  const name = platformNames.find((candidate) => candidate === platform) ?? 'windows'
  const modes: readonly Management[] = managementModes[name]
  const mode = modes.find((candidate) => candidate === management)
  return removalOf(kind, event, name, '0', overrides, mode).ca === 'revoked'
}

function accountOf({ transactionId }: IssuedRecord, store: LabStore): string {
  return store.get('transactions', transactionKey(transactionId))?.account ?? ndesAccount
}

function installationsOf(
  profiles: readonly { readonly principal?: unknown; readonly profileId?: unknown; readonly serialNumber?: unknown }[],
  before: Installations,
  policy: PolicyDocument,
): Installations {
  const wanted = new Map(policy.scepProfiles.map((profile) => [`${profile.principal}/${profile.id}`, profile]))
  return Object.fromEntries(
    profiles.flatMap(({ principal, profileId, serialNumber }) => {
      const key = `${String(principal)}/${String(profileId)}`
      const profile = wanted.get(key)
      if (profile === undefined || typeof serialNumber !== 'string') return []
      const known = Object.hasOwn(before, key) ? before[key] : undefined
      return [[key, known?.serialNumber === serialNumber ? known : { serialNumber, asked: askedBy(profile, policy) }]]
    }),
  )
}

/** A digest of what forces a new request when it changes. */
function askedBy(profile: PolicyDocument['scepProfiles'][number], { trustedRoots }: PolicyDocument): string {
  const { subject, subjectAltNames, keyBits, keyStorage, keyUsages, extendedKeyUsages, validity } = profile
  const root = trustedRoots.find(({ id }) => id === profile.rootProfileId)?.certificate
  return sha256Hex(JSON.stringify([subject, subjectAltNames, keyBits, keyStorage, keyUsages, extendedKeyUsages, validity, root]))
}
