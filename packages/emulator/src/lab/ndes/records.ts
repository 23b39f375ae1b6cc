import type { Instant } from '@certfleet/agent-core'
import type { KeyAndCertificate } from '../records.ts'

/**
 * The values of `HKLM\SOFTWARE\Microsoft\Cryptography\MSCEP` that the lab knows, by their own names. NDES keeps each of the last four
 * in a key of its own name below that one; here they lie side by side.
 */
export interface NdesRegistry {
  /** Name of the template, not its display name (S55), for requests whose key usage is to sign. */
  readonly SignatureTemplate: string
  /** The same for requests whose key usage is to encrypt. */
  readonly EncryptionTemplate: string
  /** The same for requests with both key usages, or none. */
  readonly GeneralPurposeTemplate: string
  /** 1: one password for all devices, which can be used again and never expires. Default 0. */
  readonly UseSinglePassword: 0 | 1
  /** Octets of a password, shown as twice as many hexadecimal digits; 8 to 64. Default 8, and 16 for the single password. */
  readonly PasswordLength?: number | undefined
  /** How many passwords may be open at once, 1 to 10,000. Default 5. */
  readonly PasswordMax: number
  /** Minutes for which a password is good, 1 to 525,600. Default 60. */
  readonly PasswordValidity: number
}

/** A password that was handed out and not used yet. */
export interface OpenPassword {
  /** SHA-256 of the password, lower-case hex. */
  readonly digest: string
  readonly expiresAt: Instant
}

/** What the RA of a CA was given in place of the pair before. */
export interface RegistrationAuthorityRecord {
  /** SHA-256 of the certificate of the CA that issued both, lower-case hex. */
  readonly issuer: string
  readonly signing: KeyAndCertificate
  readonly encryption: KeyAndCertificate
  /** From when on it answers. */
  readonly from: Instant
}
