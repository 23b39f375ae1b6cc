import { createPublicKey, type KeyObject } from 'node:crypto'
import { AgentError } from '../errors.ts'
import { type Certificate, parseCertificate, publicKeyOf } from '../pki/certificate.ts'
import { invalidPfx } from './failures.ts'
import type { OpenedPfx } from './open.ts'
import type { PfxCertificate, PfxKey } from './safe-contents.ts'

/** A key with its certificate and what else the file held. */
export interface PfxIdentity {
  readonly key: PfxKey
  /** The key's own, DER. */
  readonly certificate: Uint8Array
  /** Without it and without repetitions, DER: its issuer, the issuer of that, and so on, then those of no known place. */
  readonly chain: readonly Uint8Array[]
}

/**
 * The one identity in a PFX. No key or two, or no certificate over the key: `ERR_PFX_INVALID`.
 * Public keys decide; where several certificates have the key's, its localKeyId does, and else the first is taken.
 */
export function identityOf({ keys, certificates }: OpenedPfx): PfxIdentity {
  const [key, ...more] = keys
  if (key === undefined) return invalidPfx('holds no private key')
  if (more.length > 0) return invalidPfx(`holds ${keys.length} private keys, expected one`)
  if (certificates.length === 0) return invalidPfx('holds no certificate')
  const publicKey = createPublicKey(key.privateKey)
  const own = certificates.filter(({ der }) => isOver(parseCertificate(der), publicKey))
  const certificate = own.find(({ localKeyId }) => sameBytes(localKeyId, key.localKeyId)) ?? own[0]
  if (certificate === undefined) return invalidPfx('holds a private key without its certificate')
  return { key, certificate: certificate.der, chain: chainOf(certificate, certificates) }
}

/** Both as this runtime writes them. KeyObject.equals leaves an error behind for two kinds of key, and the next import fails of it. */
export function isOver(certificate: Certificate, publicKey: KeyObject): boolean {
  try {
    return sameBytes(spkiOf(publicKeyOf(certificate)), spkiOf(publicKey))
  } catch (error) {
    if (error instanceof AgentError) return false
    throw error
  }
}

const spkiOf = (publicKey: KeyObject): Uint8Array => publicKey.export({ format: 'der', type: 'spki' })

function chainOf(leaf: PfxCertificate, all: readonly PfxCertificate[]): readonly Uint8Array[] {
  const rest = distinct(all.map(({ der }) => der)).filter((der) => !sameBytes(der, leaf.der))
  const open = rest.map(parseCertificate)
  const chain: Uint8Array[] = []
  for (let last = parseCertificate(leaf.der); ; ) {
    const at = open.findIndex((candidate) => mayHaveIssued(candidate, last))
    const [issuer] = at < 0 ? [] : open.splice(at, 1)
    if (issuer === undefined) break
    chain.push(issuer.raw)
    last = issuer
  }
  return [...chain, ...open.map(({ raw }) => raw)]
}

/** By name and key identifier: an order for people and stores, not a verdict. */
function mayHaveIssued(issuer: Certificate, { issuer: name, authorityKeyIdentifier }: Certificate): boolean {
  const wanted = authorityKeyIdentifier?.keyIdentifier
  return sameBytes(issuer.subject, name) && (!wanted || !issuer.subjectKeyIdentifier || sameBytes(issuer.subjectKeyIdentifier, wanted))
}

function distinct(ders: readonly Uint8Array[]): readonly Uint8Array[] {
  return ders.filter((der, i) => ders.findIndex((other) => sameBytes(other, der)) === i)
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0
}
