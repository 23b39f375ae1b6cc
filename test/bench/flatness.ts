import { type FleetResults, runFleet, type Workshop } from './fleet-run.ts'
import { spread } from './measure.ts'
import { type Row, row } from './row.ts'

export interface FlatnessSizes {
  readonly few: number
  readonly many: number
  /** Of many; few are run before the first, between any two, and after the last. */
  readonly rounds: number
}

interface CpuMs {
  readonly fleet: number
  readonly lab: number
}

/** CPU of one device among few and among many, whole devices with pooled keys, in turn. */
export async function flatnessRows(workshop: Workshop, { few, many, rounds }: FlatnessSizes): Promise<Row[]> {
  const run = async (devices: number) => {
    workshop.tell(`cost per device: ${devices} devices`)
    return cpuMsPerDevice(await runFleet(workshop, { devices, keys: 'primes' }), devices)
  }
  const amongFew = [await run(few)]
  const amongMany: CpuMs[] = []
  for (let round = 0; round < rounds; round++) {
    amongMany.push(await run(many))
    amongFew.push(await run(few))
  }
  // Against both its neighbours, so that a machine that slows down with time does not count.
  const ratios = (of: keyof CpuMs) =>
    spread(amongMany.map((cpuMs, i) => (2 * cpuMs[of]) / ((amongFew[i] as CpuMs)[of] + (amongFew[i + 1] as CpuMs)[of])))
  const costs = (of: keyof CpuMs, runs: readonly CpuMs[]) => spread(runs.map((cpuMs) => cpuMs[of]))
  return [
    row(
      `cost per device: ${many} devices / ${few} devices`,
      'ratio',
      ratios('fleet'),
      { atMost: 1.1 },
      'CPU of the processes with devices',
    ),
    row(`  the lab's beside it`, 'ratio', ratios('lab')),
    row(`  a device of ${few}`, 'ms', costs('fleet', amongFew)),
    row(`  a device of ${many}`, 'ms', costs('fleet', amongMany)),
    row(`  the lab's for a device of ${few}`, 'ms', costs('lab', amongFew)),
    row(`  the lab's for a device of ${many}`, 'ms', costs('lab', amongMany)),
  ]
}

function cpuMsPerDevice({ generator: { processes } }: FleetResults, devices: number): CpuMs {
  const sum = (isLab: boolean) => processes.filter(({ name }) => (name === 'lab') === isLab).reduce((all, { cpuMs }) => all + cpuMs, 0)
  return { fleet: sum(false) / devices, lab: sum(true) / devices }
}
