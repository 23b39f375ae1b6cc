import { createHmac, timingSafeEqual } from 'node:crypto'
import {
  expectTag,
  integer,
  malformed,
  nullValue,
  octetString,
  oid,
  readChildren,
  readOctetString,
  sequence,
  Tag,
  type Tlv,
} from '../der/index.ts'
import { digestOids, hashByOid, readAlgorithmIdentifier } from '../pki/algorithms.ts'
import type { AlgorithmIdentifier } from '../pki/certificate.ts'
import type { HashName } from '../types.ts'
import { refusedAlgorithm, wrongPassword } from './failures.ts'
import { type Budget, pfxLimits, readIterations, readSalt } from './limits.ts'
import { SchemeOid } from './oids.ts'
import type { PasswordOctets } from './password.ts'
import { derivePbkdf2, hmacAlgorithm, type Pbkdf2, pbkdf2Algorithm, readHmac, readPbkdf2, sequenceIn } from './pbkdf2.ts'
import { derivePkcs12, outputBlocks, Pkcs12Purpose } from './pkcs12-kdf.ts'

/** A keyed digest with the parameters that came with it. */
interface Mac {
  readonly hash: HashName
  /** For the caller to wipe. */
  deriveKey(password: PasswordOctets): Promise<Buffer>
}

/**
 * The spelling of the password under which MacData holds for `content` (RFC 7292 4, RFC 9579).
 * None: the one error for every cryptographic cause. All spellings are paid for before the first is tried.
 */
export async function verifiedPassword(
  macData: Tlv,
  content: Uint8Array,
  passwords: readonly PasswordOctets[],
  budget: Budget,
): Promise<PasswordOctets> {
  const [digestInfo, salt, count, ...more] = readChildren(expectTag(macData, Tag.Sequence, 'MacData').value, 'MacData')
  const [algorithm, digest, ...rest] = readChildren(expectTag(digestInfo, Tag.Sequence, 'MAC').value, 'MAC')
  if (more.length > 0 || rest.length > 0) malformed('MacData', 'values behind its end')
  const identifier = readAlgorithmIdentifier(algorithm, 'MAC algorithm')
  const expected = readOctetString(digest, 'MAC')
  const everyTry = tries(budget, passwords.length)
  const mac = identifier.oid === SchemeOid.Pbmac1 ? readPbmac1(identifier, everyTry) : readHmacMac(identifier, salt, count, everyTry)
  for (const password of passwords) if (equal(await digestOf(mac, content, password), expected)) return password
  return wrongPassword()
}

function tries(budget: Budget, times: number): Budget {
  return { spend: (derivation, rounds) => budget.spend(derivation, rounds * times) }
}

/** RFC 9579 4: the salt and iterations of MacData mean nothing then, and the length of the key must be told. */
function readPbmac1({ parameters }: AlgorithmIdentifier, budget: Budget): Mac {
  const [derivation, scheme, ...more] = readChildren(sequenceIn(parameters, 'PBMAC1 parameters'), 'PBMAC1 parameters')
  if (more.length > 0) malformed('PBMAC1 parameters', 'values behind the MAC')
  const pbkdf2 = readPbkdf2(derivation, 'MAC', { told: pfxLimits.macKeyBytes }, budget)
  const hash = readHmac(scheme, 'MAC')
  if (hash === 'sha1' || pbkdf2.prf === 'sha1') refusedAlgorithm('MAC', 'PBMAC1 with SHA-1')
  return { hash, deriveKey: ({ utf8 }) => derivePbkdf2(pbkdf2, utf8) }
}

/** RFC 7292 appendix A. SHA-1 needs no switch: HMAC has not fallen with it, and most files that exist have it. */
function readHmacMac({ oid: dotted }: AlgorithmIdentifier, saltTlv: Tlv | undefined, count: Tlv | undefined, budget: Budget): Mac {
  const hash = hashByOid(dotted) ?? refusedAlgorithm('MAC', `digest ${dotted}`)
  const salt = readSalt(saltTlv)
  const iterations = count === undefined ? 1 : readIterations(count)
  budget.spend('pkcs12Iterations', iterations * outputBlocks(hash, macBytes[hash]))
  return { hash, deriveKey: ({ bmp }) => derivePkcs12(macDerivation(hash, { salt, iterations }, bmp)) }
}

const macBytes: Record<HashName, number> = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 }

function macDerivation(hash: HashName, pbe: { readonly salt: Uint8Array; readonly iterations: number }, password: Uint8Array) {
  return { ...pbe, hash, password, purpose: Pkcs12Purpose.Mac, lengthBytes: macBytes[hash] } as const
}

async function digestOf({ hash, deriveKey }: Mac, content: Uint8Array, password: PasswordOctets): Promise<Buffer> {
  const key = await deriveKey(password)
  const digest = createHmac(hash, key).update(content).digest()
  key.fill(0)
  return digest
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

export interface MacChoice {
  readonly salt: Uint8Array
  readonly iterations: number
}

/** MacData with HMAC by the derivation of RFC 7292. */
export async function hmacData(content: Uint8Array, password: PasswordOctets, hash: HashName, choice: MacChoice): Promise<Uint8Array> {
  const deriveKey = ({ bmp }: PasswordOctets) => derivePkcs12(macDerivation(hash, choice, bmp))
  const digest = await digestOf({ hash, deriveKey }, content, password)
  const algorithm = sequence(oid(digestOids[hash]), nullValue)
  return sequence(sequence(algorithm, octetString(digest)), octetString(choice.salt), integer(choice.iterations))
}

/** MacData with PBMAC1, HMAC-SHA-256 for both (RFC 9579). */
export async function pbmac1Data(content: Uint8Array, password: PasswordOctets, choice: MacChoice): Promise<Uint8Array> {
  const pbkdf2: Pbkdf2 = { ...choice, lengthBytes: 32, prf: 'sha256' }
  const digest = await digestOf({ hash: 'sha256', deriveKey: ({ utf8 }) => derivePbkdf2(pbkdf2, utf8) }, content, password)
  const parameters = sequence(pbkdf2Algorithm(pbkdf2, true), hmacAlgorithm('sha256'))
  // The salt must be there and says nothing; the iterations are left at their default.
  return sequence(sequence(sequence(oid(SchemeOid.Pbmac1), parameters), octetString(digest)), octetString(Buffer.from('NOT USED')))
}
