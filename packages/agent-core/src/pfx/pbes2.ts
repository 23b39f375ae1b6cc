import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { malformed, octetString, oid, readChildren, readDer, readOctetString, sequence } from '../der/index.ts'
import { readAlgorithmIdentifier } from '../pki/algorithms.ts'
import type { AlgorithmIdentifier } from '../pki/certificate.ts'
import type { Encrypted, PasswordCipher, ReadingRules } from './encryption.ts'
import { needsLegacy, refusedAlgorithm } from './failures.ts'
import { SchemeOid } from './oids.ts'
import type { PasswordOctets } from './password.ts'
import { derivePbkdf2, type Pbkdf2, pbkdf2Algorithm, readPbkdf2, sequenceIn } from './pbkdf2.ts'

interface BlockCipher {
  readonly name: string
  readonly keyBytes: number
  readonly blockBytes: number
}

const aes256Oid = '2.16.840.1.101.3.4.1.42'

/** RFC 8018 appendix B.2. */
const ciphers: Readonly<Record<string, BlockCipher>> = {
  '2.16.840.1.101.3.4.1.2': { name: 'aes-128-cbc', keyBytes: 16, blockBytes: 16 },
  '2.16.840.1.101.3.4.1.22': { name: 'aes-192-cbc', keyBytes: 24, blockBytes: 16 },
  [aes256Oid]: { name: 'aes-256-cbc', keyBytes: 32, blockBytes: 16 },
  '1.2.840.113549.3.7': { name: 'des-ede3-cbc', keyBytes: 24, blockBytes: 8 },
}

/** PBES2 (RFC 8018 6.2) with PBKDF2; 3DES only by the switch. */
export function readPbes2({ parameters }: AlgorithmIdentifier, what: string, { legacy, budget }: ReadingRules): PasswordCipher {
  const [derivation, scheme, ...more] = readChildren(sequenceIn(parameters, 'PBES2 parameters'), 'PBES2 parameters')
  if (more.length > 0) malformed('PBES2 parameters', 'values behind the cipher')
  const { oid: dotted, parameters: ivParameter } = readAlgorithmIdentifier(scheme, `${what} cipher`)
  const cipher = ciphers[dotted] ?? refusedAlgorithm(what, `cipher ${dotted}`)
  if (cipher.name === 'des-ede3-cbc' && !legacy) needsLegacy(what, '3DES')
  const iv = readIv(ivParameter, cipher)
  const pbkdf2 = readPbkdf2(derivation, what, { exactly: cipher.keyBytes }, budget)
  return { blockBytes: cipher.blockBytes, decrypt: (encrypted, { utf8 }) => decrypt(cipher.name, iv, pbkdf2, encrypted, utf8) }
}

function readIv(parameter: Uint8Array | undefined, { name, blockBytes }: BlockCipher): Uint8Array {
  if (parameter === undefined) malformed('PBES2 parameters', 'the cipher has no IV')
  const iv = readOctetString(readDer(parameter, 'IV'), 'IV')
  if (iv.length !== blockBytes) malformed('IV', `${iv.length} octets for ${name}`)
  return Uint8Array.from(iv)
}

async function decrypt(name: string, iv: Uint8Array, pbkdf2: Pbkdf2, encrypted: Uint8Array, utf8: Uint8Array): Promise<Buffer> {
  const key = await derivePbkdf2(pbkdf2, utf8)
  const decipher = createDecipheriv(name, key, iv).setAutoPadding(false)
  key.fill(0)
  // Without padding, whole blocks come out as they go in: there is nothing left for final().
  return decipher.update(encrypted)
}

/** AES-256-CBC by PBKDF2 with HMAC-SHA-256: what current systems write and read. */
export async function writePbes2(
  plain: Uint8Array,
  { utf8 }: PasswordOctets,
  { salt, iterations }: Pick<Pbkdf2, 'salt' | 'iterations'>,
): Promise<Encrypted> {
  const pbkdf2: Pbkdf2 = { salt, iterations, lengthBytes: 32, prf: 'sha256' }
  const key = await derivePbkdf2(pbkdf2, utf8)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  key.fill(0)
  const scheme = sequence(pbkdf2Algorithm(pbkdf2, false), sequence(oid(aes256Oid), octetString(iv)))
  return { algorithm: sequence(oid(SchemeOid.Pbes2), scheme), encrypted: Buffer.concat([cipher.update(plain), cipher.final()]) }
}
