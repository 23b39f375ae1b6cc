export type { RsaBits } from './device-keys.ts'
export {
  type EmulationKeyMode,
  type EmulationKeys,
  type EmulationKeysOptions,
  emulationKeyModes,
  openEmulationKeys,
} from './emulation-keys.ts'
export type { PoolProgress } from './key-pool.ts'
export { primesFor } from './primes.ts'
export { assertEmulationTarget } from './target.ts'
