import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
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
import { freshRsaKey, type MakeRsaKey } from './rsa-keys.ts'
import type { LabStore } from './store.ts'

/** One generation of the lab's CA and RA. */
export interface Authority {
  readonly root: Certificate
  /** Issues to devices, and the RA's two. */
  readonly issuing: CmsSigner
  /** Signs the RA's answers. */
  readonly signing: CmsSigner
  /** What requests are encrypted to. */
  readonly encryption: CmsSigner
  /** When it takes over from the one before; the first has been there always. */
  readonly from: Instant
}

/** The generations of the lab's CA, which follow each other by the clock alone. */
export interface Authorities {
  /** Makes challenges; it outlives every CA. */
  readonly secret: Uint8Array
  /** The one that answers and issues now. */
  present(): Authority
  /** The one that is prepared to take over (RFC 8894 2.5). */
  next(): Authority | undefined
  /** The present one, then those before it, youngest first: their certificates stay good, and what was encrypted to them is still read. */
  sofar(): readonly Authority[]
  /** Makes the next one, to take over at that moment. One that is already prepared: `ERR_UNSUPPORTED`. */
  prepareNext(at: Instant): Promise<Authority>
}

const dayMs = 86_400_000
const yearMs = 365 * dayMs
const issuingYears = 10
const firstKey = 'lab'

/**
 * The authorities in the store, the first made when there is none yet. A record that cannot be read: `ERR_STATE_INVALID`.
 * `raValidityMs`: lifetime of the RA's two certificates from a day before they are made, at most the CA's; default: as long as the CA's.
 */
export async function openAuthorities(
  store: LabStore,
  clock: Clock,
  keyBits: number,
  raValidityMs: number = issuingYears * yearMs,
  makeKey: MakeRsaKey = freshRsaKey,
): Promise<Authorities> {
  const make = (now: Instant) => makeAuthority(now, () => makeKey(keyBits), raValidityMs)
  if (store.get('authority', firstKey) === undefined) {
    const made = { ...(await make(clock.now())), secret: randomBytes(32) }
    await store.transaction((transaction) => {
      if (transaction.get('authority', firstKey) === undefined) transaction.put('authority', firstKey, made)
    })
  }
  const { secret } = store.get('authority', firstKey) as AuthorityRecord
  /** Oldest first. */
  const generations = [...store.list('authority')].map(readAuthority)
  const sofar = () => generations.filter(({ from }) => from <= clock.now()).reverse()
  const next = () => generations.find(({ from }) => from > clock.now())
  return {
    secret,
    sofar,
    present: () => sofar()[0] as Authority,
    next,
    async prepareNext(at) {
      const made = { ...(await make(Math.max(at, clock.now()))), secret, from: at }
      const key = `${firstKey}-${String(generations.length).padStart(6, '0')}`
      await store.transaction((transaction) => {
        if (next() !== undefined || transaction.get('authority', key) !== undefined)
          throw new AgentError('ERR_UNSUPPORTED', 'a roll-over of the CA is prepared already; the next one can be prepared after it')
        transaction.put('authority', key, made)
      })
      const authority = readAuthority(made)
      generations.push(authority)
      return authority
    },
  }
}

function readAuthority(record: AuthorityRecord): Authority {
  try {
    return {
      root: readIdentity('root', record.root).certificate,
      issuing: readIdentity('issuing', record.issuing),
      signing: readIdentity('signing', record.signing),
      encryption: readIdentity('encryption', record.encryption),
      from: record.from ?? Number.NEGATIVE_INFINITY,
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
async function makeAuthority(
  now: Instant,
  makeKey: () => Promise<KeyObject>,
  raValidityMs: number,
): Promise<Omit<AuthorityRecord, 'secret'>> {
  const keys = await Promise.all(Array.from({ length: 4 }, makeKey))
  const [rootKey, issuingKey, signingKey, encryptionKey] = keys as [KeyObject, KeyObject, KeyObject, KeyObject]
  const tag = randomBytes(4).toString('hex')
  const make = (subject: string, key: KeyObject, validityMs: number, extensions: readonly ExtensionValue[], issuer?: Made) =>
    makeCertificate({ subject: `CN=${subject} ${tag},O=certfleet lab`, key, notBefore: now - dayMs, validityMs, extensions, issuer })
  const root = await make('Lab Root CA', rootKey, 20 * yearMs, caExtensions(['keyCertSign', 'cRLSign']))
  const issuingUsages: readonly KeyUsageBit[] = ['digitalSignature', 'keyCertSign', 'cRLSign']
  const issuing = await make('Lab Issuing CA', issuingKey, issuingYears * yearMs, caExtensions(issuingUsages, 0), root)
  const raMs = Math.min(raValidityMs, issuingYears * yearMs)
  const signing = await make('Lab RA Signing', signingKey, raMs, [keyUsageExtension(['digitalSignature'])], issuing)
  const encryption = await make('Lab RA Encryption', encryptionKey, raMs, [keyUsageExtension(['keyEncipherment'])], issuing)
  const record = ({ key, certificate }: Made) => ({ privateKey: key.export({ format: 'der', type: 'pkcs8' }), certificate })
  return {
    root: record(root),
    issuing: record(issuing),
    signing: record(signing),
    encryption: record(encryption),
  }
}

function caExtensions(usages: readonly KeyUsageBit[], pathLength?: number): ExtensionValue[] {
  return [basicConstraintsExtension({ ca: true, ...(pathLength !== undefined && { pathLength }) }), keyUsageExtension(usages)]
}

async function makeCertificate(contents: {
  subject: string
  key: KeyObject
  notBefore: Instant
  validityMs: number
  extensions: readonly ExtensionValue[]
  issuer: Made | undefined
}): Promise<Made> {
  const { subject, key, notBefore, validityMs, issuer } = contents
  const handle = softwareKeyHandle(key, subject)
  const signer = issuer?.handle ?? handle
  const certificate = await buildCertificate({
    serialNumber: freshSerialNumber(),
    issuer: issuer ? parseCertificate(issuer.certificate).subject : subject,
    subject,
    publicKey: handle.publicKey,
    notBefore,
    notAfter: notBefore + validityMs,
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
