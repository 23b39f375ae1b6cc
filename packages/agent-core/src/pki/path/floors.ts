import { readBitString, readChildren, readDer, readInteger, readOid, readSequence } from '../../der/index.ts'
import { AgentError } from '../../errors.ts'
import type { AlgorithmIdentifier } from '../certificate.ts'
import { failure, type PathFailure } from './failure.ts'
import { signatureScheme } from './signature.ts'

/** The weakest algorithms that a path may rest on. */
export interface AlgorithmFloor {
  /** Of every CA's key, and of the leaf's unless that has a floor of its own. Default 2048. */
  readonly minRsaBits?: number
  /** Of the leaf's key: RSA-1024 passes where a profile or template asks for it, and never in a CA. Default `minRsaBits`. */
  readonly minLeafRsaBits?: number
  /** The switch `legacy-sha1`: also takes signatures over SHA-1. Default false. MD5 is never taken. */
  readonly legacySha1?: boolean
}

const rsaOids: ReadonlySet<string> = new Set(['1.2.840.113549.1.1.1', '1.2.840.113549.1.1.10'])
const ecOid = '1.2.840.10045.2.1'
/** P-256, P-384, P-521. */
const curves: ReadonlySet<string> = new Set(['1.2.840.10045.3.1.7', '1.3.132.0.34', '1.3.132.0.35'])
const edwardsOids: ReadonlySet<string> = new Set(['1.3.101.112', '1.3.101.113'])

export function signatureWeakness(algorithm: AlgorithmIdentifier, floor: AlgorithmFloor): PathFailure | undefined {
  const scheme = signatureScheme(algorithm)
  if (scheme === undefined) return failure('algorithm-refused', `signature algorithm ${algorithm.oid} is not accepted`)
  if (scheme.hash === 'sha1' && !floor.legacySha1)
    return failure('algorithm-refused', 'a signature over SHA-1 needs the switch legacy-sha1')
  return undefined
}

/** Judges a SubjectPublicKeyInfo by its own octets: importing it would cost more than the rest of the check. */
export function keyWeakness(spki: Uint8Array, floor: AlgorithmFloor): PathFailure | undefined {
  try {
    return weaknessOf(spki, floor)
  } catch (error) {
    if (error instanceof AgentError) return failure('algorithm-refused', `the public key cannot be read: ${error.message}`)
    throw error
  }
}

function weaknessOf(spki: Uint8Array, floor: AlgorithmFloor): PathFailure | undefined {
  const [algorithm, key] = readSequence(spki, 'subjectPublicKeyInfo')
  const [type, parameters] = readChildren(algorithm?.value ?? new Uint8Array(), 'public key algorithm')
  const oid = readOid(type, 'public key algorithm')
  if (rsaOids.has(oid)) return rsaWeakness(readBitString(key).bytes, floor.minRsaBits ?? 2048)
  if (edwardsOids.has(oid)) return undefined
  if (oid !== ecOid) return failure('algorithm-refused', `keys of type ${oid} are not accepted`)
  const curve = readOid(parameters, 'named curve')
  return curves.has(curve) ? undefined : failure('algorithm-refused', `curve ${curve} is not accepted`)
}

/** Exponents below 65537 invite forgeries; longer ones and larger keys than any CA needs make a path of many signatures slow to refuse. */
function rsaWeakness(key: Uint8Array, minBits: number): PathFailure | undefined {
  const [modulus, exponent] = readChildren(readDer(key, 'RSAPublicKey').value, 'RSAPublicKey')
  const octets = modulus?.value ?? new Uint8Array()
  const leading = octets.findIndex((octet) => octet !== 0)
  const bits = leading < 0 ? 0 : (octets.length - leading) * 8 - Math.clz32(octets[leading] as number) + 24
  if (bits < minBits) return failure('algorithm-refused', `an RSA key of ${bits} bits, expected at least ${minBits}`)
  if (bits > 8192) return failure('algorithm-refused', `an RSA key of ${bits} bits, expected at most 8192`)
  const e = readInteger(exponent, 'public exponent')
  const isGood = e >= 65_537n && e < 2n ** 32n && e % 2n === 1n
  return isGood ? undefined : failure('algorithm-refused', 'the RSA public exponent is even, below 65537 or above 4294967295')
}
