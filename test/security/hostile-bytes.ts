import { randomBytes } from 'node:crypto'
import { CmsOid } from '@certfleet/agent-core/cms'
import {
  constructed,
  explicit,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
  setOf,
  Tag,
  tlv,
  utf8String,
} from '@certfleet/agent-core/der'
import { NameOid } from '@certfleet/agent-core/pki'

const repeat = (unit: Uint8Array, count: number): Uint8Array => Buffer.concat(Array.from({ length: count }, () => unit))

/** `depth` values of that tag, each in the other. */
function nested(tag: number, depth: number, inner: Uint8Array = nullValue): Uint8Array {
  const headers: Uint8Array[] = []
  let length = inner.length
  for (let i = 0; i < depth; i++) {
    const header = headerOf(tag, length)
    headers.unshift(header)
    length += header.length
  }
  return Buffer.concat([...headers, inner])
}

function headerOf(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(tag, length)
  const octets = Math.ceil((32 - Math.clz32(length)) / 8)
  return Uint8Array.of(tag, 0x80 | octets, ...Array.from({ length: octets }, (_, i) => (length >>> (8 * (octets - 1 - i))) & 0xff))
}

const rdn = tlv(Tag.Set, sequence(oid(NameOid.CN), utf8String('a')))
const indefinite = (depth: number) => Buffer.concat([repeat(Uint8Array.of(0x30, 0x80), depth), new Uint8Array(2 * depth)])
const segments = Buffer.concat([Uint8Array.of(0x24, 0x80), repeat(octetString(Uint8Array.of(1)), 90_000), new Uint8Array(2)])

/** Values that cost a careless parser memory, stack or time. */
const pieces: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['nothing', new Uint8Array()],
  ['one octet', Uint8Array.of(0x30)],
  ['64 KiB of noise', randomBytes(65_536)],
  ['zeros', new Uint8Array(1 << 20)],
  ['1 MiB of 0x30', new Uint8Array(1 << 20).fill(0x30)],
  ['1 MiB of 0xff', new Uint8Array(1 << 20).fill(0xff)],
  ['a length of 2^32-1', Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff)],
  ['a length of 2^1008', Uint8Array.of(0x30, 0xfe, ...new Uint8Array(126).fill(0xff))],
  ['1,000 deep', nested(Tag.Sequence, 1_000)],
  ['20,000 deep', nested(Tag.Sequence, 20_000)],
  ['[0] 20,000 deep', nested(constructed(0), 20_000)],
  ['50,000 deep without lengths', indefinite(50_000)],
  ['63 deep without lengths', indefinite(63)],
  ['10,000 values', sequence(repeat(nullValue, 10_000))],
  ['10,001 values', sequence(repeat(nullValue, 10_001))],
  ['1,000,000 values', sequence(repeat(nullValue, 1_000_000))],
  ['an OID of 1 MiB', sequence(tlv(Tag.Oid, new Uint8Array(1 << 20).fill(0x81)))],
  ['9,999 OIDs of 128 octets', sequence(repeat(tlv(Tag.Oid, Buffer.concat([new Uint8Array(127).fill(0xff), Uint8Array.of(1)])), 9_999))],
  ['an INTEGER of 1 MiB', sequence(integer(new Uint8Array(1 << 20).fill(0x7f)))],
  ['90,000 segments of one octet', segments],
  ['segments 60 deep', nested(0x24, 60, octetString(new Uint8Array(1 << 16)))],
  ['8 MiB in one string', octetString(new Uint8Array((8 << 20) - 5))],
  ['16 MiB', new Uint8Array(16 << 20)],
  ['a name of 10,000 RDNs', sequence(repeat(rdn, 10_000))],
  [
    'a name of 1,000 attributes in one RDN',
    sequence(setOf(Array.from({ length: 1_000 }, () => sequence(oid(NameOid.CN), utf8String('a'))))),
  ],
]

const contentInfo = (type: string, content: Uint8Array) => sequence(oid(type), explicit(0, content))

/** Each piece by itself, and where a parser comes to it once the outside was right. */
export const hostileBytes: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ...pieces,
  ...pieces.filter(([, { length }]) => length <= 1 << 20).flatMap(([name, piece]) => wrapped(name, piece)),
]

function wrapped(name: string, piece: Uint8Array): (readonly [name: string, bytes: Uint8Array])[] {
  return [
    [`${name}, as SignedData`, contentInfo(CmsOid.SignedData, piece)],
    [
      `${name}, as the certificates of SignedData`,
      contentInfo(
        CmsOid.SignedData,
        sequence(integer(1), tlv(Tag.Set), sequence(oid(CmsOid.Data)), tlv(constructed(0), piece), tlv(Tag.Set)),
      ),
    ],
    [
      `${name}, as a signer`,
      contentInfo(CmsOid.SignedData, sequence(integer(1), tlv(Tag.Set), sequence(oid(CmsOid.Data)), tlv(Tag.Set, piece))),
    ],
    [
      `${name}, as a recipient`,
      contentInfo(
        CmsOid.EnvelopedData,
        sequence(
          integer(0),
          tlv(Tag.Set, piece),
          sequence(
            oid(CmsOid.Data),
            sequence(oid('2.16.840.1.101.3.4.1.2'), octetString(new Uint8Array(16))),
            tlv(0x80, new Uint8Array(16)),
          ),
        ),
      ),
    ],
    [`${name}, in three parts`, sequence(piece, piece, tlv(Tag.BitString, Uint8Array.of(0)))],
    [
      `${name}, as the body of a certificate`,
      sequence(sequence(explicit(0, integer(2)), integer(1), piece), sequence(), tlv(Tag.BitString)),
    ],
    [
      `${name}, as the name in a request`,
      sequence(sequence(integer(0), piece, sequence(), tlv(constructed(0), piece)), sequence(), tlv(Tag.BitString)),
    ],
  ]
}

/** Text that costs a careless parser time. */
export const hostileTexts: readonly (readonly [name: string, text: string])[] = [
  ['nothing', ''],
  ['1 MiB of commas', ','.repeat(1 << 20)],
  ['1 MiB of quotes', '"'.repeat(1 << 20)],
  ['1 MiB of backslashes', '\\'.repeat(1 << 20)],
  ['4,000 spaces and no end', `CN="${' '.repeat(4_000)}`],
  ['200,000 RDNs', 'CN=a,'.repeat(200_000)],
  ['4,096 equals signs', '='.repeat(4_096)],
  ['1 MiB of [', '['.repeat(1 << 20)],
  ['1 MiB of {"a":', '{"a":'.repeat(200_000)],
  ['1,000,000 numbers', `[${'1,'.repeat(1_000_000)}1]`],
  ['an object that names a prototype', '{"__proto__":{"x":1},"constructor":{"prototype":{}}}'],
  ['1 MiB of lines', '\r\n'.repeat(1 << 19)],
]
