import { AgentError, type FailedProfile, type PolicyDocument, type Principal, type StoreName } from '@certfleet/agent-core'
import type { Intent } from './intent.ts'
import { profilesBeyond, profilesReaching, subscriberOf } from './reach.ts'
import { type ImportedRevision, renderPfx, type WirePfx } from './render-pfx.ts'
import { linkedRoot, resolvedNames } from './resolved.ts'
import type { Tenant } from './tenant-types.ts'
import type { IntentProfile, ScepIntent, TrustedRootIntent } from './types.ts'
import type { Subscriber } from './variables.ts'

type WireRoot = PolicyDocument['trustedRoots'][number]
type WireScep = PolicyDocument['scepProfiles'][number]

export interface RenderOptions {
  readonly revision: number
  /** Which PFX was imported for a user and purpose. Default: none was. */
  readonly importedRevision?: ImportedRevision
}

/**
 * What one device is to have: the profiles of its platform, management and OS version that reach it or its user, with
 * every variable resolved. A profile that cannot be delivered is in `failedProfiles`, one that is not for its OS version in
 * `notApplicable`; one of another platform or management is nowhere (S12). Reads nothing but its arguments, and takes
 * intent and tenant for what they were. Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks.
 */
export function renderPolicy(intent: Intent, tenant: Tenant, deviceId: string, options: RenderOptions): PolicyDocument {
  // What was imported may be another PFX the next time.
  if (options.importedRevision) return render(intent, tenant, deviceId, options)
  const kept = keptOf(intent, tenant)
  const known = kept.get(deviceId)
  if (known?.revision === options.revision) return known
  const policy = render(intent, tenant, deviceId, options)
  kept.delete(deviceId)
  kept.set(deviceId, policy)
  if (kept.size > maxKept) kept.delete(kept.keys().next().value as string)
  return policy
}

/** A lab asks for the same policy at every step of an enrolment; these are as many devices as enrol at the same time. */
const maxKept = 256
const keptPolicies = new WeakMap<Intent, WeakMap<Tenant, Map<string, PolicyDocument>>>()

function keptOf(intent: Intent, tenant: Tenant): Map<string, PolicyDocument> {
  const byTenant = keptPolicies.get(intent) ?? new WeakMap<Tenant, Map<string, PolicyDocument>>()
  keptPolicies.set(intent, byTenant)
  const byDevice = byTenant.get(tenant) ?? new Map<string, PolicyDocument>()
  byTenant.set(tenant, byDevice)
  return byDevice
}

function render(
  intent: Intent,
  tenant: Tenant,
  deviceId: string,
  { revision, importedRevision = () => undefined }: RenderOptions,
): PolicyDocument {
  const subscriber = subscriberOf(tenant, deviceId)
  const trustedRoots: WireRoot[] = []
  const scepProfiles: WireScep[] = []
  const pfxProfiles: WirePfx[] = []
  const failedProfiles: FailedProfile[] = []
  for (const { profile, assignedTo } of profilesReaching(intent, tenant, subscriber)) {
    const rendered = attempt(profile, () => renderProfile(profile, assignedTo, intent, subscriber, importedRevision))
    if ('code' in rendered) failedProfiles.push(rendered)
    else if ('certificate' in rendered) trustedRoots.push(rendered)
    else if ('kind' in rendered) pfxProfiles.push(rendered)
    else scepProfiles.push(rendered)
  }
  const notApplicable = profilesBeyond(intent, tenant, subscriber)
  return {
    schemaVersion: 1,
    revision,
    deviceId,
    trustedRoots,
    scepProfiles,
    ...(pfxProfiles.length > 0 && { pfxProfiles }),
    failedProfiles,
    ...(notApplicable.length > 0 && { notApplicable: [...notApplicable] }),
  }
}

function attempt<T>(profile: IntentProfile, render: () => T): T | FailedProfile {
  try {
    return render()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    const { id, displayName } = profile
    const principal = 'principal' in profile ? profile.principal : 'device'
    return { id, displayName, principal, code: failureCode(error), message: error.message.slice(0, maxMessageCharacters) }
  }
}

/** What a policy document takes. */
const maxMessageCharacters = 4096

function failureCode({ code }: AgentError): FailedProfile['code'] {
  return code === 'ERR_VARIABLE_UNRESOLVED' || code === 'ERR_UNSUPPORTED' ? code : 'ERR_PROFILE_INVALID'
}

function renderProfile(
  profile: IntentProfile,
  assignedTo: readonly Principal[],
  intent: Intent,
  subscriber: Subscriber,
  importedRevision: ImportedRevision,
): WireRoot | WireScep | WirePfx {
  switch (profile.kind) {
    case 'trusted-root':
      return renderRoot(profile, assignedTo)
    case 'scep':
      return renderScep(profile, assignedTo, intent, subscriber)
    case 'pkcs':
    case 'imported-pfx':
      return renderPfx(profile, assignedTo, subscriber, importedRevision)
    case 'invalid':
      throw new AgentError('ERR_PROFILE_INVALID', profile.message)
  }
}

function renderRoot(profile: TrustedRootIntent, assignedTo: readonly Principal[]): WireRoot {
  const { id, displayName, certificate, selfSigned, destinationStore } = profile
  const ownStore: StoreName = selfSigned ? 'computer-root' : 'computer-intermediate'
  const base64 = Buffer.from(certificate.buffer, certificate.byteOffset, certificate.length).toString('base64')
  return { id, displayName, certificate: base64, destinationStore: destinationStore ?? ownStore, assignedTo: [...assignedTo] }
}

function renderScep(profile: ScepIntent, assignedTo: readonly Principal[], intent: Intent, subscriber: Subscriber): WireScep {
  const { id, displayName, principal } = profile
  const rootProfileId = linkedRoot(profile)
  return {
    id,
    displayName,
    principal,
    assignedTo: [...assignedTo],
    scepUrls: [...profile.scepUrls],
    rootProfileId,
    ...(profile.hash === undefined ? {} : { hash: profile.hash }),
    ...(intent.multiFactor.has(id) && { multiFactor: true }),
    renewalThresholdPercent: profile.renewalThresholdPercent,
    ...resolvedNames(profile, subscriber),
    keyBits: profile.keyBits,
    keyStorage: profile.keyStorage,
    keyUsages: [...profile.keyUsages],
    extendedKeyUsages: [...profile.extendedKeyUsages],
    validity: profile.validity,
  }
}
