import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { softwareKeyHandle } from '@certfleet/agent-core'
import { openSignedData, type SignedMessage } from '@certfleet/agent-core/cms'
import { type Certificate, parseCertificate } from '@certfleet/agent-core/pki'
import { verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import { pemBlocks, readVectorFile } from './files.ts'

/** The recorded messages of micromdm, smallstep and jscep, which use SHA-1. */
export interface Recordings {
  readonly appleRequests: readonly { readonly donor: string; readonly message: Uint8Array }[]
  readonly ca: Certificate
  readonly caKey: ReturnType<typeof softwareKeyHandle>
  readonly certRep: Uint8Array
  readonly unsignedCertRep: Uint8Array
  readonly ca2: Certificate
  readonly jscep: Readonly<Record<JscepSample, Uint8Array>>
}

const jscepSamples = ['scep_req0', 'scep_req1', 'scep_req2', 'scep_resp0', 'scep_resp1', 'scep_resp2'] as const
type JscepSample = (typeof jscepSamples)[number]

export const appleTransactionId = 'A13090761A30F66664F85D37433D2065E1112BA1'
export const jscepTransactionId = '7XXEY-ERLPU-2JDR9'

export function readRecordings(dir: string): Recordings | undefined {
  const folder = join(dir, 'scep-messages')
  if (!existsSync(folder)) return undefined
  const micromdm = (...path: string[]) => readVectorFile(join(folder, 'micromdm-scep', 'testdata', ...path))
  const smallstep = (...path: string[]) => readVectorFile(join(folder, 'smallstep-scep', 'testdata', ...path))
  const jscep = (name: string) => readVectorFile(join(folder, 'jscep', 'src', 'samples', `${name}.der`))
  return {
    appleRequests: [
      { donor: 'micromdm', message: micromdm('PKCSReq.der') },
      { donor: 'smallstep', message: smallstep('PKCSReq.der') },
    ],
    ca: certificateOf(micromdm('testca', 'ca.pem')),
    caKey: softwareKeyHandle(createPrivateKey({ key: micromdm('testca', 'ca.key'), passphrase: '' }), 'testca'),
    certRep: smallstep('CertRep.der'),
    unsignedCertRep: smallstep('testca2', 'CertRep_NoCertificatesForSigners.der'),
    ca2: certificateOf(smallstep('testca2', 'ca2.pem')),
    jscep: Object.fromEntries(jscepSamples.map((name) => [name, jscep(name) as Uint8Array])) as Recordings['jscep'],
  }
}

function certificateOf(pem: Buffer): Certificate {
  const der = pemBlocks(pem.toString('latin1')).find(({ label }) => label === 'CERTIFICATE')?.der
  return parseCertificate(der ?? new Uint8Array())
}

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** What parseCertRep needs to know of the request. The client's keys are lost: an answer that passes every check gets as far as its decryption. */
export function answerRules(request: Uint8Array, signers: readonly Certificate[]) {
  const { signer, senderNonce, transactionId } = verifyPkiRequest(request, { legacySha1: true })
  const recipient = { certificate: signer, key: softwareKeyHandle(privateKey, 'lost') }
  return { signers, transactionId, senderNonce, recipient, legacySha1: true, legacyDes: true }
}

/** Everything in a message that its signature covers, and who made it, as one text. */
export function signedParts(message: Uint8Array, signers: readonly Certificate[]): string {
  const { content, attributes, signer, hash }: SignedMessage = openSignedData(message, { signers, legacySha1: true })
  const texts = [...attributes].map(([type, values]) => [type, ...values.map(({ raw }) => hexOf(raw))].join(' '))
  return [hash, hexOf(signer.raw), hexOf(content ?? new Uint8Array()), ...texts].join('\n')
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}
