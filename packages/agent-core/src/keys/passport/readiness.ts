import type { KeyReadiness, KeyWish } from '../../ports.ts'
import type { Instant } from '../../types.ts'
import { describeSpec } from '../choice.ts'
import { isLockedOut, lockedOut, noPin } from './container.ts'
import { passportHashes, passportKeyBits } from './facts.ts'
import type { Owner } from './pin.ts'
import type { ContainerRecord } from './record.ts'

export const passportSpec = { algorithm: 'rsa', bits: passportKeyBits } as const

/** Why no such key is ever made here; undefined where it could be. */
export function refusalOf(wish: Pick<KeyWish, 'spec'> & Partial<KeyWish>, { user, containerName }: Owner): string | undefined {
  const { spec, hash, isExportable } = wish
  if (containerName === '') return `the Passport container of ${user} has no ContainerName, and a key there needs one`
  if (spec.algorithm !== 'rsa' || spec.bits !== passportKeyBits)
    return `Passport for Work makes no ${describeSpec(spec)} keys, RSA-2048 alone`
  if (isExportable) return `the Passport container of ${user} gives no key out again`
  if (hash !== undefined && !signsWith(hash)) return `a Passport key signs with ${passportHashes.join(', ')} alone, not with ${hash}`
  return undefined
}

export function signsWith(hash: KeyWish['hash']): boolean {
  return (passportHashes as readonly string[]).includes(hash)
}

/** Whether a key that could be made here can be made now. */
export function readinessOf(record: ContainerRecord, { multiFactor }: KeyWish, now: Instant): KeyReadiness {
  if (!record.secret) return { state: 'not-provisioned', message: noPin(record).message }
  if (multiFactor && !record.hasMultiFactor) return { state: 'multi-factor-missing', message: noProof(record) }
  if (isLockedOut(record, now)) return { state: 'locked-out', message: lockedOut(record).message }
  return { state: 'ready' }
}

const noProof = ({ user }: ContainerRecord): string => `${user} has to enrol the device with multi-factor authentication first`
