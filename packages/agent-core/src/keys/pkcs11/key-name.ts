import { createHash } from 'node:crypto'

/** How one key is found among everything that a token holds. */
export interface KeyName {
  readonly namespace: string
  readonly label: string
}

/** CKA_LABEL, for people: `certfleet/k1`. */
export function objectLabel({ namespace, label }: KeyName): string {
  return `${namespace}/${label}`
}

/**
 * CKA_ID: 20 octets, as every token can hold. An object is ours when both are right, so that somebody else's object that merely
 * looks like ours is never listed, used or destroyed.
 */
export function objectId({ namespace, label }: KeyName): Buffer {
  return createHash('sha256').update(`${namespace}\0${label}`).digest().subarray(0, 20)
}

/** The label of one of our objects; undefined for any other object. */
export function labelOf(namespace: string, found: { readonly objectLabel: string; readonly objectId: Uint8Array }): string | undefined {
  const label = found.objectLabel.slice(namespace.length + 1)
  const own = { namespace, label }
  return objectLabel(own) === found.objectLabel && objectId(own).equals(found.objectId) ? label : undefined
}
