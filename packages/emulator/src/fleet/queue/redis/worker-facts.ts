import { z } from 'zod'
import type { WorkerFacts } from '../shard-queue.ts'

const text = z.string().min(1).max(1000)
const schema = z.object({ name: text, host: text, cores: z.int().min(1).max(100_000), node: text })

/** What a worker wrote of itself; undefined where it is no such thing. Not sealed: whoever has the password of the Redis may have written it. */
export function workerFactsIn(written: Buffer): WorkerFacts | undefined {
  try {
    return schema.safeParse(JSON.parse(written.toString())).data
  } catch {
    return undefined
  }
}
