import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { root } from '../tooling/root.ts'
import { runFleet, type Workshop, withoutWindows } from './fleet-run.ts'
import { spread } from './measure.ts'
import { outputOf } from './processes.ts'
import { type Row, row } from './row.ts'

export interface FreshSizes {
  readonly rounds: number
  readonly devices: number
}

/** Devices that make their keys afresh, against processes that make keys and nothing else on all cores; the start of both included. */
export async function freshRows(workshop: Workshop, { rounds, devices }: FreshSizes): Promise<Row[]> {
  const fleet: number[] = []
  const bare: number[] = []
  for (let round = 1; round <= rounds; round++) {
    workshop.tell(`fresh keys, round ${round} of ${rounds}: ${devices} keys, ${devices} devices`)
    bare.push(await bareKeysPerSecond(devices))
    fleet.push((await runFleet(workshop, { devices: withoutWindows(devices), keys: 'fresh' })).enrollmentsPerSecond)
  }
  const ratios = spread(fleet.map((rate, i) => rate / (bare[i] as number)))
  return [
    row('rate, fresh keys: whole devices / bare key generation', 'ratio', ratios, { atLeast: 0.9 }),
    row('  certfleet: whole devices', '/s', spread(fleet), null, 'iOS, macOS, Android; the lab is on the same cores'),
    row('  bare RSA-2048 keys, all cores', '/s', spread(bare)),
  ]
}

async function bareKeysPerSecond(keys: number): Promise<number> {
  const cores = availableParallelism()
  const begun = performance.now()
  const share = String(Math.ceil(keys / cores))
  await Promise.all(Array.from({ length: cores }, () => outputOf(process.execPath, [join(root, '.build/test/bench/bare-keys.js'), share])))
  return (Math.ceil(keys / cores) * cores * 1000) / (performance.now() - begun)
}
