import { tlv } from '@certfleet/agent-core/der'

/** A BER value with its place in the message, read with no regard for what it means. */
export interface Node {
  readonly tag: number
  readonly raw: Uint8Array
  /** Contents octets of a primitive value. */
  readonly value: Uint8Array
  readonly parent: Node | undefined
  /** Of a constructed value, or of an OCTET STRING or BIT STRING that holds DER. */
  readonly children: readonly Node[] | undefined
  /** What stands before the children: the count of unused bits. */
  readonly prefix: Uint8Array
}

const maxDepth = 40
const none = new Uint8Array()

/** Every value of a message, the outermost first; undefined when it is no BER. */
export function readTree(bytes: Uint8Array): readonly Node[] | undefined {
  const nodes: Node[] = []
  const end = readNode(bytes, 0, bytes.length, undefined, nodes, 0)
  return end === bytes.length ? nodes : undefined
}

/** Where the value that starts at `start` ends; -1 when there is none. */
function readNode(bytes: Uint8Array, start: number, limit: number, parent: Node | undefined, nodes: Node[], depth: number): number {
  const header = readHeader(bytes, start, limit)
  if (!header || depth > maxDepth) return -1
  const { tag, body } = header
  const children: Node[] = []
  const node: { -readonly [K in keyof Node]: Node[K] } = { tag, raw: none, value: none, parent, children: undefined, prefix: none }
  const at = nodes.push(node) - 1
  const end = tag & 0x20 ? readInner(bytes, body, header.end ?? limit, node, nodes, children, depth, header.end === undefined) : header.end
  if (end === undefined || end < 0) return -1
  node.raw = bytes.subarray(start, end)
  node.value = bytes.subarray(body, end)
  if (tag & 0x20) node.children = children
  else if (tag === 0x03 || tag === 0x04) readWrapped(node, nodes, at, depth)
  return end
}

function readInner(
  bytes: Uint8Array,
  start: number,
  limit: number,
  parent: Node,
  nodes: Node[],
  children: Node[],
  depth: number,
  isIndefinite: boolean,
): number {
  let offset = start
  while (offset < limit) {
    if (isIndefinite && bytes[offset] === 0 && bytes[offset + 1] === 0) return offset + 2
    const at = nodes.length
    offset = readNode(bytes, offset, limit, parent, nodes, depth + 1)
    if (offset < 0) return -1
    children.push(nodes[at] as Node)
  }
  return isIndefinite ? -1 : offset
}

/** Extensions, keys and encapsulated contents are DER inside a string. */
function readWrapped(node: { -readonly [K in keyof Node]: Node[K] }, nodes: Node[], at: number, depth: number): void {
  const skip = node.tag === 0x03 && node.value[0] === 0 ? 1 : 0
  const inner = node.value.subarray(skip)
  if (inner[0] === undefined || (inner[0] !== 0x30 && inner[0] !== 0x03 && inner[0] !== 0x04)) return
  if (readNode(inner, 0, inner.length, node, nodes, depth + 1) === inner.length) {
    node.children = [nodes[at + 1] as Node]
    node.prefix = node.value.subarray(0, skip)
  } else nodes.length = at + 1
}

function readHeader(bytes: Uint8Array, start: number, limit: number) {
  const tag = bytes[start]
  const first = bytes[start + 1]
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined
  if (first < 0x80) return bounded(tag, start + 2, first, limit)
  if (first === 0x80) return tag & 0x20 ? { tag, body: start + 2, end: undefined } : undefined
  let length = 0
  for (let i = 0; i < (first & 0x7f); i++) length = length * 256 + (bytes[start + 2 + i] ?? 0)
  return bounded(tag, start + 2 + (first & 0x7f), length, limit)
}

function bounded(tag: number, body: number, length: number, limit: number) {
  return body + length <= limit ? { tag, body, end: body + length } : undefined
}

/** What stands in a value's place: any number of encodings, none to leave it out. `inner` are its contents, edits inside done. */
export type Edit = (node: Node, inner: Uint8Array) => readonly Uint8Array[]

/** The message with those edits; every length around them is put right. */
export function encodeTree(root: Node, edits: ReadonlyMap<Node, Edit>): Uint8Array {
  const changed = new Set<Node>()
  for (const edited of edits.keys()) for (let node: Node | undefined = edited; node; node = node.parent) changed.add(node)
  return Buffer.concat(encodeNode(root, edits, changed))
}

function encodeNode(node: Node, edits: ReadonlyMap<Node, Edit>, changed: ReadonlySet<Node>): readonly Uint8Array[] {
  if (!changed.has(node)) return [node.raw]
  const inner = node.children
    ? Buffer.concat([node.prefix, ...node.children.flatMap((child) => encodeNode(child, edits, changed))])
    : node.value
  return edits.get(node)?.(node, inner) ?? [tlv(node.tag, inner)]
}
