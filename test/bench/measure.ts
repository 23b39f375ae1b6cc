/** One piece of work: called with the number of the key to use. */
export type Work = (index: number) => unknown

export interface Plan {
  readonly rounds: number
  /** Not counted: code is compiled, keys are imported and connections opened in them. */
  readonly warmUpRounds: number
  readonly callsPerRound: number
}

/** CPU milliseconds a call, one a round. */
export type Samples = readonly number[]

/**
 * CPU time of the whole process, thread pool and kernel included. Every round runs all pieces of work one after the other, in an order
 * that moves on by one from round to round, so that noise and warm caches come to all of them alike.
 */
export async function alternate<Name extends string>(works: Readonly<Record<Name, Work>>, plan: Plan): Promise<Record<Name, Samples>> {
  const names = Object.keys(works) as Name[]
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = -plan.warmUpRounds; round < plan.rounds; round++) {
    for (const i of names.keys()) {
      const name = names[(i + round + plan.warmUpRounds) % names.length] as Name
      const cpuMs = await cpuMsPerCall(works[name], plan.callsPerRound)
      if (round >= 0) samples[name].push(cpuMs)
    }
  }
  return samples
}

async function cpuMsPerCall(work: Work, calls: number): Promise<number> {
  const start = process.cpuUsage()
  for (let i = 0; i < calls; i++) await work(i)
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000 / calls
}

export interface Spread {
  readonly median: number
  /** First and third quartile. */
  readonly low: number
  readonly high: number
}

export function spread(samples: Samples): Spread {
  const sorted = [...samples].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.round((sorted.length - 1) * share)] as number
  return { median: at(0.5), low: at(0.25), high: at(0.75) }
}

/** Round by round, so that a slow moment of the machine, which hits both, does not count. */
export function ratio(work: Samples, base: Samples): Spread {
  return spread(work.map((cpuMs, round) => cpuMs / (base[round] as number)))
}

/** All of `count` calls as one piece of work, so many of them under way at a time. */
export function atOnce(width: number, count: number, work: Work): Work {
  return async () => {
    let next = 0
    const lane = async () => {
      while (next < count) await work(next++)
    }
    await Promise.all(Array.from({ length: width }, lane))
  }
}
