import type { Random } from './random.ts'

type Mutate = (bytes: Uint8Array, random: Random) => Uint8Array

/** One to eight changes that know nothing of what the octets mean. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let mutant = bytes
  for (let left = random.skewed(8); left > 0; left--) mutant = random.pick(mutators)(mutant, random)
  return mutant
}

const interesting = [0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x30, 0x31, 0x1f, 0xa0, 0x24, 0x04, 0x22, 0x5c, 0x7b] as const

const mutators: readonly Mutate[] = [
  (bytes, random) => changed(bytes, random, (octet) => octet ^ (1 << random.below(8))),
  (bytes, random) => changed(bytes, random, () => random.uint32()),
  (bytes, random) => changed(bytes, random, () => random.pick(interesting)),
  (bytes, random) => changed(bytes, random, (octet) => octet + (random.oneIn(2) ? 1 : -1)),
  (bytes, random) => spliced(bytes, random.below(bytes.length + 1), 0, random.bytes(random.skewed(32))),
  (bytes, random) => spliced(bytes, random.below(bytes.length + 1), random.skewed(32), new Uint8Array()),
  (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1)),
  (bytes, random) => Buffer.concat([bytes, random.bytes(random.skewed(16))]),
  duplicated,
]

function changed(bytes: Uint8Array, random: Random, to: (octet: number) => number): Uint8Array {
  if (bytes.length === 0) return bytes
  const mutant = Uint8Array.from(bytes)
  const at = random.below(bytes.length)
  mutant[at] = to(mutant[at] as number)
  return mutant
}

function spliced(bytes: Uint8Array, at: number, removed: number, inserted: Uint8Array): Uint8Array {
  return Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)])
}

/** Once, or a few hundred times where it is short. */
function duplicated(bytes: Uint8Array, random: Random): Uint8Array {
  const at = random.below(bytes.length + 1)
  const range = bytes.subarray(at, at + random.skewed(256))
  const times = random.oneIn(8) ? Math.ceil(4096 / (range.length + 1)) : 1
  return spliced(bytes, at, 0, Buffer.concat(Array.from({ length: times }, () => range)))
}
