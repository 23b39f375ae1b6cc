import { fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Range } from './fuzz.ts'
import { addTallies, emptyTally, type Failure, type Tally } from './tally.ts'

export interface ShardTask {
  readonly range: Range
  /** Mutants between two messages, which are `started` and then a tally each. */
  readonly chunk: number
  readonly vectors: string | undefined
}

export interface Fuzzing {
  readonly seed: string
  readonly count: number
  readonly shards: number
  readonly vectors: string | undefined
  /** Told after every few hundred mutants. */
  readonly onProgress: (soFar: Tally) => void
}

const chunk = 500
/** A process that is on one chunk for so long will not come back. */
const stuckMs = 30_000

const script = fileURLToPath(new URL(`./shard-process${extname(import.meta.url)}`, import.meta.url))

/** All mutants below `count`, in processes of their own, so that one that hangs or ends its process can be told. */
export async function runShards({ seed, count, shards, vectors, onProgress }: Fuzzing): Promise<Tally> {
  let total: Tally = emptyTally()
  const add = (tally: Tally): void => {
    total = addTallies(total, tally)
    onProgress(total)
  }
  const ranges = Array.from({ length: shards }, (_, shard): Range => ({ seed, from: shard, to: count, step: shards }))
  await Promise.all(ranges.map((range) => runShard(range, vectors, add)))
  return total
}

/** A chunk that ends badly is run again one mutant at a time: they are the same ones, and the bad one is found. */
async function runShard(range: Range, vectors: string | undefined, add: (tally: Tally) => void): Promise<void> {
  for (let from = range.from; from < range.to; ) {
    const whole = await runProcess({ range: { ...range, from }, chunk, vectors }, add)
    if (whole.done >= range.to) return
    const suspects = { ...range, from: whole.done, to: Math.min(range.to, whole.done + chunk * range.step) }
    const single = await runProcess({ range: suspects, chunk: 1, vectors }, add)
    if (single.done < suspects.to) add({ ...emptyTally(), mutants: 1, failures: [lost(single.done, single.ended)] })
    from = single.done < suspects.to ? single.done + range.step : single.done
  }
}

/** `done` is the first mutant without an outcome. */
function runProcess(task: ShardTask, add: (tally: Tally) => void): Promise<{ done: number; ended: string }> {
  return new Promise((resolve, reject) => {
    let done = task.range.from
    let isStarted = false
    const child = fork(script, [JSON.stringify(task)], { serialization: 'advanced' })
    let timer = setTimeout(end, stuckMs, 'hang')
    child.on('message', (message: 'started' | Tally) => {
      clearTimeout(timer)
      timer = setTimeout(end, stuckMs, 'hang')
      isStarted = true
      if (message === 'started') return
      done += task.chunk * task.range.step
      add(message)
    })
    child.on('error', (error) => end(String(error)))
    child.on('disconnect', () => end('the process ended'))

    function end(ended: string): void {
      clearTimeout(timer)
      child.kill('SIGKILL')
      if (isStarted) resolve({ done, ended })
      else reject(new Error(`a shard did not start: ${ended}`))
    }
  })
}

function lost(index: number, ended: string): Failure {
  const kind = ended === 'hang' ? 'hang' : 'crash'
  return {
    kind,
    entry: 'an entry that did not return',
    detail: ended,
    index,
    sample: 'its sample',
    layer: undefined,
    mutant: new Uint8Array(),
  }
}
