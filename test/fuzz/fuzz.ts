import { ownSamples, type Sample } from './corpus.ts'
import { type Mutant, makeMutant } from './mutant.ts'
import { Probe } from './probe.ts'
import { seedOf } from './random.ts'
import { recordedSamples } from './recorded.ts'
import { countsBy, type Failure, type Tally } from './tally.ts'
import { Targets } from './targets.ts'
import { vectorSamples } from './vector-samples.ts'
import { createWorld } from './world.ts'

/** Every `step`th mutant of `seed`, from `from` on, below `to`. */
export interface Range {
  readonly seed: string
  readonly from: number
  readonly to: number
  readonly step: number
}

export interface Fuzzer {
  /** Stops everything where a mutant cannot be made: that would be a fault of the fuzzer. */
  run(range: Range): Promise<Tally>
  /** The mutant itself, untried. */
  mutantAt(seed: string, index: number): Mutant
}

/** Prepares the samples, those of a folder of public vectors included where one is given. */
export async function createFuzzer(vectors?: string): Promise<Fuzzer> {
  const world = await createWorld()
  const publicSamples = vectors === undefined ? [] : vectorSamples(vectors)
  const samples: readonly Sample[] = [...(await ownSamples(world)), ...recordedSamples(), ...publicSamples]
  const targets = new Targets(world, samples)
  return {
    mutantAt: (seed, index) => makeMutant(seedOf(seed), index, samples),
    async run({ seed, from, to, step }) {
      const bits = seedOf(seed)
      const reached = countsBy(() => 0)
      const failures: Failure[] = []
      let [mutants, resealed] = [0, 0]
      for (let index = from; index < to; index += step) {
        const { bytes, sample, layer, random } = makeMutant(bits, index, samples)
        const probe = new Probe()
        await targets.run({ mutant: bytes, sample, isResealed: layer !== undefined, random, probe })
        mutants++
        if (layer) resealed++
        for (const depth of probe.reached) reached[depth]++
        for (const problem of probe.problems) failures.push({ ...problem, index, sample: sample.name, layer: layer?.name, mutant: bytes })
      }
      return { mutants, resealed, reached, failures }
    },
  }
}
