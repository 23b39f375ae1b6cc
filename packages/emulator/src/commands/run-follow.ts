import { availableParallelism, hostname } from 'node:os'
import { AgentError } from '@certfleet/agent-core'
import type { RunOutput } from '../fleet/output.ts'
import { type Follower, followRun } from '../fleet/queue/follow.ts'
import { LeaseLost, type RunManifest, type ShardQueue } from '../fleet/queue/shard-queue.ts'
import type { ShardOrders } from '../fleet/shard.ts'
import { printable } from '../report/printable.ts'
import type { Io } from './io.ts'
import { type QueueOptions, queueText } from './queue-options.ts'
import { type LoadCommand, type LoadReport, runAndReport, runFacts } from './run-parts.ts'
import type { Service } from './run-service.ts'

/** A run that is in the queue, with what it needs on this machine. */
export interface Submitted {
  readonly queue: ShardQueue
  readonly where: QueueOptions
  readonly manifest: RunManifest
  readonly orders: readonly ShardOrders[]
  readonly service: Service
  readonly outputs: readonly RunOutput[]
  readonly marking: string | undefined
}

/** Watches a run over a queue to its end, writes the report, and removes it from the queue; one that was stopped stays there. */
export async function followToEnd(command: LoadCommand, submitted: Submitted, io: Io): Promise<LoadReport> {
  const { queue, manifest, orders: shards, service, marking } = submitted
  const { lab } = service
  const cores = availableParallelism()
  const source = followRun({ queue, manifest, ...(lab && { ownMachine: { host: hostname(), cores } }) })
  const told = runFacts(command, { service, workers: 0, resumed: 0, marking })
  const run = { shards, source, inProcesses: true, lab, clock: io.clock, cores, signal: command.signal }
  const results = await runAndReport(command, run, { ...submitted, told }, io)
  await endRun(source, submitted, io)
  const line = endLine(source, command, submitted)
  if (line !== undefined) io.err(`${printable(line)}\n`)
  return results
}

/** What has been reported is not lost by a queue that is gone now, or by another process that has added it up or removed it meanwhile. */
export async function endRun(
  source: Pick<Follower, 'merge'>,
  { queue, manifest: { id } }: Pick<Submitted, 'queue' | 'manifest'>,
  io: Pick<Io, 'err'>,
): Promise<void> {
  const merge = source.merge()
  if (!merge) return
  try {
    await merge.complete()
  } catch (error) {
    if (!(error instanceof AgentError || error instanceof LeaseLost)) throw error
    if (await isGone(queue, id)) return
    io.err(printable(`warning: run ${id} is still in the queue (${error.message}); "certfleet stop ${id} --forget" removes it\n`))
  }
}

const isGone = (queue: ShardQueue, id: string): Promise<boolean> =>
  queue.status(id).then(
    (status) => status === undefined,
    () => false,
  )

/** How to go on with a run that has not come to its end. */
function endLine(source: Follower, { file, scenario, options }: LoadCommand, { where, manifest: { id } }: Submitted): string | undefined {
  const why = source.why()
  if (why === undefined) return undefined
  if (why.kind === 'forgotten')
    return `run ${id} is no longer in the queue: it was removed, or added up elsewhere; the report is of what was read before`
  const said = why.kind === 'lost' ? `${why.message}; the report of run ${id} is of what was read before` : `run ${id} is stopped`
  if (scenario.target === undefined && options.state === undefined)
    return `${said}; it cannot be resumed: its embedded lab ends here, and only --state would have kept it`
  const state = options.state === undefined ? '' : ` --state ${options.state}`
  return `${said}; go on: certfleet resume ${id} ${file === undefined ? '' : `${file} `}${queueText(where)}${state}, with the other options of the run`
}
