import type { StateStore } from '../ports.ts'
import { emptyState, stateStore } from './store.ts'

/** State that ends with the process: for emulated devices and tests. */
export function memoryState(): StateStore {
  return stateStore(emptyState, async () => undefined)
}
