import { AgentError } from '../errors.ts'
import { malformed } from './reader.ts'
import { Tag } from './tags.ts'
import { tlv } from './writer.ts'

/** What one message may ask of the normaliser. */
export const berLimits = {
  bytes: 8 * 1024 * 1024,
  depth: 64,
  values: 100_000,
  /** Octets written, each level's anew: eight levels around the largest message. */
  written: 64 * 1024 * 1024,
} as const

const constructedBit = 0x20

/** Types whose constructed form is segments to be joined (X.690 8.7.3, 8.23.6). */
const segmentedTypes: ReadonlySet<number> = new Set([
  Tag.OctetString,
  Tag.Utf8String,
  Tag.PrintableString,
  Tag.Ia5String,
  Tag.BmpString,
  Tag.UniversalString,
])

/**
 * One BER value with all its lengths definite and minimal and its universal strings in one piece, as the DER reader wants it:
 * Apple, jscep and NDES send BER. What is DER already comes back as the same bytes, not a copy; order and contents never change,
 * so that a signature over a part that was DER still verifies.
 * Bytes behind the value, or no BER: `ERR_DER_MALFORMED`; beyond {@link berLimits}: `ERR_LIMIT_EXCEEDED`.
 */
export function normaliseBer(bytes: Uint8Array, what = 'BER value'): Uint8Array {
  if (bytes.length > berLimits.bytes)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${what} of ${bytes.length} bytes, expected at most ${berLimits.bytes}`)
  if (endOfDer({ bytes, offset: 0, values: 0, written: 0, what }, bytes.length, 1) === bytes.length) return bytes
  const scan: Scan = { bytes, offset: 0, values: 0, written: 0, what }
  const value = normaliseValue(scan, bytes.length, 1)
  if (scan.offset !== bytes.length) malformed(what, `${bytes.length - scan.offset} bytes behind the value`)
  return value
}

interface Scan {
  readonly bytes: Uint8Array
  readonly what: string
  offset: number
  values: number
  written: number
}

/**
 * Where a value ends that needs nothing done to it, or -1. Nearly every message is such a value, and this reads it without
 * allocating; what is wrong with any other is for {@link normaliseValue} to say.
 */
function endOfDer(scan: Scan, limit: number, depth: number): number {
  const { bytes, offset: start } = scan
  const tag = bytes[start] as number
  let length = bytes[start + 1] as number
  let body = start + 2
  countValue(scan)
  if (depth > berLimits.depth || body > limit || (tag & 0x1f) === 0x1f || length === 0x80) return -1
  if (length > 0x80) {
    const octets = length & 0x7f
    if (octets > 4 || body + octets > limit || bytes[body] === 0) return -1
    length = 0
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[body++] as number)
    if (length < 0x80) return -1
  }
  const end = body + length
  if (end > limit || (tag & constructedBit) === 0) return end > limit ? -1 : end
  if (segmentedTypes.has(tag & ~constructedBit)) return -1
  for (scan.offset = body; scan.offset < end; ) {
    scan.offset = endOfDer(scan, end, depth + 1)
    if (scan.offset < 0) return -1
  }
  return end
}

function normaliseValue(scan: Scan, limit: number, depth: number): Uint8Array {
  const start = scan.offset
  const { tag, length, minimal } = readHeader(scan, limit, depth)
  const body = scan.offset
  if ((tag & constructedBit) === 0) {
    if (length === undefined) malformed(scan.what, 'a primitive value of indefinite length')
    scan.offset = body + length
    return minimal ? scan.bytes.subarray(start, scan.offset) : tlv(tag, scan.bytes.subarray(body, scan.offset))
  }
  const { parts, changed } = length === undefined ? untilEndOfContents(scan, limit, depth) : untilEnd(scan, body + length, depth)
  const isSegmented = segmentedTypes.has(tag & ~constructedBit)
  if (!isSegmented && !changed && minimal && length !== undefined) return scan.bytes.subarray(start, scan.offset)
  spendWriting(scan, scan.offset - body)
  return isSegmented ? joined(tag & ~constructedBit, parts, scan.what) : tlv(tag, ...parts)
}

function spendWriting(scan: Scan, octets: number): void {
  scan.written += octets
  if (scan.written > berLimits.written)
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${scan.what} has too many octets inside values that must be written anew`)
}

function countValue(scan: Scan): void {
  if (++scan.values <= berLimits.values) return
  throw new AgentError('ERR_LIMIT_EXCEEDED', `${scan.what} holds more than ${berLimits.values} values`)
}

/** `length` is undefined for the indefinite form. */
function readHeader(scan: Scan, limit: number, depth: number): { tag: number; length: number | undefined; minimal: boolean } {
  if (depth > berLimits.depth) throw new AgentError('ERR_LIMIT_EXCEEDED', `${scan.what} is nested deeper than ${berLimits.depth}`)
  countValue(scan)
  if (scan.offset + 2 > limit) malformed(scan.what, 'it ends in its header')
  const tag = scan.bytes[scan.offset++] as number
  if ((tag & 0x1f) === 0x1f) malformed(scan.what, 'high tag numbers are not used here')
  const first = scan.bytes[scan.offset++] as number
  if (first === 0x80) return { tag, length: undefined, minimal: false }
  const { length, minimal } = first < 0x80 ? { length: first, minimal: true } : readLength(scan, first & 0x7f, limit)
  if (scan.offset + length > limit) malformed(scan.what, `length ${length} runs past its end`)
  return { tag, length, minimal }
}

function readLength(scan: Scan, octets: number, limit: number): { length: number; minimal: boolean } {
  if (octets > 8 || scan.offset + octets > limit) malformed(scan.what, `a length of ${octets} octets`)
  const first = scan.bytes[scan.offset]
  let length = 0
  for (let i = 0; i < octets; i++) length = length * 256 + (scan.bytes[scan.offset++] as number)
  return { length, minimal: length >= 0x80 && first !== 0 }
}

function untilEnd(scan: Scan, end: number, depth: number): { parts: Uint8Array[]; changed: boolean } {
  const parts: Uint8Array[] = []
  let changed = false
  while (scan.offset < end) {
    const start = scan.offset
    const part = normaliseValue(scan, end, depth + 1)
    changed ||= part.buffer !== scan.bytes.buffer || part.byteOffset !== scan.bytes.byteOffset + start
    parts.push(part)
  }
  return { parts, changed }
}

function untilEndOfContents(scan: Scan, limit: number, depth: number): { parts: Uint8Array[]; changed: boolean } {
  const parts: Uint8Array[] = []
  while (scan.bytes[scan.offset] !== 0 || scan.bytes[scan.offset + 1] !== 0) parts.push(normaliseValue(scan, limit, depth + 1))
  scan.offset += 2
  if (scan.offset > limit) malformed(scan.what, 'it ends before its end-of-contents')
  return { parts, changed: true }
}

/** The segments have been normalised, so each is a primitive of the same type or it does not belong here. */
function joined(tag: number, segments: readonly Uint8Array[], what: string): Uint8Array {
  return tlv(
    tag,
    ...segments.map((segment) => {
      if (segment[0] !== tag) malformed(what, `a segment with tag 0x${(segment[0] as number).toString(16)} in a constructed string`)
      return segment.subarray(headerLength(segment))
    }),
  )
}

function headerLength(value: Uint8Array): number {
  const first = value[1] as number
  return first < 0x80 ? 2 : 2 + (first & 0x7f)
}
