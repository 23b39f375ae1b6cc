import { createHash } from 'node:crypto'
import { AgentError, type HashName, type Validity } from '@certfleet/agent-core'
import { isOid } from '@certfleet/agent-core/der'

/** A whole number as nodes hold it. Anything else: `ERR_PROFILE_INVALID`. */
export function wholeNumber(text: string, what: string): number {
  const digits = text.trim()
  return /^\d{1,9}$/.test(digits) ? Number(digits) : refuseValue(what, 'a whole number')
}

/** `true` or `false`, in any case. */
export function truth(text: string, what: string): boolean {
  const word = text.trim().toLowerCase()
  return word === 'true' || (word !== 'false' && refuseValue(what, 'true or false'))
}

/** Strict base64 without line breaks, of one byte at least. */
export function base64Bytes(text: string, what: string): Uint8Array {
  const digits = text.trim()
  const isBase64 = digits !== '' && digits.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(digits)
  return isBase64 ? new Uint8Array(Buffer.from(digits, 'base64')) : refuseValue(what, 'base64 without line breaks')
}

export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Lower-case hex. */
export function sha1Of(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex')
}

/** Hex of any case as lower-case hex. */
export function hexOf(text: string, byteCount: number, what: string): string {
  const digits = text.trim().toLowerCase()
  const isHex = /^[0-9a-f]*$/.test(digits) && digits.length === 2 * byteCount
  return isHex ? digits : refuseValue(what, `${byteCount} bytes in hex`)
}

export function oidOf(text: string, what: string): string {
  const oid = text.trim()
  return isOid(oid) ? oid : refuseValue(what, 'dotted OIDs')
}

/** By the name of a hash in a form: `SHA-1`. */
export type HashNames = Readonly<Record<string, HashName>>

/** How a form writes a hash. A size that it has no name for is written as its family. */
export function hashNameIn(names: HashNames, hash: HashName): string {
  const named = Object.entries(names).find(([, candidate]) => candidate === hash) ?? Object.entries(names).at(-1)
  return named?.[0] ?? hash
}

/** The hash that a form's name stands for, whatever its case. */
export function namedHash(names: HashNames, name: string): HashName | undefined {
  return Object.entries(names).find(([candidate]) => candidate.toLowerCase() === name.trim().toLowerCase())?.[1]
}

export function scaleOf(unit: string, what: string): Validity['scale'] {
  const scale = unit.trim().toLowerCase()
  return scale === 'days' || scale === 'months' || scale === 'years' ? scale : refuseValue(what, 'Days, Months or Years')
}

function refuseValue(what: string, expected: string): never {
  throw new AgentError('ERR_PROFILE_INVALID', `${what} is refused: expected ${expected}`)
}
