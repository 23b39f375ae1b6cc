import { availableParallelism } from 'node:os'
import type { Command } from 'commander'
import type { WorkEnd } from '../fleet/queue/work.ts'
import { workAt } from '../fleet/queue/work-at.ts'
import { runWorkers } from '../fleet/workers.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { maxWorkers } from '../scenario/load-schema.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { wholeNumber } from './options.ts'
import { durationOption, keyToHave, openQueue, type QueueOptions, queueSettings, withQueue } from './queue-options.ts'

interface WorkerOptions extends QueueOptions {
  readonly workers?: number
  readonly lease: number
  readonly patience: number
  readonly untilIdle?: number
}

const examples = `
Examples:
  $ certfleet worker --queue redis://10.0.0.1:6379 --queue-password-file redis.pass --queue-key fleet.key
  $ certfleet worker --queue rediss://queue.example:6380 --queue-ca ca.pem --queue-key fleet.key --workers 8
  $ certfleet worker --queue redis://127.0.0.1:6379 --queue-key fleet.key --until-idle 2m

Takes shards of whatever runs "certfleet run --queue" submits, on as many machines as there are, and tells of each on stderr. Every machine
has the same version of certfleet and a copy of the same key file. Each process takes one shard at a time; one that crashes is started again.
A shard that is not heard of for --lease goes on elsewhere from its last checkpoint.

SIGINT or SIGTERM brings the shards to a checkpoint and gives them back: exit code 0, and 130 with
--until-idle, whose 0 says that nothing was left. A Redis that is gone is waited for, for --patience;
then shards end where they stand, and another worker goes on with them: exit code 1. A run of another version of certfleet: exit code 2.`

const hourMs = 3_600_000
const dayMs = 24 * hourMs

export function defineWorker(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const command = program.command('worker').description('Carry devices of runs that were submitted to a queue, on any number of machines')
  withQueue(command, keyToHave)
    .option('--workers <n>', 'processes that take shards (default: one a core)', wholeNumber(1, maxWorkers))
    .addOption(
      durationOption('--lease <duration>', 'how long a shard stays with a worker that is not heard of', 1_000, hourMs, '1s to 1h').default(
        30_000,
        '30s',
      ),
    )
    .addOption(
      durationOption('--patience <duration>', 'how long a Redis that is gone is waited for', 0, dayMs, '0s to 1d').default(60_000, '60s'),
    )
    .addOption(
      durationOption(
        '--until-idle <duration>',
        'end once nothing was to be taken for so long (default: wait for ever)',
        0,
        dayMs,
        '0s to 1d',
      ),
    )
    .addHelpText('after', examples)
    .action(async (options: WorkerOptions) => end(await work(options, io)))
}

async function work(options: WorkerOptions, io: Io): Promise<ExitCode> {
  const { workers = availableParallelism(), lease: leaseMs, patience: patienceMs, untilIdle: untilIdleMs } = options
  const queue = await queueSettings(options, io, { makesKey: false }, { leaseMs, patienceMs })
  const interrupt = interruptSignal(io)
  const ports = { clock: io.clock, signal: interrupt.signal, say: (line: string) => io.err(`${printable(line)}\n`) }
  try {
    // What keeps all of them out is told once, before any is started.
    await (await openQueue(queue, io)).close()
    if (workers === 1) return codeOf([await workAt({ queue, untilIdleMs }, ports)], options)
    return codeOf(await runWorkers({ queue, untilIdleMs }, workers, ports), options)
  } finally {
    interrupt.release()
  }
}

/** Whoever asks for an end that says that nothing is left, as a job on Kubernetes, is to know where something may be. */
function codeOf(ends: readonly WorkEnd[], { untilIdle }: WorkerOptions): ExitCode {
  const unfit = ends.find((end) => end.kind === 'unfit')
  if (unfit) throw new InputError(unfit.message)
  return untilIdle !== undefined && ends.some(({ kind }) => kind === 'stopped') ? 130 : 0
}
