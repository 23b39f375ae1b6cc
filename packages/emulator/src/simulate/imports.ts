import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import { type Clock, softwareKeyHandle } from '@certfleet/agent-core'
import { buildPfx } from '@certfleet/agent-core/pfx'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import { encryptPfxPassword, type Lab } from '../lab/index.ts'
import type { PfxRequest } from '../tenant/index.ts'
import type { SimulatedAuthority } from './authorities.ts'

export type ImportedRequest = Extract<PfxRequest, { readonly kind: 'imported' }>

export interface FileImport {
  readonly request: ImportedRequest
  readonly privateKey: KeyObject
  /** Whose root the device trusts. */
  readonly issuer: SimulatedAuthority
  readonly validityMs: number
}

/** The derivations are not what is simulated. */
const iterations = 1
const dayMs = 86_400_000

/** An admin who gives a user another file in place of the one before: with a certificate that the CA has issued in some way of its own. */
export function fileImporter({ importedPfx }: Pick<Lab, 'importedPfx'>, { now }: Pick<Clock, 'now'>): (file: FileImport) => Promise<void> {
  const present = new Map<string, string>()
  return async (file) => {
    const { userPrincipalName, intendedPurpose } = file.request
    const password = randomBytes(16).toString('hex')
    const certificates = [await certificateFor(file, now()), file.issuer.issuing.certificate]
    const pfx = await buildPfx({ privateKey: file.privateKey, certificates, password, iterations })
    const encryptedPassword = encryptPfxPassword(password, await importedPfx.key())
    const { id } = await importedPfx.add({ userPrincipalName, intendedPurpose, pfx, encryptedPassword, paddingScheme: 'oaepSha512' })
    const whose = `${intendedPurpose} ${userPrincipalName}`
    const before = present.get(whose)
    present.set(whose, id)
    if (before !== undefined) await importedPfx.remove(before)
  }
}

function certificateFor({ request, privateKey, issuer, validityMs }: FileImport, now: number): Promise<Uint8Array> {
  const { publicKey } = softwareKeyHandle(privateKey, 'imported')
  const issuing = parseCertificate(issuer.issuing.certificate)
  const key = createPrivateKey({ key: Buffer.from(issuer.issuing.privateKey), format: 'der', type: 'pkcs8' })
  return buildCertificate({
    serialNumber: Buffer.concat([Uint8Array.of(0x40), randomBytes(15)]),
    issuer: issuing.subject,
    subject: `CN="${request.userPrincipalName.replaceAll('"', '""')}"`,
    publicKey,
    notBefore: now - dayMs,
    notAfter: now - dayMs + validityMs,
    extensions: [
      keyUsageExtension(['digitalSignature']),
      subjectKeyIdentifierExtension(publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(issuing.publicKey)),
    ],
    signer: softwareKeyHandle(key, 'issuing'),
    hash: 'sha256',
  })
}
