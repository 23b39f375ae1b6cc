import type { Retry } from './errors.ts'
import type { Departure, RemovalEvent } from './lifecycle.ts'
import type { KeyReadiness } from './ports.ts'

/** Milliseconds since the Unix epoch. Comes from a Clock. */
export type Instant = number

/** Whose certificate it is: the machine's or its user's. */
export type Principal = 'device' | 'user'

/** `<principal>/<profileId>`: what identities, attempts and failures are keyed by. */
export type IdentityKey = `${Principal}/${string}`

export type HashName = 'sha1' | 'sha256' | 'sha384' | 'sha512'

export type KeySpec = { readonly algorithm: 'rsa'; readonly bits: number } | { readonly algorithm: 'ec'; readonly curve: 'P-256' | 'P-384' }

/** Where a private key lives. */
export type KeyProtection = 'software' | 'tpm' | 'passport' | 'pkcs11'

/** The four key storage provider settings of a profile (S25-S29), in Graph's words. */
export type KeyStorageOption =
  | 'useTpmKspOtherwiseUseSoftwareKsp'
  | 'useTpmKspOtherwiseFail'
  | 'usePassportForWorkKspOtherwiseFail'
  | 'useSoftwareKsp'

/**
 * Why a key is where it is: the state of the storage that decided, as `tpm-ready` or `tpm-absent`; `device-choice` where the embedder
 * named the storage; `setting-ignored` where the OS has no such setting.
 */
export type KeyStorageReason = `${KeyProtection}-${KeyReadiness['state']}` | 'device-choice' | 'setting-ignored'

/** Where a key was put, by whom it is held, and why. */
export interface KeyPlacement {
  readonly protection: KeyProtection
  /** The provider's name. */
  readonly provider: string
  readonly reason: KeyStorageReason
}

/** The modelled certificate stores a Trusted profile can name (S20). There is no User Root. */
export type StoreName = 'computer-root' | 'computer-intermediate' | 'user-intermediate'

export interface SubjectAltName {
  readonly type: 'email' | 'upn' | 'dns' | 'uri'
  readonly value: string
}

export type KeyUsage = 'digitalSignature' | 'keyEncipherment'

export interface Validity {
  readonly value: number
  readonly scale: 'days' | 'months' | 'years'
}

/** A Trusted CA profile as delivered to one device. */
export interface TrustedRootProfile {
  readonly id: string
  readonly displayName: string
  /** DER. */
  readonly certificate: Uint8Array
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** Meaningful on Windows; ignored elsewhere (S21). */
  readonly destinationStore: StoreName
  /** Through which principals it reached the device; a SCEP profile needs one in common (platform-behaviours 2.2). */
  readonly assignedTo: readonly Principal[]
}

/** What a SCEP request asks for. Kept with the identity, so that an edit of the profile is seen as a difference. */
export interface RequestSpec {
  /** Distinguished name as text, `CN=…,O=…` (CertStrToName grammar). */
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
  readonly keySpec: KeySpec
  readonly keyStorage: KeyStorageOption
  readonly keyUsages: readonly KeyUsage[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  readonly validity: Validity
  /** SHA-256 of the Trusted profile's certificate, lower-case hex. */
  readonly rootFingerprint: string
}

/** A SCEP profile as delivered to one device: every variable resolved, no challenge inside. */
export interface ScepProfile {
  readonly id: string
  readonly displayName: string
  readonly principal: Principal
  readonly assignedTo: readonly Principal[]
  readonly scepUrls: readonly string[]
  /** The Trusted profile that must be deployed too (S7, S11, S40). */
  readonly rootProfileId: string
  readonly request: RequestSpec
  /** The digest the profile asks for; undefined lets the CA's capabilities decide (A10). */
  readonly hash?: Exclude<HashName, 'sha1'>
  /** The user must prove more than one factor before the certificate is issued (S28). Default false. */
  readonly multiFactor?: boolean
  /** Percent of the certificate's lifetime that remains when renewal starts, 1-99 (S24). */
  readonly renewalThresholdPercent: number
  /** The settings that this OS ignores: filled in once the OS has taken the profile, never by a policy. */
  readonly ignoredSettings?: readonly string[]
  /** Of what it asks for and of whom: filled in likewise. */
  readonly digest?: string
}

/** What a PFX profile asks for. Kept with the identity, so that an edit of the profile is seen as a difference. */
export interface PfxSpec {
  /** `pkcs`: issued for this device; `imported`: what the user has, imported by an admin. */
  readonly kind: 'pkcs' | 'imported'
  /** Another text, another certificate to deliver; it means nothing else. */
  readonly certificateRevision: string
  readonly keyStorage: KeyStorageOption
  /** The OS may give the key out again. */
  readonly exportable: boolean
  /** SHA-256 of the Trusted profile's certificate, lower-case hex. */
  readonly rootFingerprint: string
}

/** A PFX (PKCS #12) profile as delivered to one device (S41-S47): key and certificate come ready-made, on request. */
export interface PfxProfile {
  readonly id: string
  readonly displayName: string
  readonly principal: Principal
  readonly assignedTo: readonly Principal[]
  /** The Trusted profile that must be deployed too (S8, S11). */
  readonly rootProfileId: string
  readonly request: PfxSpec
  /** Percent of the certificate's lifetime that remains when it is fetched again, 1-99 (S41). */
  readonly renewalThresholdPercent: number
  /** The settings that this OS ignores: filled in once the OS has taken the profile, never by a policy. */
  readonly ignoredSettings?: readonly string[]
  /** As that of `ScepProfile`. */
  readonly digest?: string
}

/** What ends in a certificate with its key. */
export type CertificateProfile = ScepProfile | PfxProfile

/** What a certificate profile asks for: the one with a `kind` is a PFX profile's. */
export type CertificateSpec = CertificateProfile['request']

/** A profile that cannot be delivered: it fails, the others go on. */
export interface FailedProfile {
  readonly id: string
  readonly displayName: string
  readonly principal: Principal
  readonly code: 'ERR_PROFILE_INVALID' | 'ERR_VARIABLE_UNRESOLVED' | 'ERR_UNSUPPORTED'
  readonly message: string
}

/** What profiles there are (S1). */
export type ProfileType = 'trusted-root' | 'scep' | 'pfx'

/** Why profiles of a type are not for an OS at all. */
export interface Inapplicable {
  /** The fact that says so, where one is known. */
  readonly factId?: string
  /** One sentence. */
  readonly reason: string
}

/** A profile that is assigned to a device and not for its OS: nothing becomes of it, which is no failure (S12). */
export interface InapplicableProfile extends Inapplicable {
  readonly id: string
  readonly displayName: string
}

/** Everything one device is to have. */
export interface DevicePolicy {
  /** Never goes back. */
  readonly revision: number
  /** Set once the device is managed no longer: then no profile counts, and the OS decides what stays. */
  readonly lifecycle?: Departure
  readonly trustedRoots: readonly TrustedRootProfile[]
  readonly scepProfiles: readonly ScepProfile[]
  readonly pfxProfiles: readonly PfxProfile[]
  readonly failedProfiles: readonly FailedProfile[]
  /** Told in reports. Default none. */
  readonly notApplicable?: readonly InapplicableProfile[]
}

/** A certificate with its key, as stored. */
export interface Identity {
  readonly profileId: string
  readonly principal: Principal
  /** Leaf first, DER. */
  readonly chain: readonly Uint8Array[]
  readonly keyLabel: string
  readonly placement: KeyPlacement
  /** What was asked for when this certificate was issued or delivered. */
  readonly requested: CertificateSpec
  /** Drawn once, at installation; delays renewal, never advances it. */
  readonly renewalJitterMs: number
  /** It was revoked by that event and stays on the device: it is not renewed, and a profile that comes back asks for another. */
  readonly releasedBy?: RemovalEvent
}

/** What the planner needs to know of an installed identity. */
export interface IdentityFacts {
  readonly profileId: string
  readonly principal: Principal
  readonly keyLabel: string
  /** The key is there and belongs to the certificate; true as well while its storage does not answer. */
  readonly keyUsable: boolean
  readonly requested: CertificateSpec
  readonly notBefore: Instant
  readonly notAfter: Instant
  readonly renewalJitterMs: number
  readonly releasedBy?: RemovalEvent
}

/** The one unfinished attempt of a profile: recorded before its key exists, and before a PFX is asked for. */
export interface EnrollmentAttempt {
  readonly id: string
  readonly keyLabel: string
  /** Of a PFX's key: where one of the usual size would go. */
  readonly placement: KeyPlacement
  readonly requested: CertificateSpec
  /** What the CA issued, DER, where the OS could not install it yet: it waits here for the user, and nothing is asked for again. */
  readonly issued?: readonly Uint8Array[]
}

/** The CA said PENDING: when to ask again, and how often still. */
export interface PendingEnrollment {
  readonly transactionId: string
  readonly pollAt: Instant
  readonly pollsLeft: number
}

export interface Failure {
  readonly code: string
  /** What the error table says of the code, read when it was recorded: the planner imports no tables. */
  readonly retry: Retry
  /** In a row. */
  readonly count: number
  readonly lastAt: Instant
  /** The earliest moment for the next try: backoff with its jitter already drawn. */
  readonly retryAt: Instant
  /** The policy's when it failed: one of another revision gets a try after a final refusal. */
  readonly revision: number
  /** The profile's when it failed: a profile that asks otherwise does not wait out the backoff. */
  readonly digest?: string
}

/** What survives a restart beside stores and keys. No key, challenge or password. */
export interface AgentState {
  readonly attempts: ReadonlyMap<IdentityKey, EnrollmentAttempt>
  readonly pending: ReadonlyMap<IdentityKey, PendingEnrollment>
  readonly failures: ReadonlyMap<IdentityKey, Failure>
}

export interface InstalledRoot {
  readonly store: StoreName
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** It is in its store, and TLS trusts nothing by it until the user says so. Default false. */
  readonly awaitsTrust?: true
}

/** One key storage provider; with a code where it did not answer. */
export interface KeyStorageStatus {
  readonly protection: KeyProtection
  readonly name: string
  readonly code?: string
  readonly message?: string
}

/** What is really on the device, read through the ports. */
export interface DeviceState extends AgentState {
  readonly roots: readonly InstalledRoot[]
  readonly identities: ReadonlyMap<IdentityKey, IdentityFacts>
  /** Every key label that this agent owns on the device. */
  readonly keyLabels: ReadonlySet<string>
  /** What the device has to keep keys in. */
  readonly keyStorage: readonly KeyStorageStatus[]
  readonly locked: boolean
}

export function identityKey(principal: Principal, profileId: string): IdentityKey {
  return `${principal}/${profileId}`
}

export function keyOfProfile({ principal, id }: Pick<CertificateProfile, 'principal' | 'id'>): IdentityKey {
  return identityKey(principal, id)
}
