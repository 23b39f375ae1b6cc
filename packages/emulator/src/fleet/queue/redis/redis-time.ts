import type { Clock, Instant } from '@certfleet/agent-core'
import type { RedisLink } from './link.ts'

const samples = 3
/** Clocks that run apart by 50 ppm are 3 ms apart after that. */
const goodForMs = 60_000

/** Moments of Redis, by this machine's clock. */
export interface RedisTime {
  /** Of microseconds since 1970, as text. To some milliseconds: half the shortest way there and back. */
  local(micros: string): Promise<Instant>
}

export function redisTime(link: RedisLink, clock: Clock): RedisTime {
  let known: { readonly aheadMs: number; readonly at: Instant } | undefined
  async function aheadMs(): Promise<number> {
    if (known && clock.now() - known.at < goodForMs) return known.aheadMs
    const measured = []
    for (let i = 0; i < samples; i++) measured.push(await sample(link, clock))
    const [best] = measured.sort((a, b) => a.wayMs - b.wayMs)
    known = { aheadMs: best?.aheadMs ?? 0, at: clock.now() }
    return known.aheadMs
  }
  return { local: async (micros) => Math.round(Number(micros) / 1000 - (await aheadMs())) }
}

async function sample(link: RedisLink, clock: Clock): Promise<{ readonly wayMs: number; readonly aheadMs: number }> {
  const sentAt = clock.now()
  const [seconds, micros] = await link.wait(link.client.time())
  const wayMs = clock.now() - sentAt
  return { wayMs, aheadMs: Number(seconds) * 1000 + Number(micros) / 1000 - (sentAt + wayMs / 2) }
}
