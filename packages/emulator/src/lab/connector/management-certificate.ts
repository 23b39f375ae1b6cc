import { AgentError } from '@certfleet/agent-core'
import { buildEnvelopedData } from '@certfleet/agent-core/cms'
import { type Certificate, parseCertificate, publicKeyOf } from '@certfleet/agent-core/pki'

/** Base64 of the DER. */
export const maxManagementCertificateChars = 10_924
const keyBits = { min: 2048, max: 8192 }

/**
 * The certificate that a device's own secrets are encrypted to, DER; undefined for one that no secret should be encrypted to: it is not one
 * certificate, its key is not RSA of 2048 to 8192 bits, or it is not for key encipherment.
 */
export function readManagementCertificate(base64: string): Uint8Array | undefined {
  const certificate = parsed(Buffer.from(base64, 'base64'))
  if (certificate === undefined || !certificate.keyUsage?.has('keyEncipherment')) return undefined
  return isUsable(certificate) ? certificate.raw : undefined
}

function parsed(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(new Uint8Array(der))
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function isUsable(certificate: Certificate): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = publicKeyOf(certificate)
    const bits = asymmetricKeyDetails?.modulusLength ?? 0
    if (asymmetricKeyType !== 'rsa' || bits < keyBits.min || bits > keyBits.max) return false
    // A modulus or exponent that the runtime does not encrypt with would be noticed at the first delivery only.
    buildEnvelopedData({ content: new Uint8Array(1), recipient: certificate, cipher: 'aes-256-cbc' })
    return true
  } catch {
    return false
  }
}
