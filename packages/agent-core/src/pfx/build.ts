import { createHash, createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { explicit, integer, octetString, oid, primitive, sequence, setOf, Tag, tlv } from '../der/index.ts'
import { AgentError } from '../errors.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { encryptWithPassword, type PfxAlgorithms } from './encryption.ts'
import { invalidPfx } from './failures.ts'
import { isOver } from './identity.ts'
import { iterationBudget } from './limits.ts'
import { hmacData, type MacChoice, pbmac1Data } from './mac.ts'
import { BagOid, ContentOid, FriendlyNameOid, LocalKeyIdOid, X509CertificateOid } from './oids.ts'
import { type PasswordOctets, spellings, wipePasswords } from './password.ts'

export interface PfxContents {
  /** One that the process may export. */
  readonly privateKey: KeyObject
  /** The key's own first, then its issuers, DER. */
  readonly certificates: readonly Uint8Array[]
  readonly password: string
  /** For key and certificate, as lists on a device show it. */
  readonly friendlyName?: string | undefined
  /**
   * `modern`, the default: PBES2 with AES-256-CBC and HMAC-SHA-256. `legacy`: 3DES and a SHA-1 MAC, for readers that know no PBES2,
   * as was reported of Android 11.
   */
  readonly algorithms?: PfxAlgorithms | undefined
  /** `hmac`, the default, which every reader knows, or PBMAC1, which OpenSSL knows from 3.4 on. Only with `modern`. */
  readonly mac?: 'hmac' | 'pbmac1' | undefined
  /** Of each derivation, from 1 on, as far as {@link openPfx} reads it back. Default 100,000; 20,000 with `legacy`. */
  readonly iterations?: number | undefined
}

const defaultIterations: Record<PfxAlgorithms, number> = { modern: 100_000, legacy: 20_000 }

/** The private key as octets is wiped once it is encrypted. A first certificate that is not over the key: `ERR_CERTIFICATE_MISMATCH`. */
export async function buildPfx(contents: PfxContents): Promise<Uint8Array> {
  const { privateKey, certificates, password, friendlyName, algorithms = 'modern', mac = 'hmac' } = contents
  const iterations = checked(contents.iterations ?? defaultIterations[algorithms], algorithms, mac)
  checkLeaf(privateKey, certificates[0])
  const passwords = spellings(password)
  try {
    const secret = passwords[0] as PasswordOctets
    const protect: Protect = (plain) => encryptWithPassword(plain, secret, algorithms, iterations)
    const names = namesOf(certificates[0] as Uint8Array, friendlyName)
    const parts = [await certificatePart(certificates, names, protect), await keyPart(privateKey, names, protect)]
    const content = sequence(...parts)
    return sequence(integer(3), dataInfo(content), await macOver(content, secret, algorithms === 'legacy' ? 'legacy' : mac, iterations))
  } finally {
    wipePasswords(passwords)
  }
}

type Protect = (plain: Uint8Array) => ReturnType<typeof encryptWithPassword>

/** What the whole file will ask of its reader: legacy keys and IVs are three digests for each of two parts. */
function checked(iterations: number, algorithms: PfxAlgorithms, mac: 'hmac' | 'pbmac1'): number {
  if (!Number.isInteger(iterations) || iterations < 1) invalidPfx('needs a whole number of iterations from 1 on')
  const { spend } = iterationBudget()
  if (algorithms === 'legacy') spend('pkcs12Iterations', 7 * iterations)
  else if (mac === 'pbmac1') spend('iterations', 3 * iterations)
  else spend('pkcs12Iterations', iterations)
  return iterations
}

function checkLeaf(privateKey: KeyObject, leaf: Uint8Array | undefined): void {
  if (leaf === undefined || !isOver(parseCertificate(leaf), createPublicKey(privateKey)))
    throw new AgentError('ERR_CERTIFICATE_MISMATCH', 'the first certificate for the PFX is not that of its key')
}

/** The certificate's SHA-1, as openssl and Windows have it, ties the two together. */
function namesOf(leaf: Uint8Array, friendlyName: string | undefined): Uint8Array {
  const localKeyId = attribute(LocalKeyIdOid, octetString(createHash('sha1').update(leaf).digest()))
  return friendlyName === undefined ? setOf([localKeyId]) : setOf([attribute(FriendlyNameOid, bmpString(friendlyName)), localKeyId])
}

const attribute = (type: string, value: Uint8Array): Uint8Array => sequence(oid(type), setOf([value]))
const bmpString = (text: string): Uint8Array => tlv(Tag.BmpString, Buffer.from(text, 'utf16le').swap16())

async function certificatePart(certificates: readonly Uint8Array[], names: Uint8Array, protect: Protect): Promise<Uint8Array> {
  const bags = certificates.map((der, i) =>
    bag(BagOid.Certificate, sequence(oid(X509CertificateOid), explicit(0, octetString(der))), i === 0 ? names : undefined),
  )
  const { algorithm, encrypted } = await protect(sequence(...bags))
  const info = sequence(oid(ContentOid.Data), algorithm, tlv(primitive(0), encrypted))
  return sequence(oid(ContentOid.EncryptedData), explicit(0, sequence(integer(0), info)))
}

async function keyPart(privateKey: KeyObject, names: Uint8Array, protect: Protect): Promise<Uint8Array> {
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  try {
    const { algorithm, encrypted } = await protect(pkcs8)
    return dataInfo(sequence(bag(BagOid.ShroudedKey, sequence(algorithm, octetString(encrypted)), names)))
  } finally {
    pkcs8.fill(0)
  }
}

function bag(type: string, value: Uint8Array, names: Uint8Array | undefined): Uint8Array {
  return sequence(oid(type), explicit(0, value), ...(names ? [names] : []))
}

function dataInfo(content: Uint8Array): Uint8Array {
  return sequence(oid(ContentOid.Data), explicit(0, octetString(content)))
}

function macOver(content: Uint8Array, password: PasswordOctets, kind: 'hmac' | 'pbmac1' | 'legacy', iterations: number) {
  // Of macOS it was reported that 16 octets fail where 8 work.
  const choice: MacChoice = { salt: randomBytes(kind === 'pbmac1' ? 16 : 8), iterations }
  if (kind === 'pbmac1') return pbmac1Data(content, password, choice)
  return hmacData(content, password, kind === 'legacy' ? 'sha1' : 'sha256', choice)
}
