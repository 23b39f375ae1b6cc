import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '@certfleet/agent-core'
import { ndesFacts, says } from '@certfleet/platforms'
import type { Audit } from '../audit.ts'
import { sameSecret, sha256Hex } from '../digest.ts'
import type { LabStore, LabTransaction } from '../store.ts'
import type { NdesRegistry, OpenPassword } from './records.ts'

export interface OneTimePasswordsOptions {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  /** The single password is derived from it, so that it lies nowhere. */
  readonly secret: Uint8Array
  /** As NDES goes by it now. */
  readonly registry: () => NdesRegistry
}

/** A password as it is shown, once. */
export interface HandedOut {
  /** A secret. */
  readonly password: string
  /** For how many minutes it is good, and once; missing where it is good for ever, and for all. */
  readonly validMinutes?: number
}

export interface OneTimePasswords {
  /** Hands out a new password, or the single one; 'full' while as many are open as PasswordMax allows. */
  issue(): Promise<HandedOut | 'full'>
  /**
   * Undefined unless the challenge is a good password. By its id `spendPassword` spends it.
   * The single password has none: there is nothing to spend.
   */
  read(challenge: string): { readonly id?: string } | undefined
  /** Ends every open password, as a restart of IIS does: NDES has them in memory alone. */
  forget(): Promise<void>
}

const table = 'ndesPasswords'
const key = 'ndes'
const idPrefix = 'ndes-password:'

/** The passwords of `mscep_admin`. What is stored is a digest, and only while the password is open. */
export function oneTimePasswords({ store, clock, audit, secret, registry }: OneTimePasswordsOptions): OneTimePasswords {
  const isOpen = ({ expiresAt }: OpenPassword) => expiresAt > clock.now()
  return {
    async issue() {
      const values = registry()
      if (values.UseSinglePassword) return { password: singlePassword(secret, values) }
      const { PasswordLength = says(ndesFacts.passwordBytes, {}), PasswordMax, PasswordValidity: validMinutes } = values
      const password = hexOf(randomBytes(PasswordLength))
      const entry = { digest: sha256Hex(password), expiresAt: clock.now() + validMinutes * 60_000 }
      return store.transaction((tx) => {
        const open = (tx.get(table, key) ?? []).filter(isOpen)
        const full = open.length >= PasswordMax
        audit.add(tx, {
          event: full ? 'challenge-refused' : 'challenge-issued',
          detail: full ? 'the NDES password cache is full' : 'by NDES',
        })
        if (full) return 'full'
        tx.put(table, key, [...open, entry])
        return { password, validMinutes }
      })
    },
    read(challenge) {
      const values = registry()
      if (values.UseSinglePassword) return sameSecret(challenge, singlePassword(secret, values)) ? {} : undefined
      const digest = sha256Hex(challenge)
      return store.get(table, key)?.some((entry) => entry.digest === digest && isOpen(entry)) ? { id: idPrefix + digest } : undefined
    },
    async forget() {
      await store.transaction((tx) => tx.remove(table, key))
    },
  }
}

/**
 * Spends a password by the id that `read` gave: true for the one transaction that comes first. It stays true for that transaction while
 * it is pending, which is how its request can be sent again. Undefined: it is no password's id.
 */
export function spendPassword(
  tx: LabTransaction,
  id: string,
  by: { readonly transactionId: string; readonly publicKeyDigest: string },
): boolean | undefined {
  if (!id.startsWith(idPrefix)) return undefined
  const open = tx.get(table, key) ?? []
  const others = open.filter(({ digest }) => idPrefix + digest !== id)
  if (others.length < open.length) {
    tx.put(table, key, others)
    return true
  }
  const known = tx.get('transactions', sha256Hex(by.transactionId))
  return known?.publicKeyDigest === by.publicKeyDigest && known.serialNumber === undefined
}

/** The same as long as the lab lives. */
function singlePassword(secret: Uint8Array, { PasswordLength = says(ndesFacts.singlePasswordBytes, {}) }: NdesRegistry): string {
  return hexOf(createHmac('sha512', secret).update('the single password of NDES').digest().subarray(0, PasswordLength))
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}
