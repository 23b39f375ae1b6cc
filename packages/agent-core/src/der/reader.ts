import { AgentError } from '../errors.ts'
import { Tag } from './tags.ts'

/** One value: its identifier octet, its contents, and both with the length as they stood in the input. Views, not copies. */
export interface Tlv {
  readonly tag: number
  readonly value: Uint8Array
  readonly raw: Uint8Array
}

/** No certificate, CMS or policy value that certfleet reads comes near it. */
const maxChildren = 10_000
const maxOidBytes = 128

/** Ends a parse. `what` names the value, so that a person can find it. */
export function malformed(what: string, problem: string): never {
  throw new AgentError('ERR_DER_MALFORMED', `malformed ${what}: ${problem}`)
}

/** Reads exactly one DER value; bytes behind it are an error. */
export function readDer(bytes: Uint8Array, what = 'DER value'): Tlv {
  const tlv = readAt(bytes, 0, what)
  if (tlv.raw.length !== bytes.length) malformed(what, `${bytes.length - tlv.raw.length} bytes behind the value`)
  return tlv
}

/** The values inside a constructed value's contents, in order; at most `limit`, default 10,000. */
export function readChildren(contents: Uint8Array, what = 'DER value', limit: number = maxChildren): Tlv[] {
  const children: Tlv[] = []
  for (let offset = 0; offset < contents.length; ) {
    if (children.length === limit) malformed(what, `more than ${limit} values`)
    const child = readAt(contents, offset, what)
    children.push(child)
    offset += child.raw.length
  }
  return children
}

/** The children of a SEQUENCE given whole. */
export function readSequence(bytes: Uint8Array, what: string): Tlv[] {
  return readChildren(expectTag(readDer(bytes, what), Tag.Sequence, what).value, what)
}

/** `tlv`, if it is there and has that tag. */
export function expectTag(tlv: Tlv | undefined, tag: number, what: string): Tlv {
  if (tlv === undefined) malformed(what, 'it is missing')
  if (tlv.tag !== tag) malformed(what, `tag ${hex(tlv.tag)} where ${hex(tag)} was expected`)
  return tlv
}

function readAt(bytes: Uint8Array, start: number, what: string): Tlv {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined) malformed(what, 'it ends in its header')
  if ((tag & 0x1f) === 0x1f) malformed(what, 'high tag numbers are not used here')
  let length = first
  let offset = start + 2
  if (first >= 0x80) {
    ;({ length, offset } = readLongLength(bytes, offset, first & 0x7f, what))
  }
  const end = offset + length
  if (end > bytes.length) malformed(what, `length ${length} runs past its end`)
  return { tag, value: bytes.subarray(offset, end), raw: bytes.subarray(start, end) }
}

/** X.690 10.1: definite form, in the fewest octets. */
function readLongLength(bytes: Uint8Array, start: number, octets: number, what: string): { length: number; offset: number } {
  if (octets === 0) malformed(what, 'indefinite length is BER, not DER')
  if (octets > 4) malformed(what, `a length of ${octets} octets`)
  let length = 0
  for (let i = 0; i < octets; i++) {
    const octet = bytes[start + i]
    if (octet === undefined) malformed(what, 'it ends in its length')
    length = length * 256 + octet
  }
  if (length < 0x80 || bytes[start] === 0) malformed(what, 'length is not in its shortest form')
  return { length, offset: start + octets }
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}

/** X.690 8.19; arcs of any size, so that 2^32+k is never taken for k. */
export function readOid(tlv: Tlv | undefined, what = 'OID'): string {
  return decodeOid(expectTag(tlv, Tag.Oid, what).value, what)
}

export function decodeOid(value: Uint8Array, what = 'OID'): string {
  if (value.length === 0 || value.length > maxOidBytes) malformed(what, `${value.length} octets`)
  if ((value[value.length - 1] as number) & 0x80) malformed(what, 'it ends inside an arc')
  let text = ''
  for (let i = 0, start = 0; i < value.length; i++) {
    if ((value[i] as number) & 0x80) continue
    const arc = readArc(value, start, i, what)
    text += start > 0 ? `.${arc}` : arc < 80 ? `${arc < 40 ? 0 : 1}.${Number(arc) % 40}` : `2.${BigInt(arc) - 80n}`
    start = i + 1
  }
  return text
}

/** Seven octets hold 49 bits, which a number holds exactly; a longer arc must not wrap. */
function readArc(octets: Uint8Array, start: number, last: number, what: string): number | bigint {
  if (octets[start] === 0x80) malformed(what, 'an arc is padded')
  if (last - start >= 7) return octets.subarray(start, last + 1).reduce((arc, octet) => (arc << 7n) | BigInt(octet & 0x7f), 0n)
  let arc = 0
  for (let i = start; i <= last; i++) arc = arc * 128 + ((octets[i] as number) & 0x7f)
  return arc
}

/** X.690 8.3: two's complement in the fewest octets. */
export function readInteger(tlv: Tlv | undefined, what = 'INTEGER'): bigint {
  const value = integerBytes(tlv, what)
  return BigInt.asIntN(value.length * 8, BigInt(`0x${Buffer.from(value).toString('hex')}`))
}

/** An INTEGER that must be a count or a version: 0 to 2^31-1. */
export function readCount(tlv: Tlv | undefined, what: string): number {
  const value = integerBytes(tlv, what)
  if (value.length > 4 || (value[0] as number) & 0x80) malformed(what, 'it is not between 0 and 2147483647')
  return value.reduce((total, octet) => total * 256 + octet, 0)
}

/** The contents of an INTEGER, checked to be minimal. */
export function integerBytes(tlv: Tlv | undefined, what = 'INTEGER'): Uint8Array {
  const { value } = expectTag(tlv, Tag.Integer, what)
  const [first, second] = value
  if (first === undefined) malformed(what, 'it is empty')
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) malformed(what, 'it is padded')
  return value
}

/** X.690 11.1: FALSE is 0x00, TRUE is 0xff. */
export function readBoolean(tlv: Tlv | undefined, what = 'BOOLEAN'): boolean {
  const { value } = expectTag(tlv, Tag.Boolean, what)
  if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) malformed(what, 'it is neither 00 nor ff')
  return value[0] === 0xff
}

export interface BitString {
  readonly unusedBits: number
  readonly bytes: Uint8Array
}

/** X.690 11.2.1: unused bits are zero. */
export function readBitString(tlv: Tlv | undefined, what = 'BIT STRING', tag: number = Tag.BitString): BitString {
  const { value } = expectTag(tlv, tag, what)
  const unusedBits = value[0]
  if (unusedBits === undefined || unusedBits > 7 || (unusedBits > 0 && value.length === 1))
    malformed(what, 'its count of unused bits is wrong')
  if (unusedBits > 0 && (value[value.length - 1] as number) & ((1 << unusedBits) - 1)) malformed(what, 'its unused bits are set')
  return { unusedBits, bytes: value.subarray(1) }
}

export function readOctetString(tlv: Tlv | undefined, what = 'OCTET STRING'): Uint8Array {
  return expectTag(tlv, Tag.OctetString, what).value
}
