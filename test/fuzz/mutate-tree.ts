import { isOid, oid, Tag, tlv } from '@certfleet/agent-core/der'
import { mutateBytes } from './mutate-bytes.ts'
import type { Random } from './random.ts'
import { type Edit, encodeTree, type Node, readTree } from './tree.ts'

type MakeEdit = (random: Random, donors: readonly Node[]) => Edit

/** What one edit may add. */
const maxAddedBytes = 16_384

const trees = new WeakMap<Uint8Array, readonly Node[]>()

/**
 * One to four changes to values of the message, any of which may come from `donor`, with all lengths around them put right.
 * What is no BER is changed octet by octet.
 */
export function mutateTree(bytes: Uint8Array, donor: Uint8Array, random: Random): Uint8Array {
  const nodes = treeOf(bytes)
  const [root] = nodes
  if (!root) return mutateBytes(bytes, random)
  const edits = new Map<Node, Edit>()
  const donors = random.oneIn(2) ? nodes : treeOf(donor)
  for (let left = random.skewed(4); left > 0; left--) {
    const node = random.oneIn(20) ? root : random.pick(nodes)
    edits.set(node, editFor(node, random)(random, donors))
  }
  return encodeTree(root, edits)
}

function treeOf(bytes: Uint8Array): readonly Node[] {
  const known = trees.get(bytes) ?? readTree(bytes) ?? []
  trees.set(bytes, known)
  return known
}

function editFor(node: Node, random: Random): MakeEdit {
  const own = ownEdits.get(node.tag)
  if (own && !random.oneIn(3)) return random.pick(own)
  return random.pick(node.children && node.children.length > 0 ? [...anyEdits, ...constructedEdits] : anyEdits)
}

const header = (tag: number, length: readonly number[]): Uint8Array => Uint8Array.of(tag, ...length)
const universalTags = Object.values(Tag)

const anyEdits: readonly MakeEdit[] = [
  () => () => [],
  (random) => (node, inner) => repeated(tlv(node.tag, inner), random.oneIn(6) ? random.skewed(400) : 2),
  (random) => (node, inner) => [tlv(node.tag ^ (1 << random.below(8)), inner)],
  (random) => (_, inner) => [tlv(random.pick(universalTags), inner)],
  (random) => (_, inner) => [tlv(0x80 | random.below(64), inner)],
  (random, donors) => () => [donors.length > 0 ? random.pick(donors).raw : new Uint8Array()],
  (random, donors) => (node, inner) => [tlv(node.tag, inner), donors.length > 0 ? random.pick(donors).raw : new Uint8Array()],
  () => (node) => [tlv(node.tag)],
  (random) => (node, inner) => [tlv(node.tag, mutateBytes(inner, random))],
  (random) => (node, inner) => [nested(tlv(node.tag, inner), random)],
  // Lengths that are not in their shortest form, that lie, or that are not there.
  (random) => (node, inner) => [header(node.tag, [0x84, ...be32(inner.length)]), inner, ...(random.oneIn(4) ? [Uint8Array.of(0)] : [])],
  (random) => (node, inner) => [header(node.tag, [0x84, ...be32(random.pick([0, inner.length + 1, 2 ** 31, 2 ** 32 - 1]))]), inner],
  () => (node, inner) => [header(node.tag | 0x20, [0x80]), inner, Uint8Array.of(0, 0)],
]

const constructedEdits: readonly MakeEdit[] = [
  () => indefinite,
  (random) => (node) => [tlv(node.tag, node.prefix, ...shuffled(rawsOf(node), random))],
  (random) => (node) => {
    const raws = rawsOf(node)
    const at = random.below(raws.length)
    return [tlv(node.tag, node.prefix, ...raws.slice(0, at), raws[at] as Uint8Array, ...raws.slice(at))]
  },
  (random) => (node) => [tlv(node.tag, node.prefix, ...rawsOf(node).slice(0, random.below(node.children?.length ?? 1)))],
]

const ownEdits: ReadonlyMap<number, readonly MakeEdit[]> = new Map<number, readonly MakeEdit[]>([
  [
    Tag.Integer,
    [
      (random) => () => [tlv(Tag.Integer, oddInteger(random))],
      (random) => (_, inner) => [tlv(Tag.Integer, Uint8Array.of(random.oneIn(2) ? 0 : 0xff), inner)],
    ],
  ],
  [
    Tag.Oid,
    [
      (random) => () => [oid(random.pick(knownOids))],
      (random) => (_, inner) => [tlv(Tag.Oid, inner, Uint8Array.of(random.below(256)))],
      (random) => () => [tlv(Tag.Oid, random.bytes(random.skewed(200)))],
      (random) => () => [tlv(Tag.Oid, Uint8Array.of(0x2a), new Uint8Array(random.skewed(300)).fill(0xff), Uint8Array.of(1))],
    ],
  ],
  [Tag.UtcTime, [(random) => () => [oddTime(random)]]],
  [Tag.GeneralizedTime, [(random) => () => [oddTime(random)]]],
  [Tag.Boolean, [(random) => () => [tlv(Tag.Boolean, Uint8Array.of(random.pick([0, 1, 0x7f, 0xff])))]]],
  [Tag.BitString, [(random) => (_, inner) => [tlv(Tag.BitString, Uint8Array.of(random.below(10)), inner.subarray(1))]]],
  [Tag.OctetString, [(random) => (_, inner) => [segmented(Tag.OctetString, inner, random)]]],
  ...[Tag.Utf8String, Tag.PrintableString, Tag.Ia5String, Tag.BmpString].map((tag): [number, readonly MakeEdit[]] => [
    tag,
    [
      (random) => () => [tlv(random.oneIn(2) ? tag : random.pick(stringTags), oddText(random))],
      (random) => (_, inner) => [segmented(tag, inner, random)],
    ],
  ]),
])

const stringTags = [
  Tag.Utf8String,
  Tag.PrintableString,
  Tag.Ia5String,
  Tag.BmpString,
  Tag.TeletexString,
  Tag.UniversalString,
  Tag.NumericString,
]

const knownOids: readonly string[] = [
  '1.2.840.113549.1.1.1',
  '1.2.840.113549.1.1.5',
  '1.2.840.113549.1.1.7',
  '1.2.840.113549.1.1.10',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.7.1',
  '1.2.840.113549.1.7.2',
  '1.2.840.113549.1.9.3',
  '1.2.840.113549.1.9.4',
  '1.2.840.113549.1.9.7',
  '1.2.840.113549.1.9.14',
  '1.2.840.113549.3.7',
  '1.2.840.10045.2.1',
  '1.3.101.112',
  '1.3.14.3.2.7',
  '1.3.14.3.2.26',
  '2.16.840.1.101.3.4.1.42',
  '2.16.840.1.101.3.4.2.1',
  '2.16.840.1.101.3.4.2.3',
  '2.16.840.1.113733.1.9.2',
  '2.16.840.1.113733.1.9.3',
  '2.16.840.1.113733.1.9.6',
  '2.5.29.15',
  '2.5.29.17',
  '2.5.29.19',
  '2.5.29.30',
  '2.5.29.35',
  '2.5.29.37',
  '2.5.4.3',
].filter(isOid)

function repeated(value: Uint8Array, times: number): Uint8Array[] {
  return Array.from({ length: Math.max(1, Math.min(times, Math.floor(maxAddedBytes / value.length))) }, () => value)
}

function nested(value: Uint8Array, random: Random): Uint8Array {
  let wrapped = value
  for (let left = random.skewed(200); left > 0; left--) wrapped = tlv(random.pick([0x30, 0x30, 0x31, 0xa0, 0x04]), wrapped)
  return wrapped
}

/** The value and every constructed one in it with indefinite lengths. */
const indefinite: Edit = (node) => {
  if (!node.children || (node.tag & 0x20) === 0) return [node.raw]
  const inner = node.children.flatMap((child) => indefinite(child, child.value))
  return [header(node.tag, [0x80]), ...inner, Uint8Array.of(0, 0)]
}

/** BER's constructed strings. */
function segmented(tag: number, value: Uint8Array, random: Random): Uint8Array {
  const at = random.below(value.length + 1)
  const segments = [tlv(tag, value.subarray(0, at)), tlv(random.oneIn(4) ? tag ^ 1 : tag, value.subarray(at))]
  return tlv(tag | 0x20, ...segments)
}

function rawsOf(node: Node): Uint8Array[] {
  return (node.children ?? []).map(({ raw }) => raw)
}

function shuffled<T>(list: T[], random: Random): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    ;[list[i], list[j]] = [list[j] as T, list[i] as T]
  }
  return list
}

function be32(value: number): readonly number[] {
  return [value >>> 24, value >>> 16, value >>> 8, value].map((octet) => octet & 0xff)
}

function oddInteger(random: Random): Uint8Array {
  const fixed = [[], [0], [1], [0xff], [0x7f, 0xff, 0xff, 0xff], [0, 0x80, 0, 0, 0], [0x80, 0, 0, 0], [0, 0]]
  return random.oneIn(4) ? random.bytes(random.skewed(2000)) : Uint8Array.from(random.pick(fixed))
}

const times = [
  '000000000000Z',
  '991231235959Z',
  '500101000000Z',
  '260230000000Z',
  '2601010000Z',
  '260101000000+0100',
  '99991231235959Z',
  '00000101000000Z',
  '20260101000060Z',
  '20260101000000.5Z',
  'Z',
  '-10101000000Z',
  '٢٦٠١٠١٠٠٠٠٠٠Z',
]

function oddTime(random: Random): Uint8Array {
  return tlv(random.pick([Tag.UtcTime, Tag.GeneralizedTime]), Buffer.from(random.pick(times)))
}

const texts = [
  '',
  '\0',
  'a\0b',
  '__proto__',
  '*.example.com',
  '.',
  'a'.repeat(300),
  'x'.repeat(9000),
  '\u202e',
  'İ',
  '\ud800',
  '192.168.0.1',
  'http://[::1',
  'a@b@c',
  ' '.repeat(2000),
]

function oddText(random: Random): Uint8Array {
  return random.oneIn(3) ? random.bytes(random.skewed(64)) : Buffer.from(random.pick(texts), random.oneIn(3) ? 'utf16le' : 'utf8')
}
