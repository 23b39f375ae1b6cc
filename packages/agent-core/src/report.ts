import type { AgentErrorCode } from './errors.ts'
import { specOf } from './keys/key-handle.ts'
import { publicKeyOf } from './pki/certificate.ts'
import { certificateOf, type InstalledCertificate } from './pki/installed.ts'
import type { Action, Plan, Reason } from './plan/plan.ts'
import type { PlatformAdapter } from './ports.ts'
import {
  type CertificateProfile,
  type DevicePolicy,
  type DeviceState,
  type FailedProfile,
  type Identity,
  type IdentityKey,
  type InapplicableProfile,
  type Instant,
  identityKey,
  type KeyProtection,
  type KeySpec,
  type KeyStorageReason,
  type KeyStorageStatus,
  type Principal,
  type StoreName,
} from './types.ts'

/** Graph's `certificateIssuanceStates`, those of them that a device can know (platform-behaviours 2.6). */
export type IssuanceState =
  | 'unknown'
  | 'requestCreationFailed'
  | 'requestSubmitFailed'
  | 'issueFailed'
  | 'issuePending'
  | 'issued'
  | 'responseProcessingFailed'
  | 'installed'
  | 'renewalRequested'

export interface ActionResult {
  readonly kind: Action['kind']
  /** Why the planner asked for it, unchanged. */
  readonly reason: Reason
  /** The profile, root fingerprint or key label that the action was about. */
  readonly subject: string
  readonly status: 'done' | 'pending' | 'failed'
  /** By the device's clock. */
  readonly durationMs: number
  readonly code?: AgentErrorCode
  readonly message?: string
}

export interface ProfileStatus {
  readonly profileId: string
  readonly displayName: string
  readonly principal: Principal
  readonly state: IssuanceState
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint?: string
  readonly serialNumber?: string
  readonly notBefore?: Instant
  readonly notAfter?: Instant
  /** Where the key really is. */
  readonly keyProtection?: KeyProtection
  /** Who holds the key. */
  readonly keyProvider?: string
  /** Why it is there. */
  readonly keyStorageReason?: KeyStorageReason
  /** Of an RSA key. */
  readonly keyBits?: number
  /** The profile asked for RSA-1024 and got it: below what certfleet takes unasked. */
  readonly warning?: 'rsa-key-below-2048-bits'
  /** Settings of the profile that have no effect on this OS. Absent where there is none. */
  readonly ignoredSettings?: readonly string[]
  readonly code?: AgentErrorCode
  readonly message?: string
  /** When the agent tries again, where it waits. */
  readonly retryAt?: Instant
  /** What its OS itself would show. Absent where the platform adapter knows of nothing. */
  readonly os?: Readonly<Record<string, unknown>>
}

/** Where one profile stands, for an OS to put into its own words. */
export interface ProfileStanding {
  readonly status: Pick<ProfileStatus, 'state' | 'code' | 'message'>
  /** Its key comes ready-made. */
  readonly isPfx: boolean
  /** What is installed, DER. */
  readonly certificate?: Uint8Array
  /** The key of that is there and belongs to it. */
  readonly keyUsable: boolean
  /** The SCEP server that answered, where that is known. */
  readonly respondentUrl?: string
  readonly at: Instant
}

export interface RootStatus {
  readonly profileId: string
  readonly store: StoreName
  readonly fingerprint: string
  readonly installed: boolean
  /** It is installed, and TLS trusts nothing by it until the user says so. Default false. */
  readonly awaitsTrust?: true
}

/** What one pass did and where every profile stands. No secrets by construction. */
export interface Report {
  readonly revision: number
  readonly at: Instant
  readonly platform: string
  readonly results: readonly ActionResult[]
  readonly roots: readonly RootStatus[]
  readonly profiles: readonly ProfileStatus[]
  /** Profiles that are not for this OS: no failure. Absent where there is none. */
  readonly notApplicable?: readonly InapplicableProfile[]
  /** What the device has to keep keys in, and what is wrong with it. */
  readonly keyStorage: readonly KeyStorageStatus[]
  /** Certificates that outlive their profile, as this OS has it: no error, and never renewed. Absent where there is none. */
  readonly kept?: readonly KeptCertificate[]
}

export interface KeptCertificate extends Pick<ProfileStatus, 'profileId' | 'principal' | 'fingerprint' | 'serialNumber' | 'notAfter'> {
  /** What took its profile away. */
  readonly reason: Reason
}

/** The step at which a code stops an enrolment, in Graph's words. */
const stateByCode: Partial<Record<AgentErrorCode, IssuanceState>> = {
  ERR_CHALLENGE_UNAVAILABLE: 'requestSubmitFailed',
  ERR_HTTP_STATUS: 'requestSubmitFailed',
  ERR_NETWORK: 'requestSubmitFailed',
  ERR_PFX_INVALID: 'responseProcessingFailed',
  ERR_PFX_PASSWORD: 'responseProcessingFailed',
  ERR_PFX_UNAVAILABLE: 'requestSubmitFailed',
  ERR_UNAUTHORIZED: 'requestSubmitFailed',
  ERR_ENROLLMENT_REJECTED: 'issueFailed',
  ERR_CLOCK_SKEW: 'issueFailed',
  ERR_PENDING_TIMEOUT: 'issueFailed',
  ERR_ALGORITHM_REFUSED: 'responseProcessingFailed',
  ERR_CA_UNTRUSTED: 'responseProcessingFailed',
  ERR_CERTIFICATE_MISMATCH: 'responseProcessingFailed',
  ERR_CERTIFICATE_UNTRUSTED: 'responseProcessingFailed',
  ERR_CMS_DECRYPT: 'responseProcessingFailed',
  ERR_CMS_INVALID: 'responseProcessingFailed',
  ERR_DER_MALFORMED: 'responseProcessingFailed',
  ERR_SCEP_MALFORMED: 'responseProcessingFailed',
  ERR_SCEP_REPLY_MISMATCH: 'responseProcessingFailed',
}

export interface PassFacts {
  readonly policy: DevicePolicy
  readonly platform: Pick<PlatformAdapter, 'name' | 'shownOf'>
  readonly results: readonly ActionResult[]
  /** As observed after the actions. */
  readonly state: DeviceState
  readonly identities: readonly Identity[]
  readonly plan: Plan
  readonly at: Instant
}

export function summarize(facts: PassFacts): Report {
  const { policy, platform, results, state, at } = facts
  const installed = new Map(state.roots.map((root) => [`${root.store} ${root.fingerprint}`, root]))
  return {
    revision: policy.revision,
    at,
    platform: platform.name,
    results,
    roots: policy.trustedRoots.map(({ id, destinationStore: store, fingerprint }) => ({
      profileId: id,
      store,
      fingerprint,
      installed: installed.has(`${store} ${fingerprint}`),
      ...(installed.get(`${store} ${fingerprint}`)?.awaitsTrust && { awaitsTrust: true }),
    })),
    profiles: [...policy.scepProfiles, ...policy.pfxProfiles, ...policy.failedProfiles].map((profile) => profileStatus(profile, facts)),
    ...(policy.notApplicable && policy.notApplicable.length > 0 && { notApplicable: policy.notApplicable }),
    keyStorage: state.keyStorage,
    ...keptCertificates(facts),
  }
}

function keptCertificates({ plan, identities }: PassFacts): Pick<Report, 'kept'> {
  const reasons = new Map(plan.kept.map(({ key, reason }) => [key, reason]))
  const kept = identities.flatMap((identity): KeptCertificate[] => {
    const { profileId, principal } = identity
    const reason = reasons.get(identityKey(principal, profileId))
    if (reason === undefined) return []
    const { fingerprint, serialNumber, notAfter } = certificateStatus(identity)
    return [
      {
        profileId,
        principal,
        reason,
        ...(fingerprint && { fingerprint }),
        ...(serialNumber && { serialNumber }),
        ...(notAfter && { notAfter }),
      },
    ]
  })
  return kept.length > 0 ? { kept } : {}
}

function profileStatus(profile: CertificateProfile | FailedProfile, facts: PassFacts): ProfileStatus {
  const key = identityKey(profile.principal, profile.id)
  const failure = failureOf(key, facts)
  const identity = facts.identities.find((candidate) => identityKey(candidate.principal, candidate.profileId) === key)
  const status: ProfileStatus = {
    profileId: profile.id,
    displayName: profile.displayName,
    principal: profile.principal,
    state: issuanceState(key, facts, failure?.code, identity !== undefined),
    ...(identity && certificateStatus(identity)),
    ...ignoredSettings(profile),
    ...failure,
  }
  const os = facts.platform.shownOf?.({
    status,
    isPfx: 'request' in profile && 'kind' in profile.request,
    ...(identity && { certificate: identity.chain[0] as Uint8Array }),
    keyUsable: facts.state.identities.get(key)?.keyUsable ?? false,
    at: facts.at,
  })
  return os ? { ...status, os } : status
}

function ignoredSettings(profile: CertificateProfile | FailedProfile): Pick<ProfileStatus, 'ignoredSettings'> {
  const ignored = ('ignoredSettings' in profile && profile.ignoredSettings) || []
  return ignored.length > 0 ? { ignoredSettings: ignored } : {}
}

function issuanceState(key: IdentityKey, { state }: PassFacts, code: AgentErrorCode | undefined, installed: boolean): IssuanceState {
  if (state.pending.has(key)) return installed ? 'renewalRequested' : 'issuePending'
  if (installed) return state.attempts.has(key) ? 'renewalRequested' : 'installed'
  if (state.attempts.get(key)?.issued) return 'issued'
  if (code) return stateByCode[code] ?? 'requestCreationFailed'
  return 'unknown'
}

function certificateStatus(identity: Identity): Partial<ProfileStatus> {
  const certificate = certificateOf(identity)
  const { fingerprint, serialNumber, notBefore, notAfter } = certificate
  return {
    fingerprint,
    serialNumber,
    notBefore,
    notAfter,
    keyProtection: identity.placement.protection,
    keyProvider: identity.placement.provider,
    keyStorageReason: identity.placement.reason,
    ...keyStatus(keySpecOf(identity, certificate)),
  }
}

/** The certificate was judged to be for the key that was asked for; importing that key again costs more than the rest of a report. */
function keySpecOf({ requested }: Identity, certificate: InstalledCertificate): KeySpec {
  return 'keySpec' in requested ? requested.keySpec : specOf(publicKeyOf(certificate))
}

function keyStatus(spec: KeySpec): Pick<ProfileStatus, 'keyBits' | 'warning'> {
  if (spec.algorithm !== 'rsa') return {}
  return spec.bits < 2048 ? { keyBits: spec.bits, warning: 'rsa-key-below-2048-bits' } : { keyBits: spec.bits }
}

function failureOf(key: IdentityKey, { results, state, plan }: PassFacts): Pick<ProfileStatus, 'code' | 'message' | 'retryAt'> | undefined {
  const result = results.find((candidate) => candidate.subject === key && candidate.status === 'failed')
  const held = plan.held.find((candidate) => candidate.key === key)
  const code = result?.code ?? held?.why?.code ?? (state.failures.get(key)?.code as AgentErrorCode | undefined)
  if (!code) return undefined
  const message = result?.message ?? held?.why?.message
  return { code, ...(message && { message }), ...(held?.until !== undefined && { retryAt: held.until }) }
}
