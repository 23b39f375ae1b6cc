import { WebSocket } from 'ws'
import { z } from 'zod'
import { AgentError } from '../errors.ts'
import type { Clock, Jitter } from '../ports.ts'
import { stopwatchMs } from '../system.ts'
import { type TlsTrust, tlsOptions } from '../transport/tls.ts'
import type { Instant } from '../types.ts'
import { bearer, besidePolicy } from './http.ts'

export interface PushOptions extends TlsTrust {
  /** `…/device/policy`; the channel is `push` beside it, over ws where this is http and wss where it is https. */
  readonly policyUrl: string
  /** From the registration. A secret. */
  readonly credential: string
  readonly clock: Clock
  readonly jitter: Jitter
  /** Called at each connection, since a message may have been missed, and at each `{"type":"wake"}`. */
  readonly onWake: () => void
  /** Told each time that a connection is open, so many milliseconds after its handshake was begun; before `onWake`. */
  readonly onUp?: (durationMs: number) => void
  /** The address of this machine that connections come from. Default: the system's choice. */
  readonly localAddress?: string
  /** Told each time that a connection fails or ends, and why: `ERR_NETWORK`, or `ERR_UNAUTHORIZED` for 401 and 403. */
  readonly onDown?: (reason: AgentError) => void
}

export interface PushChannel {
  /** Ends the connection. Rejects with what a callback threw; that had ended the channel. */
  close(): Promise<void>
}

const firstDelayMs = 1_000
const maxDelayMs = 5 * 60_000
/** A connection that is silent from one ping to the next is dead. */
const pingIntervalMs = 60_000
const handshakeTimeoutMs = 30_000
const maxMessageBytes = 4_096

/**
 * Keeps a WebSocket open that only wakes: what is new is fetched, never pushed. Messages that it does not know are ignored.
 *
 * After a failure it connects again within 1 s, doubling to 5 min (full jitter), and begins anew once a connection has
 * lasted a ping. A refused credential is tried again after 2.5 to 5 min.
 */
export function connectPush(options: PushOptions): PushChannel {
  const closed = new AbortController()
  const running = stayConnected(options, closed.signal).catch((error: unknown) => {
    if (!closed.signal.aborted || error !== closed.signal.reason) throw error
  })
  // A bug in a callback waits for whoever closes the channel.
  running.catch(() => undefined)
  return {
    close() {
      closed.abort()
      return running
    },
  }
}

async function stayConnected(options: PushOptions, signal: AbortSignal): Promise<void> {
  const { clock, jitter, onDown } = options
  for (let failures = 0; ; ) {
    signal.throwIfAborted()
    const { reason, openedAt } = await connection(options, signal)
    signal.throwIfAborted()
    onDown?.(reason)
    failures = openedAt !== undefined && clock.now() - openedAt >= pingIntervalMs ? 0 : failures + 1
    await clock.sleep(retryDelayMs(reason, failures, jitter), signal)
  }
}

function retryDelayMs(reason: AgentError, failures: number, jitter: Jitter): number {
  if (reason.code === 'ERR_UNAUTHORIZED') return jitter.between(maxDelayMs / 2, maxDelayMs)
  return jitter.between(0, Math.min(maxDelayMs, firstDelayMs * 2 ** Math.max(0, failures - 1)))
}

interface EndedConnection {
  readonly reason: AgentError
  /** When it was open, if ever. */
  readonly openedAt?: Instant
}

/** One connection from its handshake to its end. Rejects with what a callback threw. */
function connection(options: PushOptions, signal: AbortSignal): Promise<EndedConnection> {
  return new Promise((resolve, reject) => {
    const { clock, onWake } = options
    const begunMs = stopwatchMs()
    const socket = openSocket(options)
    const ended = new AbortController()
    let reason: AgentError | undefined
    let openedAt: Instant | undefined
    const terminate = () => socket.terminate()
    const tell = (callback: () => void) => {
      try {
        callback()
      } catch (error) {
        reject(error)
        terminate()
      }
    }
    const wake = () => tell(onWake)
    signal.addEventListener('abort', terminate, { once: true })
    socket.on('open', () => {
      openedAt = clock.now()
      tell(() => options.onUp?.(stopwatchMs() - begunMs))
      pingUntilDead(socket, clock, ended.signal).catch(reject)
      wake()
    })
    socket.on('message', (data, isBinary) => {
      if (!isBinary && isWake(data.toString())) wake()
    })
    socket.on('unexpected-response', (_, { statusCode = 0 }) => {
      reason = refusal(statusCode, socket.url)
      terminate()
    })
    socket.on('error', (error) => {
      reason ??= failure(`failed: ${error.message}`, socket.url, { cause: error })
    })
    socket.on('close', () => {
      signal.removeEventListener('abort', terminate)
      ended.abort(connectionEnded)
      reason ??= failure('ended', socket.url)
      resolve(openedAt === undefined ? { reason } : { reason, openedAt })
    })
  })
}

/** A reason made once: an abort without one makes an error with a stack. */
const connectionEnded = 'the connection has ended'

function openSocket({ policyUrl, credential, localAddress, ...trust }: PushOptions): WebSocket {
  return new WebSocket(besidePolicy(policyUrl, 'push').replace(/^http/, 'ws'), {
    ...tlsOptions(trust),
    ...(localAddress !== undefined && { localAddress }),
    headers: bearer(credential),
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    handshakeTimeout: handshakeTimeoutMs,
  })
}

/** Also notices a connection of which only this half is left. Ends with the connection. */
async function pingUntilDead(socket: WebSocket, clock: Clock, ended: AbortSignal): Promise<void> {
  let heard = true
  const hear = () => {
    heard = true
  }
  for (const event of ['pong', 'ping', 'message']) socket.on(event, hear)
  while (heard && !ended.aborted) {
    heard = false
    socket.ping()
    await clock.sleep(pingIntervalMs, ended).catch((error: unknown) => {
      if (!ended.aborted) throw error
    })
  }
  socket.terminate()
}

function refusal(status: number, url: string): AgentError {
  const refused = status === 401 || status === 403
  return new AgentError(refused ? 'ERR_UNAUTHORIZED' : 'ERR_NETWORK', `${new URL(url).host} answered ${status} to the push connection`)
}

function failure(how: string, url: string, options?: { cause: unknown }): AgentError {
  return new AgentError('ERR_NETWORK', `the push connection to ${new URL(url).host} ${how}`, options)
}

const wakeSchema = z.object({ type: z.literal('wake') })

function isWake(text: string): boolean {
  try {
    return wakeSchema.safeParse(JSON.parse(text)).success
  } catch {
    return false
  }
}
