import type { ChallengeSource, Clock, Instant, PfxSource, PolicyDocument, Reporter, Transport } from '@certfleet/agent-core'
import type { Management, PlatformName } from '../os.ts'

/** A SCEP server with what stands around it, as checks meet it: the lab, or somebody else's. */
export interface ConformanceTarget {
  /** Shown in results. */
  readonly name: string
  /** What `open` can set up. A check that asks for more is skipped. */
  readonly setups: ReadonlySet<keyof TargetSetup>
  /** The optional members that its sessions have. A check that needs another is skipped. */
  readonly abilities: ReadonlySet<Ability>
  /** Gets ready for one device. Where sessions can be set up, nothing of an earlier session shows in a later one. */
  open(device: TargetDevice, setup: TargetSetup): Promise<TargetSession>
}

/** The one device that a session is for. */
export interface TargetDevice {
  readonly id: string
  readonly platform: PlatformName
  readonly osVersion: string
  readonly management: Management
}

/** What a check wants of the server. Each is absent where the check does not care. */
export interface TargetSetup {
  /** Lifetime of a certificate by the CA's template. */
  readonly templateDays?: number
  /** EDITF_ATTRIBUTEENDDATE is set and the CA was restarted (S50). */
  readonly attributeEndDate?: boolean
  /** The template has "signature is proof of origin" (S49). */
  readonly proofOfOrigin?: boolean
  /** A template for each key usage, called `Signature`, `Encryption` and `GeneralPurpose` (S36). */
  readonly templatesByKeyUsage?: boolean
  /** The template wants keys of so many bits. */
  readonly leastKeyBits?: 2048
  /** How often the CA answers PENDING before it issues. */
  readonly pendingAnswers?: number
  /** Failures are written as NDES writes them. */
  readonly ndesFailures?: boolean
  /**
   * The service that the server asks finds the challenge wrong, breaks down as it validates the request, breaks down when it is told of the
   * certificate, or does not let the server sign in. The device is not to get a certificate.
   */
  readonly refusing?: 'challenge' | 'validation' | 'notification' | 'sign-in'
  /** Another CA than that of sessions without it. */
  readonly otherAuthority?: boolean
  /** How the service makes the files for PFX profiles. Default: in modern algorithms, with the certificate of the key alone, and the right password. */
  readonly pfx?: { readonly algorithms?: 'modern' | 'legacy'; readonly certificates?: 1 | 2; readonly password?: 'wrong' }
}

/** What a session may have beside what every session has. */
export type Ability = 'advance' | 'issued' | 'revoked' | 'refusals' | 'warnings' | 'reporter' | 'author' | 'pfxSource'

export interface TargetSession {
  /** As a profile has it. */
  readonly scepUrl: string
  /** Reaches `scepUrl`; what else is asked of it is `ERR_NETWORK`. */
  readonly transport: Transport
  readonly clock: Clock
  /** The certificate that what it issues leads to, DER. */
  readonly root: Uint8Array
  /** Asks for a good challenge, another one for each attempt where the server knows attempts. */
  readonly challengeSource: ChallengeSource
  /** That the server never gave out. */
  readonly wrongChallenge: string
  /** What the device is to have from now on; returns it as the service delivers it, with the service's revision. */
  assign(policy: PolicyDocument): Promise<PolicyDocument>
  close(): Promise<void>
  /** Moves its clock forward. */
  advance?(ms: number): Promise<void>
  /** Everything that was issued, oldest first. */
  issued?(): readonly IssuedCertificate[]
  /** Serial numbers that are revoked, lower-case hex. */
  revoked?(): readonly string[]
  /** Why requests were refused, in Microsoft's words (ChallengeExpired), oldest first. */
  refusals?(): readonly string[]
  /** What the CA says about certificates that it issued all the same. */
  warnings?(): readonly string[]
  /** Takes what the device tells; the service may revoke by it. */
  readonly reporter?: Reporter
  /** Delivers another file at each call, under the same CA. */
  readonly pfxSource?: PfxSource
  /** What an admin's profiles come to on the device. */
  author?(profiles: AuthoredProfiles): Promise<Authored>
}

export interface IssuedCertificate {
  /** Lower-case hex. */
  readonly serialNumber: string
  /** Name of the template. */
  readonly template: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly at: Instant
}

/** A Trusted profile and a SCEP profile that refers to it, assigned to the device's user and device, as an admin writes them. */
export interface AuthoredProfiles {
  readonly rootFor: PlatformName
  readonly scepFor: PlatformName
  /** With variables, such as `CN={{DeviceId}}`. */
  readonly subject?: string
}

export interface Authored {
  /** What was wrong when they were read, by the ids of findings. */
  readonly rejected: readonly string[]
  /** What the device gets. */
  readonly policy: PolicyDocument
}
