import { createHash, createPublicKey, type KeyObject } from 'node:crypto'

/** Which keys the service made for whom: what a device imports must be one of them (I5). */
export interface ServiceKeys {
  /** `owner`: a device, or the user of an imported file. Returns the key. */
  note(owner: string, privateKey: KeyObject): KeyObject
  /** Whether a key, SubjectPublicKeyInfo, is among the last of these owners. */
  areOf(owners: readonly string[], publicKey: Uint8Array): boolean
}

/** Of one owner: older ones are delivered to nobody any more. */
const remembered = 8

export function serviceKeys(): ServiceKeys {
  const byOwner = new Map<string, readonly string[]>()
  return {
    note(owner, privateKey) {
      const digest = digestOf(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }))
      byOwner.set(owner, [digest, ...(byOwner.get(owner) ?? [])].slice(0, remembered))
      return privateKey
    },
    areOf: (owners, publicKey) => owners.some((owner) => byOwner.get(owner)?.includes(digestOf(publicKey)) ?? false),
  }
}

const digestOf = (spki: Uint8Array): string => createHash('sha256').update(spki).digest('base64')
