import { type Clock, systemClock } from '@certfleet/agent-core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { WorkerOrders } from '../fleet/messages.ts'
import { redisAddress } from '../fleet/queue/redis/address.ts'
import { openRedisQueue } from '../fleet/queue/redis/open-redis-queue.ts'
import { makeSealingKey, readSealingKey } from '../fleet/queue/redis/sealing-key.ts'
import type { ShardQueue } from '../fleet/queue/shard-queue.ts'
import { printable } from '../report/printable.ts'
import { parseDurationMs } from '../scenario/duration.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { readingInput } from './options.ts'
import { readInput } from './read-input.ts'
import { secretIn } from './secret-input.ts'

export interface QueueOptions {
  readonly queue?: string
  readonly queuePasswordFile?: string
  readonly queueCa?: string
  readonly queueKey?: string
  readonly allowPlainQueue?: true
}

export const queueOptionNames = ['queuePasswordFile', 'queueCa', 'queueKey', 'allowPlainQueue'] as const satisfies (keyof QueueOptions)[]

/** Where a queue is that machines share, and how it is reached. */
export function withQueue(command: Command, key: string): Command {
  return command
    .option('--queue <url>', 'Redis that the machines share: redis://host:6379, or rediss:// for TLS')
    .option('--queue-password-file <file>', 'file whose first line is its password (default: what the URL has)')
    .option('--queue-ca <file>', 'for rediss: the certificates to trust, PEM (default: what Node trusts)')
    .option('--queue-key <file>', key)
    .option('--allow-plain-queue', 'use a Redis without TLS on a public address all the same')
}

export const keyToHave = 'the sealing key of the run, as "certfleet run" made it: what is secret is sealed by it, and Redis never sees it'

const maxCaBytes = 1_048_576

/** Plain data; secrets are in it. */
export type QueueSettings = WorkerOrders['queue']

export interface QueueTiming {
  readonly leaseMs?: number | undefined
  readonly patienceMs?: number | undefined
}

/** As plain data, with what the files hold: secrets are in it. `makesKey`: a sealing key that is missing is made, mode 600. */
export async function queueSettings(options: QueueOptions, io: Io, { makesKey }: { makesKey: boolean }, timing: QueueTiming = {}) {
  const { queue: url, queueKey, queuePasswordFile, queueCa, allowPlainQueue } = options
  if (url === undefined)
    throw new InputError('--queue: expected the URL of the Redis that the machines share, such as redis://127.0.0.1:6379')
  if (queueKey === undefined)
    throw new InputError(
      `--queue-key: expected the file of the sealing key${makesKey ? ', which is made where it is missing' : ', a copy of the one that "certfleet run" made'}`,
    )
  const settings: QueueSettings = {
    url,
    sealingKey: await (makesKey ? makeSealingKey(queueKey) : readSealingKey(queueKey)),
    password:
      queuePasswordFile && (await secretIn(queuePasswordFile, { option: '--queue-password-file', io }, 'the password of the Redis')),
    ca: queueCa && (await readInput('--queue-ca', queueCa, maxCaBytes)).toString('latin1'),
    allowPlain: allowPlainQueue ?? false,
    ...timing,
  }
  return settings
}

/** Refused or out of reach: `InputError`, one line, before anything is done. */
export function openQueue(settings: QueueSettings, io: Pick<Io, 'err'>, clock: Clock = systemClock): Promise<ShardQueue> {
  const onWarning = (message: string) => io.err(`warning: ${printable(message)}\n`)
  return readingInput(() => openRedisQueue({ ...settings, clock, onWarning }))
}

/** The options that name the queue, for a command line to be typed elsewhere: without a password. */
export function queueText({ queue = '', queuePasswordFile, queueCa, queueKey, allowPlainQueue }: QueueOptions): string {
  return [
    `--queue ${redisAddress(queue, undefined).shown}`,
    ...(queuePasswordFile === undefined ? [] : [`--queue-password-file ${queuePasswordFile}`]),
    ...(queueCa === undefined ? [] : [`--queue-ca ${queueCa}`]),
    `--queue-key ${queueKey}`,
    ...(allowPlainQueue ? ['--allow-plain-queue'] : []),
  ].join(' ')
}

/**
 * The run that was named, or the one that there is. One that is not known: `InputError`, which names those that are; so is one that was
 * sealed with another key.
 */
export async function knownRun(queue: ShardQueue, run: string | undefined): Promise<string> {
  const id = await runNamed(queue, run)
  await readingInput(() => queue.status(id))
  return id
}

async function runNamed(queue: ShardQueue, run: string | undefined): Promise<string> {
  const known = await queue.runs()
  const [only] = known
  if (only === undefined) throw new InputError(`the queue has no run${run === undefined ? '' : `, and so no "${run}"`}`)
  if (run === undefined && known.length === 1) return only
  if (run !== undefined && known.includes(run)) return run
  const named = `the queue has ${known.join(', ')}`
  throw new InputError(run === undefined ? `which run? ${named}` : `"${run}": no such run; ${named}`)
}

/** Takes `30s` and the like, between the two. */
export function durationOption(flags: string, description: string, minMs: number, maxMs: number, between: string): Option {
  return new Option(flags, description).argParser((text) => {
    const ms = parseDurationMs(text)
    if (ms === undefined || ms < minMs || ms > maxMs) throw new InvalidArgumentError(`Expected a duration such as 30s, ${between}.`)
    return ms
  })
}
