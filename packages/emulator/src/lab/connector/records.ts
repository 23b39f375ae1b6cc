import type { Instant, Principal } from '@certfleet/agent-core'
import type { IntendedPurpose } from '../../tenant/index.ts'

/** The key of a certificate that no device has confirmed yet. */
export interface OpenDelivery {
  readonly profileId: string
  readonly principal: Principal
  readonly attemptId: string
  /** PKCS#8, DER. A secret. */
  readonly privateKey: Uint8Array
}

/** What passwords of imported files are encrypted to. */
export interface ImportKeyRecord {
  /** PKCS#8, DER. A secret. */
  readonly privateKey: Uint8Array
}

/** Graph's `userPfxPaddingScheme`, those that the connector reads. */
export type PaddingScheme = 'oaepSha256' | 'oaepSha512'

/** A PFX that an admin imported for a user; its password stays encrypted to the connector's key. */
export interface ImportedPfxRecord {
  readonly id: string
  readonly userPrincipalName: string
  readonly intendedPurpose: IntendedPurpose
  /** SHA-1 of the certificate, upper-case hex, as Windows shows it. */
  readonly thumbprint: string
  /** SHA-256 of the certificate, lower-case hex. */
  readonly fingerprint: string
  readonly notBefore: Instant
  readonly notAfter: Instant
  readonly importedAt: Instant
  readonly providerName: string
  readonly keyName: string
  readonly paddingScheme: PaddingScheme
  /** The file as it came. */
  readonly pfx: Uint8Array
  readonly encryptedPassword: Uint8Array
}
