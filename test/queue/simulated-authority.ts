import type { Clock } from '@certfleet/agent-core'
import type { Chance } from '#emulator/simulate/chance.ts'

export interface ModelAuthority {
  /** By device, the serial numbers of what it has. */
  readonly issued: ReadonlyMap<number, readonly number[]>
  /** Whether there is a certificate: the same one for the same transaction. What was sent is received, whatever becomes of the sender. */
  ask(device: number, transaction: string, isDecided: boolean): Promise<boolean>
}

export function modelAuthority(world: Clock, chance: Chance): ModelAuthority {
  const issued = new Map<number, number[]>()
  const transactions = new Map<string, number>()
  return {
    issued,
    async ask(device, transaction, isDecided) {
      await world.sleep(chance.between(1, 200))
      if (isDecided && !transactions.has(transaction)) {
        transactions.set(transaction, transactions.size + 1)
        issued.set(device, [...(issued.get(device) ?? []), transactions.size])
      }
      await world.sleep(chance.between(1, 200))
      return isDecided
    },
  }
}
