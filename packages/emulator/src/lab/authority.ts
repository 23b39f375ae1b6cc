import { createPrivateKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError, type Clock, type Instant, type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  type Certificate,
  type ExtensionValue,
  type KeyUsageBit,
  keyIdentifierOf,
  keyUsageExtension,
  parseCertificate,
  subjectKeyIdentifierExtension,
} from '@certfleet/agent-core/pki'
import type { AuthorityRecord, KeyAndCertificate } from './records.ts'
import type { LabStore } from './store.ts'

/** The lab's CA and RA. */
export interface Authority {
  readonly root: Certificate
  /** Issues to devices, and the RA's two. */
  readonly issuing: CmsSigner
  /** Signs the RA's answers. */
  readonly signing: CmsSigner
  /** What requests are encrypted to. */
  readonly encryption: CmsSigner
  readonly secret: Uint8Array
}

const dayMs = 86_400_000
const generatePair = promisify(generateKeyPair)

/** The authority in the store, made when there is none yet. A record that cannot be read: `ERR_STATE_INVALID`. */
export async function openAuthority(store: LabStore, clock: Clock, keyBits: number): Promise<Authority> {
  if (store.get('authority', 'lab') === undefined) {
    const made = await makeAuthority(clock.now(), keyBits)
    await store.transaction((transaction) => {
      if (transaction.get('authority', 'lab') === undefined) transaction.put('authority', 'lab', made)
    })
  }
  return readAuthority(store.get('authority', 'lab') as AuthorityRecord)
}

function readAuthority(record: AuthorityRecord): Authority {
  try {
    return {
      root: readIdentity('root', record.root).certificate,
      issuing: readIdentity('issuing', record.issuing),
      signing: readIdentity('signing', record.signing),
      encryption: readIdentity('encryption', record.encryption),
      secret: record.secret,
    }
  } catch (error) {
    throw new AgentError('ERR_STATE_INVALID', "the lab's CA record cannot be read; the state folder is damaged", { cause: error })
  }
}

function readIdentity(name: string, { privateKey, certificate }: KeyAndCertificate): CmsSigner {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
  return { certificate: parseCertificate(certificate), key: softwareKeyHandle(key, `lab-${name}`) }
}

interface Made {
  readonly key: KeyObject
  readonly handle: KeyHandle
  readonly certificate: Uint8Array
}

/** A root, its issuing CA, and the RA's two; the CA's certificates begin a day early, so that a device whose clock is behind can use them. */
async function makeAuthority(now: Instant, keyBits: number): Promise<AuthorityRecord> {
  const keys = await Promise.all(Array.from({ length: 4 }, async () => (await generatePair('rsa', { modulusLength: keyBits })).privateKey))
  const [rootKey, issuingKey, signingKey, encryptionKey] = keys as [KeyObject, KeyObject, KeyObject, KeyObject]
  const tag = randomBytes(4).toString('hex')
  const make = (subject: string, key: KeyObject, years: number, extensions: readonly ExtensionValue[], issuer?: Made) =>
    makeCertificate({ subject: `CN=${subject} ${tag},O=certfleet lab`, key, notBefore: now - dayMs, years, extensions, issuer })
  const root = await make('Lab Root CA', rootKey, 20, caExtensions(['keyCertSign', 'cRLSign']))
  const issuing = await make('Lab Issuing CA', issuingKey, 10, caExtensions(['digitalSignature', 'keyCertSign', 'cRLSign'], 0), root)
  const signing = await make('Lab RA Signing', signingKey, 10, [keyUsageExtension(['digitalSignature'])], issuing)
  const encryption = await make('Lab RA Encryption', encryptionKey, 10, [keyUsageExtension(['keyEncipherment'])], issuing)
  const record = ({ key, certificate }: Made) => ({ privateKey: key.export({ format: 'der', type: 'pkcs8' }), certificate })
  return {
    root: record(root),
    issuing: record(issuing),
    signing: record(signing),
    encryption: record(encryption),
    secret: randomBytes(32),
  }
}

function caExtensions(usages: readonly KeyUsageBit[], pathLength?: number): ExtensionValue[] {
  return [basicConstraintsExtension({ ca: true, ...(pathLength !== undefined && { pathLength }) }), keyUsageExtension(usages)]
}

async function makeCertificate(contents: {
  subject: string
  key: KeyObject
  notBefore: Instant
  years: number
  extensions: readonly ExtensionValue[]
  issuer: Made | undefined
}): Promise<Made> {
  const { subject, key, notBefore, years, issuer } = contents
  const handle = softwareKeyHandle(key, subject)
  const signer = issuer?.handle ?? handle
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: issuer ? parseCertificate(issuer.certificate).subject : subject,
    subject,
    publicKey: handle.publicKey,
    notBefore,
    notAfter: notBefore + years * 365 * dayMs,
    extensions: [
      ...contents.extensions,
      subjectKeyIdentifierExtension(handle.publicKey),
      authorityKeyIdentifierExtension(keyIdentifierOf(signer.publicKey)),
    ],
    signer,
    hash: 'sha256',
  })
  return { key, handle, certificate }
}

/** 20 octets, 158 bits of them random: never negative, never short (RFC 5280 4.1.2.2). */
export function freshSerialNumber(): Buffer {
  const serialNumber = randomBytes(20)
  serialNumber[0] = ((serialNumber[0] as number) & 0x3f) | 0x40
  return serialNumber
}
