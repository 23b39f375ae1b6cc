import type { Instant } from '../types.ts'
import { constructed, Tag } from './tags.ts'

/** One value of any tag over the concatenation of `contents`. */
export function tlv(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of contents) length += part.length
  const octets = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4
  const bytes = new Uint8Array(2 + octets + length)
  bytes[0] = tag
  bytes[1] = octets === 0 ? length : 0x80 | octets
  for (let i = 0; i < octets; i++) bytes[2 + i] = length >>> (8 * (octets - 1 - i))
  let offset = 2 + octets
  for (const part of contents) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

export const sequence = (...contents: readonly Uint8Array[]): Uint8Array => tlv(Tag.Sequence, ...contents)

/** `[n]` EXPLICIT, or IMPLICIT over a constructed type when given its contents. */
export const explicit = (n: number, ...contents: readonly Uint8Array[]): Uint8Array => tlv(constructed(n), ...contents)

/** X.690 11.6: a SET OF is written in ascending order of its encodings. */
export function setOf(elements: readonly Uint8Array[], tag: number = Tag.Set): Uint8Array {
  return tlv(tag, ...[...elements].sort(Buffer.compare))
}

/** A number, a bigint, or an unsigned big-endian magnitude. */
export function integer(value: number | bigint | Uint8Array): Uint8Array {
  return tlv(Tag.Integer, typeof value === 'object' ? unsigned(value) : twosComplement(BigInt(value)))
}

function unsigned(magnitude: Uint8Array): Uint8Array {
  let start = 0
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++
  const digits = magnitude.subarray(start)
  if (digits.length === 0) return Uint8Array.of(0)
  return (digits[0] as number) & 0x80 ? Uint8Array.of(0, ...digits) : digits
}

function twosComplement(value: bigint): Uint8Array {
  let octets = 1
  while (BigInt.asIntN(octets * 8, value) !== value) octets++
  const hex = BigInt.asUintN(octets * 8, value)
    .toString(16)
    .padStart(octets * 2, '0')
  return Buffer.from(hex, 'hex')
}

const oidCache = new Map<string, Uint8Array>()

/** A dotted OID. Throws TypeError for text that is none: OIDs from outside are checked where they enter. */
export function oid(dotted: string): Uint8Array {
  const known = oidCache.get(dotted)
  if (known) return known
  const encoded = tlv(Tag.Oid, encodeArcs(dotted))
  if (oidCache.size < 1000) oidCache.set(dotted, encoded)
  return encoded
}

export function isOid(text: string): boolean {
  return /^(?:[01]\.(?:[0-9]|[1-3][0-9])|2\.(?:0|[1-9][0-9]*))(?:\.(?:0|[1-9][0-9]*))*$/.test(text) && text.length <= 200
}

function encodeArcs(dotted: string): Uint8Array {
  if (!isOid(dotted)) throw new TypeError(`"${dotted}" is not a dotted OID`)
  const [root, second, ...rest] = dotted.split('.').map(BigInt) as [bigint, bigint, ...bigint[]]
  return Uint8Array.from([root * 40n + second, ...rest].flatMap(base128))
}

function base128(arc: bigint): number[] {
  const octets = [Number(arc & 0x7fn)]
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) octets.unshift(Number(rest & 0x7fn) | 0x80)
  return octets
}

export const octetString = (bytes: Uint8Array): Uint8Array => tlv(Tag.OctetString, bytes)
export const bitString = (bytes: Uint8Array, unusedBits = 0): Uint8Array => tlv(Tag.BitString, Uint8Array.of(unusedBits), bytes)
export const boolean = (value: boolean): Uint8Array => tlv(Tag.Boolean, Uint8Array.of(value ? 0xff : 0))
export const nullValue: Uint8Array = Uint8Array.of(Tag.Null, 0)
export const utf8String = (text: string): Uint8Array => tlv(Tag.Utf8String, Buffer.from(text, 'utf8'))
export const printableString = (text: string): Uint8Array => tlv(Tag.PrintableString, Buffer.from(text, 'latin1'))
export const ia5String = (text: string): Uint8Array => tlv(Tag.Ia5String, Buffer.from(text, 'latin1'))

/** X.680 41.4: the characters that a PrintableString can hold. */
export function isPrintable(text: string): boolean {
  return /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)
}

/** RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on; whole seconds, UTC. */
export function time(instant: Instant): Uint8Array {
  const digits = new Date(instant).toISOString().replace(/[-:T]|\.\d+/g, '')
  const year = Number(digits.slice(0, 4))
  if (year >= 1950 && year < 2050) return tlv(Tag.UtcTime, Buffer.from(digits.slice(2), 'latin1'))
  return tlv(Tag.GeneralizedTime, Buffer.from(digits, 'latin1'))
}
