import { createHash } from 'node:crypto'
import { AgentError } from '../errors.ts'
import { buildCertificate } from '../pki/build-certificate.ts'
import { keyUsageExtension } from '../pki/extensions.ts'
import type { KeyHandle, KeyStorageProvider } from '../ports.ts'

/** What a device's own secrets are encrypted to: by its registration the service knows the certificate, and nobody else has the key. */
export interface ManagementIdentity {
  /** Self-signed, DER. */
  readonly certificate: Uint8Array
  /** RSA, and unwraps. */
  readonly key: KeyHandle
}

/** The agent leaves the key of this label alone, whatever no profile refers to. */
export const managementKeyLabel = 'certfleet-management'

const subject = 'CN=device management'
/** RFC 5280 4.1.2.5: a certificate that does not expire. The registration ends it. */
const validity = { notBefore: Date.UTC(2000, 0, 1), notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) }

/**
 * The management key of a device in `keys`, RSA-2048, made where there is none yet, and its certificate: the same octets each time.
 * Fails as the storage does; keys that do not unwrap: `ERR_UNSUPPORTED`.
 */
export async function managementIdentity(keys: KeyStorageProvider): Promise<ManagementIdentity> {
  const key = (await keys.open(managementKeyLabel)) ?? (await keys.generate({ algorithm: 'rsa', bits: 2048 }, managementKeyLabel))
  if (!key.unwrapKey) throw new AgentError('ERR_UNSUPPORTED', `${keys.name} makes no keys that a password can be encrypted to`)
  return { certificate: await certificateOf(key), key }
}

/** The serial number is of the key, so that no two devices have the same name and number. */
function certificateOf(key: KeyHandle): Promise<Uint8Array> {
  const digest = createHash('sha256').update(key.publicKey).digest().subarray(0, 16)
  return buildCertificate({
    serialNumber: digest.map((octet, i) => (i === 0 ? (octet & 0x7f) | 0x40 : octet)),
    issuer: subject,
    subject,
    publicKey: key.publicKey,
    ...validity,
    extensions: [keyUsageExtension(['keyEncipherment'])],
    signer: key,
    hash: 'sha256',
  })
}
