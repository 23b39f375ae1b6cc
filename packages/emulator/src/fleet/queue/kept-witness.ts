import type { SeenBefore } from '../../invariants/witness.ts'

/** Among the records of a device: no storage of its uses the name. */
const name = 'witness'

/** Keeps what a witness saw and whoever goes on with the device cannot see. */
export function keepWitnessed(records: Map<string, Uint8Array>, { issued, notInstalled }: SeenBefore): void {
  if (issued > 0 || notInstalled.size > 0) records.set(name, Buffer.from(JSON.stringify([issued, [...notInstalled]])))
}

/** Undefined where nothing was kept. */
export function witnessedBefore(records: ReadonlyMap<string, Uint8Array>): SeenBefore | undefined {
  const bytes = records.get(name)
  if (!bytes) return undefined
  const [issued, notInstalled] = JSON.parse(Buffer.from(bytes).toString()) as [number, [string, string][]]
  return { issued, notInstalled: new Map(notInstalled) }
}
