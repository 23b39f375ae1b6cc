import { systemClock } from '@certfleet/agent-core'
import { parsePkcs11Address } from '#agent-core/keys/pkcs11/address.ts'
import { type Pkcs11Keys, type Pkcs11Options, pkcs11Keys } from '#agent-core/keys/pkcs11/provider.ts'

const { CERTFLEET_HARDWARE_TOKEN: address, CERTFLEET_HARDWARE_PIN: pin = '' } = process.env

/** A value for tap's `skip`. */
export const noToken: string | false = address === undefined ? 'npm run test:hardware starts the tokens' : false

/** The token that this run is about. */
export const token = { ...parsePkcs11Address(address ?? 'pkcs11:none?token=none'), pin }

export const isTpm: boolean = token.protection === 'tpm'

export const rsa2048 = { algorithm: 'rsa', bits: 2048 } as const

export function openKeys(options: Partial<Pkcs11Options> = {}): Promise<Pkcs11Keys> {
  return pkcs11Keys({ ...token, clock: systemClock, ...options })
}

/** A namespace that earlier runs left nothing in. */
export async function emptyKeys(namespace: string): Promise<Pkcs11Keys> {
  const keys = await openKeys({ namespace })
  for (const label of await keys.list()) await keys.destroy(label)
  return keys
}
