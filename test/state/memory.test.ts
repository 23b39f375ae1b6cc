import { memoryState } from '@certfleet/agent-core'
import t from 'tap'
import { stateStoreContract } from '../contracts/state-store.ts'

await stateStoreContract(t, async () => {
  const store = memoryState()
  return { store, restart: async () => store }
})
