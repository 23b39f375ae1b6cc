import type { Instant } from '../types.ts'
import { malformed, type Tlv } from './reader.ts'
import { Tag } from './tags.ts'

/** Any of the string types that names, attributes and challenges come in (RFC 5280 4.1.2.4; RFC 2985 5.4.1). */
export function readText(tlv: Tlv | undefined, what = 'string'): string {
  if (tlv === undefined) malformed(what, 'it is missing')
  const bytes = Buffer.from(tlv.value.buffer, tlv.value.byteOffset, tlv.value.length)
  switch (tlv.tag) {
    case Tag.Utf8String:
      return utf8(bytes, what)
    case Tag.PrintableString:
    case Tag.Ia5String:
    case Tag.NumericString:
      if (bytes.some((octet) => octet > 0x7f)) malformed(what, 'it has an octet outside ASCII')
      return bytes.toString('latin1')
    case Tag.TeletexString:
      return bytes.toString('latin1')
    case Tag.BmpString:
      if (bytes.length % 2 !== 0) malformed(what, 'a BMPString of odd length')
      return Buffer.from(bytes).swap16().toString('utf16le')
    case Tag.UniversalString:
      return utf32(bytes, what)
    default:
      return malformed(what, `tag 0x${tlv.tag.toString(16)} is no string`)
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function utf8(bytes: Uint8Array, what: string): string {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return malformed(what, 'it is not UTF-8')
  }
}

function utf32(bytes: Buffer, what: string): string {
  if (bytes.length % 4 !== 0) malformed(what, 'a UniversalString whose length is no multiple of 4')
  let text = ''
  for (let i = 0; i < bytes.length; i += 4) {
    const point = bytes.readUInt32BE(i)
    if (point > 0x10ffff) malformed(what, 'a code point beyond Unicode')
    text += String.fromCodePoint(point)
  }
  return text
}

/** RFC 5280 4.1.2.5: UTCTime or GeneralizedTime with seconds, in Zulu. */
export function readTime(tlv: Tlv | undefined, what = 'time'): Instant {
  if (tlv === undefined) malformed(what, 'it is missing')
  if (tlv.tag !== Tag.UtcTime && tlv.tag !== Tag.GeneralizedTime) malformed(what, `tag 0x${tlv.tag.toString(16)} is no time`)
  const { value } = tlv
  const isShort = tlv.tag === Tag.UtcTime
  const year = isShort ? century(pair(value, 0)) : pair(value, 0) * 100 + pair(value, 2)
  const start = isShort ? 2 : 4
  const [month, day, hour] = [pair(value, start), pair(value, start + 2), pair(value, start + 4)]
  const [minute, second] = [pair(value, start + 6), pair(value, start + 8)]
  const isWhole = value.length === start + 11 && value[start + 10] === zulu
  if (!isWhole || Number.isNaN(year + month + day + hour + minute + second)) malformed(what, 'it is not YYMMDDhhmmssZ or YYYYMMDDhhmmssZ')
  const instant = new Date(0).setUTCFullYear(year, month - 1, day) + ((hour * 60 + minute) * 60 + second) * 1000
  const back = new Date(instant)
  if (hour > 23 || minute > 59 || second > 59 || back.getUTCDate() !== day || back.getUTCMonth() !== month - 1)
    malformed(what, 'no such moment')
  return instant
}

const zulu = 0x5a

/** Two digits as a number; NaN where they are none. */
function pair(text: Uint8Array, offset: number): number {
  const tens = (text[offset] ?? 0) - 0x30
  const units = (text[offset + 1] ?? 0) - 0x30
  return tens >= 0 && tens <= 9 && units >= 0 && units <= 9 ? tens * 10 + units : Number.NaN
}

/** RFC 5280 4.1.2.5.1: 50-99 are 19xx, 00-49 are 20xx. */
function century(year: number): number {
  return year + (year >= 50 ? 1900 : 2000)
}
