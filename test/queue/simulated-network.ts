import { AgentError, type Clock } from '@certfleet/agent-core'
import type { Chance } from '#emulator/simulate/chance.ts'

export interface SimulatedNetworkOptions {
  readonly clock: Clock
  readonly chance: Chance
  /** False: nothing is lost, and nothing is late. */
  readonly isTroubled: boolean
  /** Of that order what is late is late. */
  readonly lateMs: number
  /** How long a server that is gone is waited for. */
  readonly patienceMs: number
}

/** The way to one server. */
export interface SimulatedNetwork {
  /** What happened, by name. */
  readonly troubles: ReadonlyMap<string, number>
  happened(name: string): void
  /** Whether that happens now, of so many parts in a thousand. */
  trouble(name: string, perMille: number): boolean
  onTheWay(): Promise<void>
  /** What is asked until there is an answer. Rejects with `ERR_NETWORK` once patience is over. */
  exchange<T>(ask: () => Promise<T>): Promise<T>
  /** The server is gone for so long. */
  goDown(ms: number): void
  /** Resolves once it is there, however long that takes. */
  whenUp(): Promise<void>
}

export const queueGone = () => new AgentError('ERR_NETWORK', 'the queue is gone')

export function simulatedNetwork({ clock, chance, isTroubled, lateMs, patienceMs }: SimulatedNetworkOptions): SimulatedNetwork {
  const troubles = new Map<string, number>()
  let upAt = clock.now()
  const happened = (name: string) => void troubles.set(name, (troubles.get(name) ?? 0) + 1)
  const trouble = (name: string, perMille: number): boolean => {
    const happens = isTroubled && chance.happens(perMille)
    if (happens) happened(name)
    return happens
  }
  const onTheWay = () => clock.sleep(trouble('late', 30) ? chance.between(lateMs / 4, lateMs) : chance.between(1, 20))

  async function waitUntil(patienceEnds: number): Promise<void> {
    while (clock.now() < upAt) {
      if (clock.now() >= patienceEnds) throw queueGone()
      await clock.sleep(Math.min(upAt, patienceEnds) - clock.now())
    }
  }
  return {
    troubles,
    happened,
    trouble,
    onTheWay,
    async exchange(ask) {
      const patienceEnds = clock.now() + patienceMs
      for (;;) {
        await onTheWay()
        await waitUntil(patienceEnds)
        const answer = ask()
        await answer.catch(() => undefined)
        if (trouble('answer lost', 40)) continue
        await onTheWay()
        return answer
      }
    },
    goDown(ms) {
      upAt = clock.now() + ms
    },
    whenUp: () => waitUntil(Number.POSITIVE_INFINITY),
  }
}
