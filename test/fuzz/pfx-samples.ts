import { createCipheriv, createHmac, pbkdf2Sync } from 'node:crypto'
import { explicit, integer, nullValue, octetString, oid, primitive, sequence, setOf, Tag, tlv } from '@certfleet/agent-core/der'
import { BagOid, ContentOid, FriendlyNameOid, LocalKeyIdOid, SchemeOid, X509CertificateOid } from '#agent-core/pfx/oids.ts'
import { type PasswordOctets, spellings } from '#agent-core/pfx/password.ts'
import { hmacAlgorithm, type Pbkdf2, pbkdf2Algorithm } from '#agent-core/pfx/pbkdf2.ts'
import { derivePkcs12, Pkcs12Purpose } from '#agent-core/pfx/pkcs12-kdf.ts'
import type { Layer, Sample } from './corpus.ts'
import type { World } from './world.ts'

export const pfxPassword = 'fuzz pässword'

/** How one kind of PFX is made: MacData over an AuthenticatedSafe, and AlgorithmIdentifier with ciphertext. */
interface Scheme {
  mac(authenticatedSafe: Uint8Array): Uint8Array
  encrypt(plain: Uint8Array): readonly [algorithm: Uint8Array, encrypted: Uint8Array]
}

/** Current and old, with a key that is encrypted for itself beside certificates that are encrypted together. */
export async function pfxSamples(world: World): Promise<readonly Sample[]> {
  const [password] = spellings(pfxPassword) as [PasswordOctets]
  return [pfxSample('PFX', world, modern(password)), pfxSample('old PFX', world, await old(password))]
}

function pfxSample(name: string, { leaf, issuing, client }: World, scheme: Scheme): Sample {
  const certificates = sequence(certificateBag(leaf.certificate.raw, named('device')), certificateBag(issuing.certificate.raw))
  const key = client.key.privateKey.export({ format: 'der', type: 'pkcs8' })
  const safe = (bags: Uint8Array, pkcs8: Uint8Array) =>
    sequence(encryptedPart(...scheme.encrypt(bags)), dataPart(sequence(shroudedBag(...scheme.encrypt(pkcs8), named('device')))))
  const over = (content: Uint8Array) => sequence(integer(3), dataPart(content), scheme.mac(content))
  const layers: readonly Layer[] = [
    { name: 'authenticated safe', bytes: safe(certificates, key), seal: over },
    { name: 'certificates', bytes: certificates, seal: (mutant) => over(safe(mutant, key)) },
    { name: 'private key', bytes: key, seal: (mutant) => over(safe(certificates, mutant)) },
  ]
  return { name, kind: 'pfx', bytes: over(safe(certificates, key)), layers, password: pfxPassword }
}

const salt = Buffer.alloc(8, 5)
const iterations = 2
const iv = Buffer.alloc(16, 6)

/** PBMAC1, and PBES2 with AES-256-CBC. */
function modern({ utf8 }: PasswordOctets): Scheme {
  const pbkdf2: Pbkdf2 = { salt, iterations, lengthBytes: 32, prf: 'sha256' }
  const key = pbkdf2Sync(utf8, salt, iterations, 32, 'sha256')
  const pbmac1 = sequence(oid(SchemeOid.Pbmac1), sequence(pbkdf2Algorithm(pbkdf2, true), hmacAlgorithm('sha256')))
  const aes = sequence(oid('2.16.840.1.101.3.4.1.42'), octetString(iv))
  const pbes2 = sequence(oid(SchemeOid.Pbes2), sequence(pbkdf2Algorithm(pbkdf2, false), aes))
  return {
    mac: (content) => sequence(sequence(pbmac1, octetString(createHmac('sha256', key).update(content).digest())), octetString(salt)),
    encrypt: (plain) => [pbes2, encrypted('aes-256-cbc', key, iv, plain)],
  }
}

/** HMAC-SHA-1 and three-key 3DES by the derivation of RFC 7292. */
async function old({ bmp: password }: PasswordOctets): Promise<Scheme> {
  const derived = (purpose: (typeof Pkcs12Purpose)[keyof typeof Pkcs12Purpose], lengthBytes: number) =>
    derivePkcs12({ hash: 'sha1', purpose, password, salt, iterations, lengthBytes })
  const [macKey, key, shortIv] = [
    await derived(Pkcs12Purpose.Mac, 20),
    await derived(Pkcs12Purpose.Key, 24),
    await derived(Pkcs12Purpose.Iv, 8),
  ]
  const sha1 = sequence(oid('1.3.14.3.2.26'), nullValue)
  const pbe = sequence(oid('1.2.840.113549.1.12.1.3'), sequence(octetString(salt), integer(iterations)))
  return {
    mac: (content) =>
      sequence(sequence(sha1, octetString(createHmac('sha1', macKey).update(content).digest())), octetString(salt), integer(iterations)),
    encrypt: (plain) => [pbe, encrypted('des-ede3-cbc', key, shortIv, plain)],
  }
}

function encrypted(name: string, key: Uint8Array, vector: Uint8Array, plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv(name, key, vector)
  return Buffer.concat([cipher.update(plain), cipher.final()])
}

function dataPart(content: Uint8Array): Uint8Array {
  return sequence(oid(ContentOid.Data), explicit(0, octetString(content)))
}

function encryptedPart(algorithm: Uint8Array, octets: Uint8Array): Uint8Array {
  const info = sequence(oid(ContentOid.Data), algorithm, tlv(primitive(0), octets))
  return sequence(oid(ContentOid.EncryptedData), explicit(0, sequence(integer(0), info)))
}

function shroudedBag(algorithm: Uint8Array, octets: Uint8Array, attributes: Uint8Array): Uint8Array {
  return sequence(oid(BagOid.ShroudedKey), explicit(0, sequence(algorithm, octetString(octets))), attributes)
}

function certificateBag(der: Uint8Array, ...attributes: readonly Uint8Array[]): Uint8Array {
  return sequence(oid(BagOid.Certificate), explicit(0, sequence(oid(X509CertificateOid), explicit(0, octetString(der)))), ...attributes)
}

function named(friendlyName: string): Uint8Array {
  const attribute = (type: string, value: Uint8Array) => sequence(oid(type), tlv(Tag.Set, value))
  return setOf([
    attribute(FriendlyNameOid, tlv(Tag.BmpString, Buffer.from(friendlyName, 'utf16le').swap16())),
    attribute(LocalKeyIdOid, octetString(Uint8Array.of(1))),
  ])
}
