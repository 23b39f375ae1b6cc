import type { KeyStorageOption, KeyUsage, Principal, StoreName, SubjectAltName, Validity } from '@certfleet/agent-core'

export type Platform = 'ios' | 'macos' | 'android' | 'windows'

/**
 * The Graph type families: profiles of one family go to the same devices, and the root of a certificate profile is of its own family (S7).
 * Types named `windows10` are of `windows81`: their roots are.
 * `windows10X` and `windowsPhone81` reach only devices that name that management mode.
 */
export type Family =
  | 'ios'
  | 'macos'
  | 'androidDeviceAdministrator'
  | 'androidDeviceOwner'
  | 'androidForWork'
  | 'androidWorkProfile'
  | 'aosp'
  | 'windows10X'
  | 'windows81'
  | 'windowsPhone81'

/** Something that the reader of an export should know. Never an exception: one bad profile leaves the others standing. */
export interface Finding {
  readonly id: FindingId
  /** `error`: it cannot work as written. `warning`: it may not do what was meant. `info`: said for completeness. */
  readonly severity: 'error' | 'warning' | 'info'
  readonly file: string
  /** Where in the file, as `value[0].scepServerUrls[0]`; absent for the whole file. */
  readonly path?: string
  /** The display name. */
  readonly profile?: string
  readonly message: string
  readonly action?: string
  /** Fact id or source key. */
  readonly source?: string
}

export type FindingId =
  | 'applicability-rule-ignored'
  | 'assignment-filter-ignored'
  | 'assignment-group-unknown'
  | 'assignment-invalid'
  | 'assignment-profile-unknown'
  | 'assignment-target-ignored'
  | 'assignments-missing'
  | 'assignments-overridden'
  | 'certificate-not-ca'
  | 'certificate-pem'
  | 'file-malformed'
  | 'file-skipped'
  | 'hash-outdated'
  | 'link-ambiguous'
  | 'link-conflict'
  | 'link-missing'
  | 'link-other-platform'
  | 'link-unknown'
  | 'links-file-invalid'
  | 'member-unknown'
  | 'multi-factor-profile'
  | 'page-missing'
  | 'profile-duplicate'
  | 'profile-invalid'
  | 'san-character'
  | 'san-without-value'
  | 'subject-escape'
  | 'template-name'
  | 'type-ignored'
  | 'type-missing'
  | 'type-unknown'
  | 'validity-long'
  | 'validity-short'
  | 'value-cut'

interface IntentBase {
  /** The export's id; without one (IntuneCD), a name-based UUID of type and display name. */
  readonly id: string
  readonly displayName: string
  /** The type as Graph spells it, without `#microsoft.graph.`. */
  readonly typeName: string
  readonly family: Family
  readonly platform: Platform
  readonly file: string
  /** The profile's place in the file; empty for the document itself. */
  readonly path: string
  /** Members that the type is not known to have, kept as they came. */
  readonly unknownMembers: ReadonlyMap<string, unknown>
}

export interface TrustedRootIntent extends IntentBase {
  readonly kind: 'trusted-root'
  /** DER. */
  readonly certificate: Uint8Array
  /** Its own key made its signature. */
  readonly selfSigned: boolean
  /** Named only by Windows types (S20). */
  readonly destinationStore?: StoreName
}

export type SubjectNameFormat =
  | 'commonName'
  | 'commonNameIncludingEmail'
  | 'commonNameAsEmail'
  | 'custom'
  | 'commonNameAsIMEI'
  | 'commonNameAsSerialNumber'
  | 'commonNameAsAadDeviceId'
  | 'commonNameAsIntuneDeviceId'
  | 'commonNameAsDurableDeviceId'

/** Of an imported PFX, as Graph spells it. */
export type IntendedPurpose = 'unassigned' | 'smimeEncryption' | 'smimeSigning' | 'vpn' | 'wifi'

/** The Trusted profile of a certificate profile, or why there is none to name. */
export type RootLink = { readonly rootProfileId: string } | { readonly problem: string }

/** What a device gets a certificate by. */
interface CertificateIntentBase extends IntentBase {
  readonly principal: Principal
  readonly link: RootLink
  readonly renewalThresholdPercent: number
  readonly keyStorage: KeyStorageOption
}

/** What a certificate is to say. */
interface NamedIntentBase extends CertificateIntentBase {
  readonly subjectNameFormat: SubjectNameFormat
  /** The distinguished name with its variables, for every format that has one. */
  readonly subjectTemplate: string | undefined
  /** Values hold variables still. */
  readonly subjectAltNames: readonly SubjectAltName[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  readonly validity: Validity
}

export interface ScepIntent extends NamedIntentBase {
  readonly kind: 'scep'
  readonly scepUrls: readonly string[]
  /** Absent: the device and its CA decide. */
  readonly hash?: 'sha256'
  readonly keyBits: 1024 | 2048 | 4096
  readonly keyUsages: readonly KeyUsage[]
}

/** Key and certificate are made by the connector; the CA's template decides what the profile does not say (S47). */
export interface PkcsIntent extends NamedIntentBase {
  readonly kind: 'pkcs'
  /** The template's name, not its display name (S44). */
  readonly certificateTemplateName: string
  /** FQDN of the CA's host (S42). */
  readonly certificationAuthority: string
  /** The CA's logical name (S43); empty where the type lets it be unset. */
  readonly certificationAuthorityName: string
}

/** Brings what was uploaded for the device's user. */
export interface ImportedPfxIntent extends CertificateIntentBase {
  readonly kind: 'imported-pfx'
  readonly intendedPurpose: IntendedPurpose
}

export type CertificateIntent = ScepIntent | PkcsIntent | ImportedPfxIntent

/** A profile that cannot be delivered as written: it fails on every device it applies to. */
export interface InvalidIntent extends IntentBase {
  readonly kind: 'invalid'
  readonly principal: Principal
  /** The first thing wrong with it. */
  readonly message: string
}

export type IntentProfile = TrustedRootIntent | CertificateIntent | InvalidIntent

export type AssignmentTarget =
  | { readonly kind: 'allDevices' | 'allUsers' }
  /** `group` is an id or, where an export tool kept only that, a name. */
  | { readonly kind: 'group' | 'exclusionGroup'; readonly group: string }

export interface Assignment {
  readonly profileId: string
  readonly intent: 'apply' | 'remove'
  readonly target: AssignmentTarget
  readonly file: string
  readonly path: string
}

/** A profile of another kind (Wi-Fi, VPN, email) that has its devices prove who they are by a certificate. */
export interface CertificateConsumer {
  readonly displayName: string
  /** As Graph spells it, without `#microsoft.graph.`. */
  readonly typeName: string
  /** Undefined for types whose name begins with no platform. */
  readonly platform?: Platform
  readonly file: string
  readonly path: string
  /** The certificate profile that it links. Absent where the export does not tell. */
  readonly certificateProfileId?: string
}

/** What an export says, with everything about it that a reader should know. */
export interface Import {
  readonly profiles: readonly IntentProfile[]
  /** In the order of the export. */
  readonly consumers: readonly CertificateConsumer[]
  readonly assignments: readonly Assignment[]
  readonly findings: readonly Finding[]
}
