import { AgentError } from '../../errors.ts'
import type { KeySpec } from '../../types.ts'
import { CKF, CKM, type Cryptoki, type Handle } from './cryptoki.ts'
import { Refusal } from './refusal.ts'

/** What the token says of itself. */
export interface TokenFacts {
  readonly manufacturer: string
  /** RSA sizes that it makes and signs with; undefined where it makes none. */
  readonly rsaBits?: { readonly min: number; readonly max: number }
  readonly curves: readonly Extract<KeySpec, { algorithm: 'ec' }>['curve'][]
  /** How it decrypts PKCS#1 v1.5: `raw` leaves the padding to us. */
  readonly pkcs1: 'raw' | 'padded' | 'never'
}

/** Where the token of that label is. None, or more than one: `ERR_KEY_STORAGE_UNAVAILABLE`. */
export function slotOf(cryptoki: Cryptoki, label: string): Handle {
  const slots = cryptoki.C_GetSlotList(true).filter((slot) => labelIn(cryptoki, slot) === label)
  if (slots.length > 1) throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `${slots.length} PKCS#11 tokens are labelled "${label}"`)
  if (!slots[0]) throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `there is no PKCS#11 token "${label}"`)
  return slots[0]
}

/** Undefined where there is no token any more, or none that the library can read. */
function labelIn(cryptoki: Cryptoki, slot: Handle): string | undefined {
  try {
    return cryptoki.C_GetTokenInfo(slot).label.trimEnd()
  } catch (error) {
    if (error instanceof Refusal && /TOKEN_NOT|DEVICE_REMOVED|SLOT_ID/.test(error.returnValue)) return undefined
    throw error
  }
}

export function readFacts(cryptoki: Cryptoki, slot: Handle): TokenFacts {
  const offered = new Set(cryptoki.C_GetMechanismList(slot))
  const info = (mechanism: number) => (offered.has(mechanism) ? cryptoki.C_GetMechanismInfo(slot, mechanism) : undefined)
  const decrypts = (mechanism: number) => ((info(mechanism)?.flags ?? 0) & CKF.DECRYPT) !== 0
  const rsa = offered.has(CKM.RSA_PKCS) ? info(CKM.RSA_PKCS_KEY_PAIR_GEN) : undefined
  const ec = offered.has(CKM.ECDSA) ? info(CKM.EC_KEY_PAIR_GEN) : undefined
  const curves = (
    [
      [256, 'P-256'],
      [384, 'P-384'],
    ] as const
  ).filter(([bits]) => ec && ec.minKeySize <= bits && bits <= ec.maxKeySize)
  return {
    manufacturer: cryptoki.C_GetTokenInfo(slot).manufacturerID.trimEnd(),
    ...(rsa && { rsaBits: { min: rsa.minKeySize, max: rsa.maxKeySize } }),
    curves: curves.map(([, curve]) => curve),
    pkcs1: decrypts(CKM.RSA_X_509) ? 'raw' : decrypts(CKM.RSA_PKCS) ? 'padded' : 'never',
  }
}
