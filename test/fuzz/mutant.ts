import type { Layer, Sample } from './corpus.ts'
import { mutateBytes } from './mutate-bytes.ts'
import { mutateJson } from './mutate-json.ts'
import { mutateMarkup } from './mutate-markup.ts'
import { mutateTree } from './mutate-tree.ts'
import { Random, type Seed } from './random.ts'

export interface Mutant {
  readonly bytes: Uint8Array
  readonly sample: Sample
  /** The part that was changed and then signed or encrypted again. */
  readonly layer: Layer | undefined
  /** For what is still to be drawn. */
  readonly random: Random
}

/** Larger ones would test the speed of copying. */
const maxMutantBytes = 256 * 1024

/** The mutant of that number: the same one for the same seed and samples, whatever was made before it. */
export function makeMutant(seed: Seed, index: number, samples: readonly Sample[]): Mutant {
  const random = new Random(seed, index)
  const layered = samples.filter(({ layers }) => layers.length > 0)
  const sample = random.pick(random.oneIn(2) ? layered : samples)
  const layer = sample.layers.length > 0 && random.below(10) < 4 ? random.pick(sample.layers) : undefined
  const donor = random.pick(samples).bytes
  const bytes = layer ? layer.seal(changed(layer.bytes, donor, random, 8), random) : changedWhole(sample, donor, random)
  return { bytes: bytes.subarray(0, maxMutantBytes), sample, layer, random }
}

function changedWhole({ kind, bytes }: Sample, donor: Uint8Array, random: Random): Uint8Array {
  if (kind === 'policy') return random.oneIn(4) ? mutateBytes(bytes, random) : mutateJson(bytes, random)
  if (kind === 'distinguishedName' || kind === 'capabilities') return mutateBytes(bytes, random)
  return changed(bytes, donor, random, 2)
}

/** Octets once in `n` times, otherwise the values that they stand for. */
function changed(bytes: Uint8Array, donor: Uint8Array, random: Random, n: number): Uint8Array {
  if (bytes[0] === '<'.charCodeAt(0)) return random.oneIn(n + 2) ? mutateBytes(bytes, random) : mutateMarkup(bytes, random)
  return random.oneIn(n) ? mutateBytes(bytes, random) : mutateTree(bytes, donor, random)
}
