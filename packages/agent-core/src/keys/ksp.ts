import { AgentError } from '../errors.ts'
import type { KeyProtection } from '../types.ts'
import { parsePkcs11Address } from './pkcs11/address.ts'

/** A key storage provider by name, as options, scenarios and embedders say it. Holds no PIN. */
export type Ksp =
  | { readonly kind: 'software' | 'tpm' | 'passport' }
  | {
      readonly kind: 'pkcs11'
      /** Path of the PKCS#11 library. */
      readonly module: string
      /** The token's label. */
      readonly token: string
      /** `tpm` only where somebody says so: no agent can tell what a token is made of. */
      readonly protection: 'pkcs11' | 'tpm'
    }

/**
 * Reads `software`, `tpm`, `passport` or `pkcs11:MODULE?token=LABEL`, where `&protection=tpm` tells that the token is a TPM.
 * Anything else: `ERR_UNSUPPORTED`, with a message that repeats nothing of it: somebody may have put a PIN there.
 */
export function parseKsp(text: string): Ksp {
  if (text === 'software' || text === 'tpm' || text === 'passport') return { kind: text }
  if (/^pkcs11:/.test(text)) return { kind: 'pkcs11', ...parsePkcs11Address(text) }
  throw new AgentError('ERR_UNSUPPORTED', 'an unknown key storage; expected software, tpm, passport or pkcs11:MODULE?token=LABEL')
}

/** The text that `parseKsp` reads as this. */
export function formatKsp(ksp: Ksp): string {
  if (ksp.kind !== 'pkcs11') return ksp.kind
  const path = ksp.module.split('/').map(encodeURIComponent).join('/')
  const protection = ksp.protection === 'pkcs11' ? '' : `&protection=${ksp.protection}`
  return `pkcs11:${path}?token=${encodeURIComponent(ksp.token)}${protection}`
}

/** What a key there is protected by. */
export function protectionOf(ksp: Ksp): KeyProtection {
  return ksp.kind === 'pkcs11' ? ksp.protection : ksp.kind
}

/** The token of an address, for people. */
export function tokenName({ token }: { readonly token: string }): string {
  return `PKCS#11 token "${token}"`
}
