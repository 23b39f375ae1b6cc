import type { KeyObject } from 'node:crypto'
import type { LifecycleRules } from './lifecycle.ts'
import type { ProfileStanding, Report } from './report.ts'
import type {
  AgentState,
  CertificateProfile,
  DevicePolicy,
  EnrollmentAttempt,
  Failure,
  HashName,
  Identity,
  IdentityKey,
  Inapplicable,
  InstalledRoot,
  Instant,
  KeyProtection,
  KeySpec,
  PendingEnrollment,
  PfxProfile,
  PfxSpec,
  ProfileType,
  RequestSpec,
  ScepProfile,
  StoreName,
  TrustedRootProfile,
} from './types.ts'

/** The only source of time. */
export interface Clock {
  now(): Instant
  /** Resolves once `ms` have passed (any length, beyond 24.8 days too); rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back after a sleep of `ms`, unless the function that it returns was called before. Default: by `sleep`, at five times the memory. */
  alarm?(ms: number, ring: () => void): () => void
}

/** Spreads load. Never a source of keys or nonces; those come from node:crypto. */
export interface Jitter {
  /** Uniform in [minMs, maxMs]. */
  between(minMs: number, maxMs: number): number
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface HttpResponse {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/**
 * Carries one request to its response, whatever the status.
 * Not reached, reset, timed out or untrusted: `ERR_NETWORK`. Body over the limit: `ERR_LIMIT_EXCEEDED`.
 * An aborted signal rejects with the signal's reason. Redirects are not followed.
 */
export interface Transport {
  send(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse>
}

/** Where the desired state comes from. Returns the last good policy when the server has nothing newer. */
export interface PolicySource {
  fetch(signal: AbortSignal): Promise<DevicePolicy>
}

/**
 * The proof that this device may ask for this certificate. Asked once an attempt, and once more when a crash or the network makes the
 * attempt be sent again, by the same `attemptId`: the answer is never stored. Undefined where the service asks for none.
 */
export interface ChallengeSource {
  challengeFor(profileId: string, attemptId: string, signal: AbortSignal): Promise<string | undefined>
}

/**
 * The key and certificate of a PFX profile. Asked once an attempt, and once more when a crash or the network makes the attempt begin again,
 * by the same `attemptId`: neither file nor password is ever stored. None to be had: `ERR_PFX_UNAVAILABLE`.
 * A password that is not for this device, whatever the cause: `ERR_CMS_DECRYPT`.
 */
export interface PfxSource {
  pfxFor(profileId: string, attemptId: string, signal: AbortSignal): Promise<DeliveredPfx>
}

/** Both are secrets. */
export interface DeliveredPfx {
  /** PKCS #12, DER or BER. */
  readonly pfx: Uint8Array
  readonly password: string
}

/** The key that a profile wants. */
export interface KeyWish {
  readonly spec: KeySpec
  /** What it will sign with. */
  readonly hash: HashName
  /** The user has to prove more than one factor before there is a certificate (S28). */
  readonly multiFactor: boolean
  /** It was made elsewhere and is to be imported. Default false. */
  readonly isImport?: boolean
  /** With `isImport`: it may be given out again, which hardware refuses as `unsupported`. Default false. */
  readonly isExportable?: boolean
}

/** Whether such a key could be made now. What is not `ready` says why, and what would help. */
export type KeyReadiness =
  | { readonly state: 'ready' }
  | {
      /**
       * `absent`: there is no such key storage. `unsupported`: it never makes such a key. `busy`, `locked-out`, `full`: not now.
       * `not-provisioned`, `multi-factor-missing`: the user has to do something first.
       */
      readonly state: 'absent' | 'unsupported' | 'busy' | 'locked-out' | 'full' | 'not-provisioned' | 'multi-factor-missing'
      readonly message: string
    }

/**
 * Generates and keeps private keys. Private bytes never come out of this interface, and go in by `import` alone.
 *
 * Labels are printable ASCII of 1 to 128 characters. A provider sees only its own keys: what else a token or folder holds is not listed,
 * opened or destroyed. Hardware that cannot serve now fails with `ERR_KEY_STORAGE_BUSY`, `ERR_KEY_STORAGE_LOCKED_OUT` or
 * `ERR_KEY_STORAGE_FULL`, after it was asked a bounded number of times; what waits on the user with `ERR_USER_ACTION_REQUIRED`.
 * Hardware that is absent holds no keys.
 */
export interface KeyStorageProvider {
  readonly protection: KeyProtection
  /** What holds the keys, for people: `software KSP`, `modelled TPM 2.0`, `PKCS#11 token "dev0"`. */
  readonly name: string
  /** Asked before a key is made and before any network call, whenever a profile wants its key here. Makes nothing. */
  readiness(wish: KeyWish): Promise<KeyReadiness>
  /** Generating under a label that exists fails with `ERR_KEY_EXISTS`, a key that it cannot make with `ERR_UNSUPPORTED`. */
  generate(spec: KeySpec, label: string): Promise<KeyHandle>
  /**
   * Keeps a key that was made elsewhere, of any spec that `generate` makes, under the terms of `generate`; from then on it is a key like the
   * others. `exportable` outside software: `ERR_UNSUPPORTED`. Absent: no key gets in.
   */
  import?(privateKey: KeyObject, label: string, options: ImportOptions): Promise<KeyHandle>
  open(label: string): Promise<KeyHandle | undefined>
  list(): Promise<readonly string[]>
  /** Destroying a label that is already gone is not an error. */
  destroy(label: string): Promise<void>
}

export interface ImportOptions {
  /** The OS may give the key out again. No call of a provider does. */
  readonly exportable: boolean
}

export type UnwrapPadding = 'pkcs1' | 'oaep-sha1' | 'oaep-sha256'

/**
 * A private key that stays where it was made. A handle whose key was destroyed fails with `ERR_KEY_UNAVAILABLE`; only one whose key is held
 * in this program's memory may go on working. It never uses another key.
 */
export interface KeyHandle {
  readonly label: string
  readonly spec: KeySpec
  readonly protection: KeyProtection
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** The only digests that it signs. Absent: every `HashName`. Any other fails with `ERR_UNSUPPORTED`. */
  readonly hashes?: readonly Exclude<HashName, 'sha1'>[]
  /** RSASSA-PKCS1-v1_5 or ECDSA (DER signature) over `data`. */
  sign(data: Uint8Array, hash: HashName): Promise<Uint8Array>
  /**
   * Present only on keys that can unwrap a content-encryption key of `lengthBytes`.
   * A PKCS#1 v1.5 padding or length error returns random bytes of that length, never an error (implicit rejection).
   */
  unwrapKey?(wrapped: Uint8Array, options: { padding: UnwrapPadding; lengthBytes: number }): Promise<Uint8Array>
}

/** The modelled certificate stores, limited to what this agent installed. */
export interface CertificateStores {
  list(): Promise<readonly InstalledRoot[]>
  /**
   * Only CA certificates enter (S6); `computer-root` takes only self-signed ones (W-CS). Otherwise `ERR_CERTIFICATE_REFUSED`.
   * One entry per fingerprint and store: installing what is there is not an error. `displayName` is for an OS that asks its user, by which
   * an installation can fail with `ERR_USER_ACTION_REQUIRED`.
   */
  install(store: StoreName, certificate: Uint8Array, displayName?: string): Promise<void>
  /** Removing what is not there is not an error. */
  remove(root: InstalledRoot): Promise<void>
}

/** Certificates bound to their private keys, one per profile and principal. */
export interface IdentityStore {
  list(): Promise<readonly Identity[]>
  /**
   * Replaces the identity of the same profile and principal, at once or not at all. `displayName` is for an OS that asks its user, by which
   * an installation can fail with `ERR_USER_ACTION_REQUIRED`; the agent then keeps what was issued and installs it at a later pass.
   */
  install(identity: Identity, displayName?: string): Promise<void>
  /** Removing what is not there is not an error. */
  remove(key: IdentityKey): Promise<void>
}

export interface EnrollmentRequest {
  readonly csr: Uint8Array
  readonly key: KeyHandle
  /** Proves the right to renew: the certificate being replaced and its key. */
  readonly current?: { readonly certificate: Uint8Array; readonly key: KeyHandle }
}

/** What a CA may answer. A refusal is an answer, not an exception. */
export type EnrollmentOutcome =
  | {
      readonly status: 'issued' /** Leaf first, DER; what the CA sent and what its GetCACert added. */
      readonly chain: readonly Uint8Array[]
    }
  | { readonly status: 'pending'; readonly transactionId: string }
  | { readonly status: 'rejected'; readonly failInfo: string; readonly text?: string }

/** A way to turn a CSR into a certificate: SCEP today, ACME or EST later. */
export interface EnrollmentProtocol {
  readonly name: string
  request(request: EnrollmentRequest, signal: AbortSignal): Promise<EnrollmentOutcome>
  /** Asks for the outcome of a request that is pending, by the same transactionID (RFC 8894 4.3). */
  poll(request: EnrollmentRequest, signal: AbortSignal): Promise<EnrollmentOutcome>
}

/** What the agent remembers across restarts. Each call is durable before it resolves. */
export interface StateStore {
  load(): Promise<AgentState>
  /** Records `attempt` unless one is unfinished; returns the one that is on record. */
  beginAttempt(key: IdentityKey, attempt: EnrollmentAttempt): Promise<EnrollmentAttempt>
  recordPending(key: IdentityKey, pending: PendingEnrollment): Promise<void>
  /** Keeps with the unfinished attempt what was issued, and forgets its pending poll. Without an attempt nothing is kept. */
  recordIssued(key: IdentityKey, issued: readonly Uint8Array[]): Promise<void>
  recordFailure(key: IdentityKey, failure: Failure): Promise<void>
  /** Forgets the attempt and its pending poll; `clearFailure` forgets the failure too. */
  endAttempt(key: IdentityKey, options: { clearFailure: boolean }): Promise<void>
}

/** Keeps the last policy that was accepted, byte for byte, with the server's ETag. */
export interface PolicyCache {
  load(): Promise<CachedPolicy | undefined>
  save(entry: CachedPolicy): Promise<void>
}

export interface CachedPolicy {
  readonly etag?: string
  readonly body: Uint8Array
}

export interface Reporter {
  send(report: Report, signal: AbortSignal): Promise<void>
}

/** How often a PENDING request is asked for, and how far apart. */
export interface PendingSchedule {
  readonly polls: number
  readonly firstDelayMs: number
  readonly delayMs: number
}

/** What one OS takes of a PFX. */
export interface PfxRules {
  /** `modern`: PBES2. `legacy`: 3DES and RC2 alone. */
  readonly reads: 'modern' | 'legacy' | 'both'
  /** With more the file is refused. Absent: the OS sets no limit. */
  readonly maxCertificates?: number
}

/**
 * Everything one OS provides, bound together. The core asks it; it never compares a platform's name. What it says of a profile never changes:
 * it is asked once for each policy.
 */
export interface PlatformAdapter {
  /** Shown in reports, never compared. */
  readonly name: string
  /** What the device has, in no order; `keys/choice.ts` picks by the profile's option. */
  readonly keyStorageProviders: readonly KeyStorageProvider[]
  readonly certificateStores: CertificateStores
  readonly identities: IdentityStore
  readonly pendingSchedule: PendingSchedule
  /** The store that this OS puts a Trusted profile's certificate in. */
  storeFor(root: TrustedRootProfile): StoreName
  /** The request as this OS makes it: settings that it ignores are set to what it does instead. Throws `ERR_UNSUPPORTED` for what it refuses. */
  requestFor(profile: ScepProfile): RequestSpec
  readonly pfxRules: PfxRules
  /** As `requestFor`, of a PFX profile. */
  pfxRequestFor(profile: PfxProfile): PfxSpec
  /** Why profiles of that type are not for this OS; undefined where they are. Absent: they all are. */
  inapplicable?(type: ProfileType): Inapplicable | undefined
  /** Which of the profile's settings have no effect on this OS and raise no error, by their names in the policy (S21, A5, A7). */
  ignoredSettings(profile: CertificateProfile): readonly string[]
  /** The protocol client for one profile, with this OS's wire habits. */
  protocolFor(profile: ScepProfile, root: Uint8Array): EnrollmentProtocol
  isLocked(): Promise<boolean>
  /** What this OS itself would show of a profile: goes into the report as it is, and nothing reads it. Absent: nothing is known of it. */
  shownOf?(standing: ProfileStanding): Readonly<Record<string, unknown>>
  /** How certificates are renewed here, and what becomes of them when their profile or the management ends. */
  readonly lifecycle: LifecycleRules
}
