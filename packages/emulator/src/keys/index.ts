export type { DrawCounts, RsaBits } from './device-keys.ts'
export {
  type EmulationKeyMode,
  type EmulationKeys,
  type EmulationKeysOptions,
  emulationKeyModes,
  type KeptKeys,
  markings,
  openEmulationKeys,
} from './emulation-keys.ts'
export type { PoolProgress } from './key-pool.ts'
export { primesFor } from './primes.ts'
export { asProtections, type PlacedKeys } from './protections.ts'
export { assertEmulationTarget } from './target.ts'
