import { createPrivateKey, type KeyObject } from 'node:crypto'
import type { Principal, ProfileStatus } from '@certfleet/agent-core'
import { transactionKey } from '../issuance.ts'
import type { MakeRsaKey } from '../rsa-keys.ts'
import type { LabStore, LabTransaction } from '../store.ts'
import type { OpenDelivery } from './records.ts'

/** What one attempt of a device is to get. */
export interface Delivery {
  readonly deviceId: string
  readonly profileId: string
  readonly principal: Principal
  readonly attemptId: string
  /** Of its RSA key. */
  readonly keyBits: number
  readonly transactionId: string
}

/**
 * The key of an attempt, made at its first request, and kept so that a device that asks again after a crash gets the same. The next attempt
 * for the profile takes its place. `over`: it was given up.
 */
export async function keyFor(delivery: Delivery, store: LabStore, makeKey: MakeRsaKey): Promise<KeyObject | 'over'> {
  const known = knownKey(delivery, store)
  if (known !== undefined) return opened(known)
  const pkcs8 = (await makeKey(delivery.keyBits, delivery.deviceId)).export({ format: 'der', type: 'pkcs8' })
  return opened(await store.transaction((tx) => knownKey(delivery, tx) ?? enter(delivery, pkcs8, tx)))
}

function knownKey({ deviceId, transactionId, ...wanted }: Delivery, { get }: Pick<LabTransaction, 'get'>): Uint8Array | 'over' | undefined {
  const open = (get('connectorKeys', deviceId) ?? []).find((other) => isSameProfile(other, wanted) && other.attemptId === wanted.attemptId)
  return open?.privateKey ?? (get('transactions', transactionKey(transactionId)) === undefined ? undefined : 'over')
}

function enter({ deviceId, profileId, principal, attemptId }: Delivery, privateKey: Uint8Array, tx: LabTransaction): Uint8Array {
  const fresh: OpenDelivery = { profileId, principal, attemptId, privateKey }
  const others = (tx.get('connectorKeys', deviceId) ?? []).filter((other) => !isSameProfile(other, fresh))
  tx.put('connectorKeys', deviceId, [...others, fresh])
  return privateKey
}

type Place = Pick<OpenDelivery, 'profileId' | 'principal'>
const isSameProfile = (a: Place, b: Place): boolean => a.profileId === b.profileId && a.principal === b.principal

function opened(key: Uint8Array | 'over'): KeyObject | 'over' {
  return key === 'over' ? key : createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' })
}

/** Gives up the keys of what the device's last report says is installed, and of profiles that are not among those that it has. */
export async function giveUpKeys(deviceId: string, profilesNow: () => readonly Place[], store: LabStore): Promise<void> {
  if (store.get('connectorKeys', deviceId) === undefined) return
  const profiles = profilesNow()
  const installed = (store.get('reports', deviceId)?.report.profiles ?? []).filter(({ state }) => state === 'installed')
  const isWanted = (open: OpenDelivery, tx: LabTransaction) =>
    profiles.some((profile) => isSameProfile(profile, open)) && !installed.some((status) => isOf(status, open, tx))
  await store.transaction((tx) => {
    const left = (tx.get('connectorKeys', deviceId) ?? []).filter((open) => isWanted(open, tx))
    if (left.length > 0) tx.put('connectorKeys', deviceId, left)
    else tx.remove('connectorKeys', deviceId)
  })
}

/** A device wrote the report: it gives up nothing but its own, and only what was issued by that very attempt. */
function isOf({ profileId, principal, serialNumber }: ProfileStatus, open: OpenDelivery, tx: LabTransaction): boolean {
  if (typeof serialNumber !== 'string' || !isSameProfile({ profileId, principal }, open)) return false
  return tx.get('issued', serialNumber)?.attemptId === open.attemptId
}
