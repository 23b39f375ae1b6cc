import type { Command } from 'commander'
import type { RunStatus, ShardQueue } from '../fleet/queue/shard-queue.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { keyToHave, knownRun, openQueue, type QueueOptions, queueSettings, queueText, withQueue } from './queue-options.ts'
import { tellProblem } from './tell.ts'

interface StopOptions extends QueueOptions {
  readonly forget?: true
}

const examples = `
Examples:
  $ certfleet stop r-k3v7qa2mzd --queue redis://10.0.0.1:6379 --queue-key fleet.key
  $ certfleet stop --queue redis://10.0.0.1:6379 --queue-key fleet.key
  $ certfleet stop r-k3v7qa2mzd --forget --queue redis://10.0.0.1:6379 --queue-key fleet.key

Devices under way come to their end or are kept where they stand, and none begins any more; ends once nobody has a shard of the run. Then
"certfleet resume" goes on with it, with nothing done twice. The run may be left out where there is one alone. --forget removes it instead.`

export function defineStop(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program
    .command('stop')
    .description('Bring a run over a queue to a checkpoint, from which it can go on')
    .argument('[run]', 'id of the run, as "certfleet run" told it')
  withQueue(command, keyToHave)
    .option('--forget', 'remove the run from the queue, so that nothing is left to go on with')
    .addHelpText('after', examples)
    .action(async (run: string | undefined, options: StopOptions) => end(await stop(run, options, io)))
}

async function stop(given: string | undefined, options: StopOptions, io: Io): Promise<ExitCode> {
  const queue = await openQueue(await queueSettings(options, io, { makesKey: false }), io)
  const interrupt = interruptSignal(io)
  try {
    const run = await knownRun(queue, given)
    await queue.stop(run)
    const status = await untilIdle(queue, run, interrupt.signal, io)
    if (options.forget) await queue.forget(run)
    io.out(`${endText(run, options, status)}\n`)
    return 0
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; the run stops all the same' }, false, io)
    return 130
  } finally {
    interrupt.release()
    await queue.close()
  }
}

const pollEveryMs = 500

/** Nobody has a shard any more. Rejects with the signal's reason. */
async function untilIdle(queue: ShardQueue, run: string, signal: AbortSignal, io: Io): Promise<RunStatus | undefined> {
  let told = ''
  for (;;) {
    const status = await queue.status(run)
    const active = status ? countOf(status, 'active') : 0
    if (!status || active === 0) return status
    const text = `${active} of ${status.shards.length} shards are still at work\n`
    if (text !== told) io.err(text)
    told = text
    await io.clock.sleep(pollEveryMs, signal)
  }
}

const countOf = ({ shards }: RunStatus, wanted: string): number => shards.filter(({ state }) => state === wanted).length

function endText(run: string, options: StopOptions, status: RunStatus | undefined): string {
  if (options.forget) return `run ${run} is stopped and removed`
  if (!status) return `run ${run} is over: it was added up and removed`
  const through = `${countOf(status, 'through')} of ${status.shards.length} shards are through`
  return `run ${run} is stopped: ${through}; go on: certfleet resume ${run} ${queueText(options)}, with the scenario and options of the run`
}
