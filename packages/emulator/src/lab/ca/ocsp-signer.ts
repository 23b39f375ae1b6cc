import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { type Clock, type Instant, softwareKeyHandle } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import { nullValue } from '@certfleet/agent-core/der'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  extendedKeyUsageExtension,
  fingerprintOf,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { type Authority, freshSerialNumber } from '../authority.ts'

/** Whom an issuing CA has authorised to answer for it. */
export interface OcspSigners {
  /** One that outlasts an answer given now, made if need be; undefined where the CA itself does not. */
  signerFor(authority: Authority): Promise<CmsSigner | undefined>
  /** The one at hand, if there is one. */
  present(authority: Authority): CmsSigner | undefined
}

/** An answer may be relied on for so long. */
export const answerLifetimeMs = 60 * 60_000
/** So short because nobody can revoke it (RFC 6960 4.2.2.2.1). */
const signerLifetimeMs = 7 * 86_400_000
/** For devices whose clock is behind. */
const backdatedMs = 10 * 60_000
const signerKeyBits = 2048

const ocspSigningOid = '1.3.6.1.5.5.7.3.9'
const noCheckOid = '1.3.6.1.5.5.7.48.1.5'

const generatePair = promisify(generateKeyPair)

/** Keys and certificates live in this process's memory alone: a responder that starts again makes new ones. */
export function ocspSigners(clock: Clock): OcspSigners {
  const signers = new Map<string, CmsSigner>()
  const making = new Map<string, Promise<CmsSigner>>()
  const nameOf = ({ issuing }: Authority) => fingerprintOf(issuing.certificate.raw)
  const make = async (authority: Authority): Promise<CmsSigner> => {
    const name = nameOf(authority)
    try {
      const signer = await makeSigner(authority, clock.now())
      signers.set(name, signer)
      return signer
    } finally {
      making.delete(name)
    }
  }
  return {
    present: (authority) => signers.get(nameOf(authority)),
    async signerFor(authority) {
      const now = clock.now()
      if (authority.issuing.certificate.notAfter < now + answerLifetimeMs) return undefined
      const known = signers.get(nameOf(authority))
      if (known && isFresh(known, authority, now)) return known
      const made = making.get(nameOf(authority)) ?? make(authority)
      making.set(nameOf(authority), made)
      return made
    },
  }
}

/** Half of its time is left, or the CA cannot give it more. */
function isFresh({ certificate: { notBefore, notAfter } }: CmsSigner, { issuing }: Authority, now: Instant): boolean {
  return now >= notBefore && (now < notBefore + signerLifetimeMs / 2 || notAfter === issuing.certificate.notAfter)
}

async function makeSigner({ issuing }: Authority, now: Instant): Promise<CmsSigner> {
  const { privateKey } = await generatePair('rsa', { modulusLength: signerKeyBits })
  const key = softwareKeyHandle(privateKey, 'lab-ocsp')
  const notBefore = Math.floor((now - backdatedMs) / 1000) * 1000
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: issuing.certificate.subject,
    subject: 'CN=Lab OCSP Responder,O=certfleet lab',
    publicKey: key.publicKey,
    notBefore,
    notAfter: Math.min(notBefore + signerLifetimeMs, issuing.certificate.notAfter),
    extensions: [
      keyUsageExtension(['digitalSignature']),
      extendedKeyUsageExtension([ocspSigningOid]),
      { oid: noCheckOid, value: nullValue },
      subjectKeyIdentifierExtension(key.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.key.publicKey)),
    ],
    signer: issuing.key,
    hash: 'sha256',
  })
  return { certificate: parseCertificate(certificate), key }
}
