import type { Clock } from '@certfleet/agent-core'
import { LeaseLost, type MergeLease, noSuchRun } from '../shard-queue.ts'
import type { Counter, Jobs, TakenJob } from './jobs.ts'
import type { RedisLink } from './link.ts'
import type { Runs } from './runs.ts'
import { pollMs } from './take.ts'

export interface MergePorts {
  readonly link: RedisLink
  readonly jobs: Jobs
  readonly runs: Runs
  readonly clock: Clock
  readonly leaseMs: number
  forget(run: string): Promise<void>
}

/** `ERR_STATE_INVALID` once there is no such run. */
export async function takeMergeOf(run: string, signal: AbortSignal, ports: MergePorts): Promise<MergeLease> {
  signal.throwIfAborted()
  const found = await ports.runs.open(run)
  if (!found) throw noSuchRun(run)
  const counter = ports.jobs.merges(found.keys)
  try {
    for (;;) {
      const taken = await counter.next(signal)
      if (taken) return mergeLease(run, taken, counter, ports)
      await ports.clock.sleep(pollMs, signal)
      if (!(await ports.runs.open(run))) throw noSuchRun(run)
    }
  } catch (error) {
    await counter.close()
    throw error
  }
}

function mergeLease(run: string, { job, token }: TakenJob, counter: Counter<unknown>, ports: MergePorts): MergeLease {
  const { link, clock, leaseMs, forget } = ports
  const over = new AbortController()
  const end = AbortSignal.any([over.signal, link.gone])
  async function hold(): Promise<void> {
    for (;;) {
      await clock.sleep(leaseMs / 3, end)
      await link.wait(job.extendLock(token, leaseMs), end)
    }
  }
  // Nobody waits for it: where it is lost, another adds up too, and finds the same.
  hold().catch(() => {})
  return {
    async complete() {
      over.abort()
      const isHeld = await link.wait(job.extendLock(token, leaseMs))
      await counter.close()
      if (!isHeld) throw new LeaseLost()
      await forget(run)
    },
  }
}
