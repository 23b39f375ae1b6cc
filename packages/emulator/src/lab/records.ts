import type { Instant, KeyUsage, Report, SubjectAltName, Validity } from '@certfleet/agent-core'
import type { CrlReason } from '@certfleet/agent-core/pki'
import type { FailInfo } from '@certfleet/agent-core/scep/messages'
import type { AdminChanges, AdminDevice, AdminGroup, AdminProfile, AdminUser } from './admin/records.ts'
import type { ChallengeUse, OpenChallenge } from './challenges.ts'
import type { ImportedPfxRecord, ImportKeyRecord, OpenDelivery } from './connector/records.ts'
import type { NdesRegistry, OpenPassword, RegistrationAuthorityRecord } from './ndes/records.ts'
import type { Installations } from './revoke-on-removal.ts'
import type { ValidationCode } from './validation.ts'
import type { ForeignEnrollment, RevocationRequest } from './validation-api/records.ts'

/** The lab's tables and what is in each record. Digests are SHA-256, lower-case hex. */
export interface LabTables {
  /** Under `lab`: what makes this lab this lab; behind it, under `lab-<n>`, the CAs that followed and are to follow. */
  readonly authority: AuthorityRecord
  /** By device id. */
  readonly registrations: Registration
  /** By the digest of the credential: whose it is. */
  readonly credentials: string
  /** By device id. */
  readonly revisions: PolicyRevision
  /** By name of the CA's setting. */
  readonly settings: CaSettingRecord
  /** By challenge id: who redeemed it. */
  readonly challenges: ChallengeUse
  /** By device id: the challenges that are neither redeemed nor known to have expired. */
  readonly outstanding: readonly OpenChallenge[]
  /** By the digest of the transactionID. */
  readonly transactions: EnrollmentTransaction
  /** By serial number, hex. */
  readonly issued: IssuedRecord
  /** By serial number, hex: the certificates that are revoked. */
  readonly revocations: RevocationRecord
  /** By the fingerprint of the issuing CA. */
  readonly crls: CrlRecord
  /** By device id: its last report. */
  readonly reports: DeviceReport
  /** By device id: the certificates that it told of last. */
  readonly installations: Installations
  /** By slot of the ring. */
  readonly audit: AuditEntry
  /** Under `ndes`: the values as they were set, whether NDES has read them since or not. */
  readonly ndesRegistry: Partial<NdesRegistry>
  /** Under `ndes`: the password cache. */
  readonly ndesPasswords: readonly OpenPassword[]
  /** By six-digit number, in the order in which they were made. */
  readonly registrationAuthorities: RegistrationAuthorityRecord
  /** By the digest of the transactionID: what somebody else's SCEP server asked and told. */
  readonly foreignEnrollments: ForeignEnrollment
  /** By requestContext. */
  readonly revocationRequests: RevocationRequest
  /** By id. */
  readonly adminProfiles: AdminProfile
  /** By id. */
  readonly adminUsers: AdminUser
  /** By the digest of the user principal name in lower case: the user's id. */
  readonly adminUserNames: string
  /** By id. */
  readonly adminGroups: AdminGroup
  /** By device id. */
  readonly adminDevices: AdminDevice
  /** Under `admin`. */
  readonly adminChanges: AdminChanges
  /** By device id: the keys that the connector made for it, until it has them. */
  readonly connectorKeys: readonly OpenDelivery[]
  /** Under `connector`. */
  readonly importKeys: ImportKeyRecord
  /** By id. */
  readonly importedPfx: ImportedPfxRecord
  /** By the digest of the user principal name in lower case: ids, the newest first. */
  readonly importedPfxOf: readonly string[]
}

/** Private keys are PKCS#8, certificates X.509, all DER. */
export interface AuthorityRecord {
  readonly root: KeyAndCertificate
  readonly issuing: KeyAndCertificate
  readonly signing: KeyAndCertificate
  readonly encryption: KeyAndCertificate
  /** Makes challenges; the same in every generation. */
  readonly secret: Uint8Array
  /** When it takes over; missing in the first. */
  readonly from?: Instant
}

export interface KeyAndCertificate {
  readonly privateKey: Uint8Array
  readonly certificate: Uint8Array
}

export interface Registration {
  readonly deviceId: string
  readonly platform: string
  readonly osVersion: string
  readonly management?: string
  readonly credentialDigest: string
  readonly registeredAt: Instant
  /** What the device's own secrets are encrypted to, DER; missing where it brought none. */
  readonly managementCertificate?: Uint8Array
}

export interface PolicyRevision {
  readonly revision: number
  /** Of the policy without its revision. */
  readonly contentDigest: string
}

/** What a SCEP profile makes the lab expect of one device. */
export interface ExpectedRequest {
  /** Distinguished name as text. */
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
  readonly keyUsages: readonly KeyUsage[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  readonly keyBits: number
  readonly validity: Validity
  /** Where the key must be one of these: SHA-256 of SubjectPublicKeyInfo, lower-case hex. */
  readonly registeredKeys?: readonly string[]
}

/** Which attempt of which device a certificate is for. */
export interface Binding {
  readonly deviceId: string
  readonly profileId: string
  /** Where the profile is for a user, and users are known. */
  readonly userId?: string
  /** Missing in a renewal that brought no challenge. */
  readonly attemptId?: string
}

/** What a certificate is to contain, decided by template and expectation; of the CSR only the key, unless the challenge is static. */
export interface CertificateGrant {
  /** Name, DER. */
  readonly subject: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly subjectAltNames: readonly SubjectAltName[]
  readonly keyUsages: readonly KeyUsage[]
  readonly extendedKeyUsages: readonly string[]
  /** Missing where the template's lifetime applies. */
  readonly validity?: Validity
  readonly binding?: Binding
}

export interface EnrollmentTransaction {
  readonly transactionId: string
  readonly publicKeyDigest: string
  /** Of the key that signed the first message; it may ask for the outcome, as may the requested key. */
  readonly signerKeyDigest: string
  readonly grant: CertificateGrant
  /** Name of the template that it was asked for by; missing: the built-in one. */
  readonly template?: string
  /** For whom the CA was asked; missing: `ndes`. */
  readonly account?: string
  /** Where it has been issued. */
  readonly serialNumber?: string
}

/** A setting of the CA: what is configured counts when the CA starts again (S50). */
export interface CaSettingRecord {
  readonly configured: boolean
  readonly running: boolean
}

/** A certificate that was issued. */
export interface IssuedRecord {
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly transactionId: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string
  /** SHA-256 of the certificate of the CA that issued it, lower-case hex. */
  readonly issuer: string
  /** Name of the template; missing in records of before there were templates: the built-in one. */
  readonly template?: string
  /** These three are missing where a static challenge let it through. */
  readonly deviceId?: string
  readonly profileId?: string
  readonly attemptId?: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly at: Instant
}

export interface RevocationRecord {
  /** Lower-case hex. */
  readonly serialNumber: string
  /** SHA-256 of the issuing CA's certificate, lower-case hex. */
  readonly issuer: string
  readonly at: Instant
  readonly reason: CrlReason
}

/** The last CRL of an issuing CA, and how many revocations there have been by now. */
export interface CrlRecord {
  readonly revocations: number
  /** Missing until the first was asked for. */
  readonly last?: {
    readonly number: number
    /** How many revocations there had been when it was made. */
    readonly revocations: number
    readonly thisUpdate: Instant
    /** DER. */
    readonly crl: Uint8Array
  }
}

export interface DeviceReport {
  readonly deviceId: string
  readonly at: Instant
  readonly report: Report
}

export interface AuditEntry {
  /** Counts up from 1. */
  readonly sequence: number
  readonly at: Instant
  readonly event:
    | 'registered'
    | 'registration-refused'
    | 'credential-rotated'
    | 'challenge-issued'
    | 'challenge-refused'
    | 'pending'
    | 'issued'
    | 'refused'
    | 'revoked'
    | 'revocation-refused'
    | 'hold-lifted'
    | 'setting-changed'
    | 'ca-restarted'
    | 'roll-over-prepared'
    | 'validated'
    | 'issued-elsewhere'
    | 'failed-elsewhere'
    | 'revocation-requested'
    | 'revocation-reported'
    | 'pfx-delivered'
    | 'pfx-refused'
    | 'pfx-imported'
    | 'pfx-removed'
  readonly deviceId?: string
  readonly profileId?: string
  readonly transactionId?: string
  readonly serialNumber?: string
  readonly failInfo?: FailInfo
  readonly hresult?: number
  /** Why, in the words of the validation API; a device is never told. */
  readonly code?: ValidationCode
  /** No secret. */
  readonly detail?: string
}
