import { setMaxListeners } from 'node:events'
import { AgentError, type Clock } from '@certfleet/agent-core'
import type { Redis } from 'ioredis'
import { type ScriptName, scripts } from './scripts.ts'

export type ScriptArgument = string | number | Uint8Array

/** A connection that is waited for when it breaks. */
export interface RedisLink {
  readonly client: Redis
  /** Aborted once Redis was gone for longer than is waited for, with `ERR_NETWORK`, or once the queue was closed. Nothing is to be had then. */
  readonly gone: AbortSignal
  /** The outcome of a command, waited for as long as Redis is; what Redis itself refuses is `ERR_STATE_IO`. Rejects with the signal's reason. */
  wait<T>(work: Promise<T>, signal?: AbortSignal): Promise<T>
  /** What a script answers: texts are octets. */
  run(script: ScriptName, keys: readonly string[], values?: readonly ScriptArgument[], signal?: AbortSignal): Promise<unknown>
  close(): void
}

export interface LinkOptions {
  readonly shown: string
  readonly clock: Clock
  readonly patienceMs: number
  /** Told once as it goes, and once as it is back. */
  readonly onWarning: (message: string) => void
}

/** The longest that is waited before it is tried again. */
export const maxRetryDelayMs = 1000

/** Takes over `client`, which is not connected yet. */
export async function openLink(client: Redis, options: LinkOptions): Promise<RedisLink> {
  const { shown, patienceMs } = options
  const over = new AbortController()
  const gone = over.signal
  // Every command under way listens on it.
  setMaxListeners(0, gone)
  for (const [name, { keys, lua }] of Object.entries(scripts)) client.defineCommand(commandOf(name), { numberOfKeys: keys, lua })
  // Each failed try tells of an error; the watch below tells when there were enough.
  client.on('error', () => {})
  watch(client, options, () => over.abort(new AgentError('ERR_NETWORK', goneFor(shown, patienceMs))), gone)
  const link: RedisLink = {
    client,
    gone,
    wait: (work, signal) => until(work, signal ? [gone, signal] : [gone]).catch((error: unknown) => refused(error, shown)),
    run: (script, keys, values = [], signal) => link.wait(call(client, script, [...keys, ...values]), signal),
    close() {
      over.abort(new AgentError('ERR_NETWORK', `the queue at ${shown} was closed`))
      client.disconnect()
    },
  }
  gone.addEventListener('abort', () => client.disconnect(), { once: true })
  await link.wait(client.connect()).catch((error: unknown) => {
    link.close()
    throw error
  })
  return link
}

const commandOf = (script: string) => `certfleet:${script}`

const goneFor = (shown: string, patienceMs: number) =>
  `the Redis at ${shown} is gone for ${patienceMs / 1000} s; start it, and then the workers: the run goes on from where it stood`

/** Calls `giveUp` once the connection was not usable for so long. */
function watch(client: Redis, { shown, clock, patienceMs, onWarning }: LinkOptions, giveUp: () => void, gone: AbortSignal): void {
  let back: AbortController | undefined
  client.on('close', () => {
    if (back || gone.aborted) return
    back = new AbortController()
    onWarning(`the Redis at ${shown} is gone; it is waited for, ${patienceMs / 1000} s at most`)
    clock.sleep(patienceMs, AbortSignal.any([back.signal, gone])).then(giveUp, () => {})
  })
  client.on('ready', () => {
    if (back && !gone.aborted) onWarning(`the Redis at ${shown} is back`)
    back?.abort()
    back = undefined
  })
}

function call(client: Redis, script: ScriptName, values: readonly ScriptArgument[]): Promise<unknown> {
  const commands = client as unknown as Record<string, (...values: readonly unknown[]) => Promise<unknown>>
  const command = commands[`${commandOf(script)}Buffer`] as (...values: readonly unknown[]) => Promise<unknown>
  return command.apply(client, values.map(asArgument))
}

const asArgument = (value: ScriptArgument) =>
  value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value

/** Settles as `work` does, unless a signal comes first. */
function until<T>(work: Promise<T>, signals: readonly AbortSignal[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = signals.map((signal) => {
      const onAbort = () => reject(signal.reason)
      if (signal.aborted) onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      return () => signal.removeEventListener('abort', onAbort)
    })
    const end = () => {
      for (const each of leave) each()
    }
    work.then(resolve, reject).finally(end)
  })
}

// The cause stays away: it holds what was sent.
function refused(error: unknown, shown: string): never {
  const { name, message } = error as Error
  if (name === 'ReplyError')
    throw new AgentError('ERR_STATE_IO', `the Redis at ${shown} refuses: ${message.replace(/[^\x20-\x7e]/g, '?').slice(0, 120)}`)
  if (/^(Connection is closed|Command aborted)/.test(message))
    throw new AgentError('ERR_NETWORK', `the connection to the Redis at ${shown} has ended`)
  throw error
}
