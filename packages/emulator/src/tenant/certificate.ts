import { AgentError } from '@certfleet/agent-core'
import { type Certificate, isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'

export interface RootCertificate {
  /** DER. */
  readonly der: Uint8Array
  readonly selfSigned: boolean
  /** By basicConstraints, or as a self-signed certificate of version 1. */
  readonly isCa: boolean
  /** It came as PEM inside the base64: a `.cer` file that was exported as text. */
  readonly wasPem: boolean
}

/** The most that a policy document carries. */
const maxBytes = 48 * 1024

/** The certificate in a base64 `trustedRootCertificate`, or what is wrong with it. */
export function readRootCertificate(base64: string): RootCertificate | string {
  const text = base64.replace(/\s+/g, '')
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return 'expected a DER certificate in base64, found other characters'
  const bytes = Buffer.from(text, 'base64')
  const pem = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/.exec(bytes.toString('latin1'))?.[1]
  const der = new Uint8Array(pem === undefined ? bytes : Buffer.from(pem, 'base64'))
  if (der.length > maxBytes) return `expected a certificate of at most ${maxBytes} bytes, found ${der.length}`
  const certificate = parsed(der)
  if (typeof certificate === 'string') return certificate
  const selfSigned = isSelfSigned(certificate)
  const isCa = certificate.basicConstraints?.ca ?? (selfSigned && certificate.extensions.size === 0)
  return { der, selfSigned, isCa, wasPem: pem !== undefined }
}

function parsed(der: Uint8Array): Certificate | string {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return `expected a DER certificate in base64, found bytes that are none (${error.message})`
  }
}
