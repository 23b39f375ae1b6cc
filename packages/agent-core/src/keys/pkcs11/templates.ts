import type { KeySpec } from '../../types.ts'
import { type Attribute, CKA, CKM } from './cryptoki.ts'
import { type KeyName, objectId, objectLabel } from './key-name.ts'

/** The mechanism that makes a pair. */
export const generator = { rsa: CKM.RSA_PKCS_KEY_PAIR_GEN, ec: CKM.EC_KEY_PAIR_GEN } as const

/** Named curves (RFC 5480 2.1.1.1), DER. */
export const curveOids = { 'P-256': Buffer.from('06082a8648ce3d030107', 'hex'), 'P-384': Buffer.from('06052b81040022', 'hex') } as const

/** What is kept when the session ends. */
export const onToken: Attribute = { type: CKA.TOKEN, value: true }

export function nameAttributes(name: KeyName): Attribute[] {
  return [
    { type: CKA.LABEL, value: objectLabel(name) },
    { type: CKA.ID, value: objectId(name) },
  ]
}

export function publicTemplate(spec: KeySpec, name: KeyName): Attribute[] {
  const common = [onToken, { type: CKA.PRIVATE, value: false }, { type: CKA.VERIFY, value: true }, ...nameAttributes(name)]
  if (spec.algorithm === 'ec') return [...common, { type: CKA.EC_PARAMS, value: curveOids[spec.curve] }]
  return [
    ...common,
    { type: CKA.ENCRYPT, value: true },
    { type: CKA.MODULUS_BITS, value: spec.bits },
    { type: CKA.PUBLIC_EXPONENT, value: Buffer.of(1, 0, 1) },
  ]
}

/** SCEP signs with the key and has the answer encrypted to it, so one RSA key does both. */
export function privateTemplate(spec: KeySpec, name: KeyName): Attribute[] {
  return [
    onToken,
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.SIGN, value: true },
    ...(spec.algorithm === 'rsa' ? [{ type: CKA.DECRYPT, value: true }] : []),
    ...nameAttributes(name),
  ]
}
