import type { Clock } from '@certfleet/agent-core'
import { createLab, type LabStore, memoryLabStore } from '@certfleet/emulator/lab'

const dayMs = 86_400_000
const made = new Map<number, Promise<LabStore>>()

/** A new store that holds no more than a CA of that day, made once a process: its four RSA keys cost 0.4 s of CPU. */
export async function labStore(clock: Clock): Promise<LabStore> {
  const day = Math.floor(clock.now() / dayMs)
  const known = made.get(day) ?? makeAuthority(clock)
  made.set(day, known)
  const store = memoryLabStore()
  const authority = (await known).get('authority', 'lab')
  if (authority) await store.transaction((transaction) => transaction.put('authority', 'lab', authority))
  return store
}

async function makeAuthority(clock: Clock): Promise<LabStore> {
  const store = memoryLabStore()
  await createLab({ store, clock, registrationToken: 'unused', policyFor: () => undefined })
  return store
}
