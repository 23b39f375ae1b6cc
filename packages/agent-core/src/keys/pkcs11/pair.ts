import { createPublicKey } from 'node:crypto'
import { AgentError } from '../../errors.ts'
import type { KeySpec } from '../../types.ts'
import { keyExists } from '../vault.ts'
import { CKA, type Handle } from './cryptoki.ts'
import type { KeyName } from './key-name.ts'
import { type Desk, destroyHalves, findHalves, readAttribute } from './objects.ts'
import { curveOids, generator, privateTemplate, publicTemplate } from './templates.ts'
import type { Token } from './token.ts'

export interface KeyPair {
  readonly privateKey: Handle
  readonly spec: KeySpec
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Buffer
  /** Of an RSA key. */
  readonly modulus: Buffer
}

/**
 * The pair of that name. Undefined where half of it is missing or another's, or where the token would give the private key out:
 * nothing under our name may claim a protection that it does not have.
 */
export function findPair(desk: Desk, name: KeyName): KeyPair | undefined {
  return soundPair(desk, findHalves(desk, name))
}

/**
 * Makes the pair; halves of another that a crash left under this name go first.
 * A private key that the token would give out is destroyed again: `ERR_UNSUPPORTED`.
 */
export function generatePair(token: Token, spec: KeySpec, name: KeyName): KeyPair {
  if (token.run((desk) => findPair(desk, name))) throw keyExists(name.label)
  destroyPair(token, name)
  try {
    const mechanism = { mechanism: generator[spec.algorithm], parameter: null }
    // Not again when a session is lost on the way: the token would have two.
    token.runOnce(({ cryptoki, session }) =>
      cryptoki.C_GenerateKeyPair(session, mechanism, publicTemplate(spec, name), privateTemplate(spec, name)),
    )
    const pair = token.run((desk) => findPair(desk, name))
    if (pair) return pair
  } catch (error) {
    destroyPair(token, name)
    throw error
  }
  destroyPair(token, name)
  throw new AgentError('ERR_UNSUPPORTED', 'the token made a private key that it would give out; the key was destroyed')
}

/**
 * Destroys what is there of the pair. The library starts anew afterwards: tpm2-pkcs11 1.9 keeps what is destroyed in the TPM's memory,
 * and gives out handles twice.
 */
export function destroyPair(token: Token, name: KeyName): void {
  if (token.run((desk) => destroyHalves(desk, name)) > 0) token.restart()
}

function soundPair(desk: Desk, { privateKey, publicKey }: ReturnType<typeof findHalves>): KeyPair | undefined {
  if (!privateKey || !publicKey || !staysInside(desk, privateKey)) return undefined
  const shown = readPublicKey(desk, publicKey)
  const modulus = readAttribute(desk, privateKey, CKA.MODULUS) ?? shown?.modulus
  return shown && modulus?.equals(shown.modulus) ? { privateKey, ...shown } : undefined
}

/** What the token itself says of the private key. Three of these attributes tell its history; a token need not have them. */
function staysInside(desk: Desk, privateKey: Handle): boolean {
  const is = (type: number) => readAttribute(desk, privateKey, type)?.[0]
  const history = [CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE]
  return is(CKA.SENSITIVE) === 1 && is(CKA.EXTRACTABLE) === 0 && history.every((type) => is(type) !== 0)
}

/** Undefined where there is no key to be read. */
function readPublicKey(desk: Desk, object: Handle): Omit<KeyPair, 'privateKey'> | undefined {
  const read = (type: number) => readAttribute(desk, object, type) ?? Buffer.alloc(0)
  const modulus = read(CKA.MODULUS)
  const jwk = modulus.length > 0 ? rsaJwk(modulus, read(CKA.PUBLIC_EXPONENT)) : ecJwk(read(CKA.EC_PARAMS), read(CKA.EC_POINT))
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const publicKey = key.export({ format: 'der', type: 'spki' })
    if (jwk.kty === 'EC') return { spec: { algorithm: 'ec', curve: jwk.crv }, publicKey, modulus }
    return { spec: { algorithm: 'rsa', bits: key.asymmetricKeyDetails?.modulusLength as number }, publicKey, modulus }
  } catch {
    return undefined
  }
}

function rsaJwk(modulus: Buffer, exponent: Buffer) {
  return { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') } as const
}

/** CKA_EC_POINT is an uncompressed point, in an OCTET STRING (v2.40) or bare (some tokens): the coordinates are its end either way. */
function ecJwk(parameters: Buffer, point: Buffer) {
  const crv = parameters.equals(curveOids['P-384']) ? 'P-384' : 'P-256'
  const length = crv === 'P-384' ? 48 : 32
  const [x, y] = [point.subarray(-2 * length, -length), point.subarray(-length)]
  return { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') } as const
}
