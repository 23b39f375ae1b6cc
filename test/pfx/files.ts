import { createPrivateKey, type KeyObject } from 'node:crypto'
import { explicit, integer, octetString, oid, sequence } from '@certfleet/agent-core/der'
import type { Certificate } from '@certfleet/agent-core/pki'
import { hmacData } from '#agent-core/pfx/mac.ts'
import { BagOid, ContentOid, X509CertificateOid } from '#agent-core/pfx/oids.ts'
import { type PasswordOctets, spellings } from '#agent-core/pfx/password.ts'
import { caExtensions, identity } from '../cms/identities.ts'

export const password = 'canary-Pässwörd ☃'

export interface PfxTestIdentity {
  readonly privateKey: KeyObject
  readonly certificate: Certificate
  /** PKCS#8. */
  readonly keyPem: string
}

const root = await identity('CN=Root', { ec: true, extensions: caExtensions })
const issuing = await identity('CN=Issuing', { ec: true, issuer: root, extensions: caExtensions })

/** Issuing CA and root, in this order. */
export const issuers: readonly Certificate[] = [issuing.certificate, root.certificate]

export async function issued(subject: string, { ec = true }: { ec?: boolean } = {}): Promise<PfxTestIdentity> {
  const { certificate, keyPem } = await identity(subject, { ec, issuer: issuing })
  return { certificate, keyPem, privateKey: createPrivateKey(keyPem) }
}

/** A PFX over any AuthenticatedSafe octets, with a good MAC of one iteration or the MacData that is given; `null` leaves it out. */
export async function pfxOver(authenticatedSafe: Uint8Array, macData?: Uint8Array | null): Promise<Uint8Array> {
  const [secret] = spellings(password) as [PasswordOctets]
  const mac = macData ?? (await hmacData(authenticatedSafe, secret, 'sha256', { salt: Buffer.alloc(8, 1), iterations: 1 }))
  return sequence(integer(3), dataPart(authenticatedSafe), ...(macData === null ? [] : [mac]))
}

/** A PFX with these bags, unencrypted. */
export function pfxOfBags(...bags: readonly Uint8Array[]): Promise<Uint8Array> {
  return pfxOver(sequence(dataPart(sequence(...bags))))
}

export function dataPart(content: Uint8Array): Uint8Array {
  return sequence(oid(ContentOid.Data), explicit(0, octetString(content)))
}

/** EncryptedData with that AlgorithmIdentifier. */
export function encryptedPart(algorithm: Uint8Array, encrypted: Uint8Array): Uint8Array {
  const info = sequence(oid(ContentOid.Data), algorithm, encrypted)
  return sequence(oid(ContentOid.EncryptedData), explicit(0, sequence(integer(0), info)))
}

export function bag(type: string, value: Uint8Array, ...attributes: readonly Uint8Array[]): Uint8Array {
  return sequence(oid(type), explicit(0, value), ...attributes)
}

export function certificateBag(der: Uint8Array, ...attributes: readonly Uint8Array[]): Uint8Array {
  return bag(BagOid.Certificate, sequence(oid(X509CertificateOid), explicit(0, octetString(der))), ...attributes)
}

export function keyBag({ privateKey }: Pick<PfxTestIdentity, 'privateKey'>, ...attributes: readonly Uint8Array[]): Uint8Array {
  return bag(BagOid.Key, privateKey.export({ format: 'der', type: 'pkcs8' }), ...attributes)
}
