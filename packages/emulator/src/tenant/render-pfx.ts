import { createHash } from 'node:crypto'
import { AgentError, type PolicyDocument, type Principal } from '@certfleet/agent-core'
import type { Intent } from './intent.ts'
import { profilesReaching, subscriberOf } from './reach.ts'
import { linkedRoot, resolvedNames } from './resolved.ts'
import type { PfxRequest, Tenant } from './tenant-types.ts'
import type { ImportedPfxIntent, IntendedPurpose, IntentProfile, PkcsIntent } from './types.ts'
import type { Subscriber } from './variables.ts'

export type WirePfx = NonNullable<PolicyDocument['pfxProfiles']>[number]

/** Tells one imported PFX of a user from the next; undefined where the user has none for that purpose. */
export type ImportedRevision = (userPrincipalName: string, intendedPurpose: IntendedPurpose) => string | undefined

/** No member of a PKCS profile says a size (S47). */
const keyBits = 2048

/**
 * What the connector is to deliver for one device: one request a PFX profile in its policy, in that order. Profiles that cannot be delivered
 * are left out; whether an imported PFX is there is not asked. Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks.
 */
export function renderPfxRequests(intent: Intent, tenant: Tenant, deviceId: string): readonly PfxRequest[] {
  const subscriber = subscriberOf(tenant, deviceId)
  return profilesReaching(intent, tenant, subscriber).flatMap(({ profile }) =>
    isPfx(profile) ? whereDeliverable(profile, subscriber) : [],
  )
}

export function renderPfx(
  profile: PkcsIntent | ImportedPfxIntent,
  assignedTo: readonly Principal[],
  subscriber: Subscriber,
  importedRevision: ImportedRevision,
): WirePfx {
  const rootProfileId = linkedRoot(profile)
  const request = requestOf(profile, subscriber)
  return {
    id: profile.id,
    displayName: profile.displayName,
    principal: profile.principal,
    assignedTo: [...assignedTo],
    rootProfileId,
    renewalThresholdPercent: profile.renewalThresholdPercent,
    kind: request.kind,
    certificateRevision: revisionOf(request, importedRevision),
    keyStorage: profile.keyStorage,
  }
}

function isPfx(profile: IntentProfile): profile is PkcsIntent | ImportedPfxIntent {
  return profile.kind === 'pkcs' || profile.kind === 'imported-pfx'
}

/** The policy tells why a profile cannot be delivered. */
function whereDeliverable(profile: PkcsIntent | ImportedPfxIntent, subscriber: Subscriber): readonly PfxRequest[] {
  if ('problem' in profile.link) return []
  try {
    return [requestOf(profile, subscriber)]
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return []
  }
}

function requestOf(profile: PkcsIntent | ImportedPfxIntent, subscriber: Subscriber): PfxRequest {
  const { id: profileId, principal } = profile
  if (profile.kind === 'imported-pfx') {
    const { intendedPurpose } = profile
    return { kind: 'imported', profileId, principal, userPrincipalName: upnOf(subscriber), intendedPurpose }
  }
  const { certificateTemplateName, certificationAuthority, certificationAuthorityName, extendedKeyUsages, validity } = profile
  return {
    ...{ kind: 'pkcs', profileId, principal, certificateTemplateName, certificationAuthority, certificationAuthorityName },
    ...resolvedNames(profile, subscriber),
    ...{ keyBits, extendedKeyUsages, validity },
  }
}

/** Imported files are kept by user. */
function upnOf({ device, user }: Subscriber): string {
  if (user !== undefined) return user.upn
  throw new AgentError('ERR_PROFILE_INVALID', `device "${device.id}" has no user whose PFX could have been imported`)
}

/** The digest of all that makes another certificate; ids and members that are not asked for may change. */
function revisionOf(request: PfxRequest, importedRevision: ImportedRevision): string {
  if (request.kind === 'imported') return importedFor(request, importedRevision)
  const { profileId: _, principal: __, ...asked } = request
  return createHash('sha256').update(JSON.stringify(asked)).digest('hex')
}

function importedFor(
  { userPrincipalName, intendedPurpose }: Extract<PfxRequest, { kind: 'imported' }>,
  importedRevision: ImportedRevision,
): string {
  const revision = importedRevision(userPrincipalName, intendedPurpose)
  if (revision !== undefined) return revision
  throw new AgentError('ERR_PROFILE_INVALID', `no PFX for ${intendedPurpose} was imported for "${userPrincipalName}"; import one`)
}
