import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { alarm } from '../alarm.ts'
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

interface Channel {
  readonly options: PushOptions
  /** In a row. */
  failures: number
  /** Absent between two connections. */
  socket?: WebSocket | undefined
  /** When that was open, if ever. */
  openedAt?: Instant | undefined
  /** Something came since the last ping. */
  isHeard: boolean
  /** Of the next ping, or the next connection. */
  callOff: () => void
  /** Whoever closes the channel is told once the connection has ended. */
  end?: { readonly ended: Promise<void>; readonly resolve: () => void }
  /** What a callback threw. */
  bug?: { readonly error: unknown }
}

/**
 * Keeps a WebSocket open that only wakes: what is new is fetched, never pushed. Messages that it does not know are ignored.
 *
 * After a failure it connects again within 1 s, doubling to 5 min (full jitter), and begins anew once a connection has
 * lasted a ping. A refused credential is tried again after 2.5 to 5 min.
 */
export function connectPush(options: PushOptions): PushChannel {
  const channel: Channel = { options, failures: 0, isHeard: true, callOff: nothing }
  begin(channel)
  return { close: () => close(channel) }
}

function begin(channel: Channel): void {
  tell(channel, () => connect(channel))
}

async function close(channel: Channel): Promise<void> {
  end(channel)
  await channel.end?.ended
  if (channel.bug) throw channel.bug.error
}

/** No connection follows; one that there is is cut. */
function end(channel: Channel): void {
  if (channel.end) return
  let resolve = nothing
  const ended = new Promise<void>((settle) => {
    resolve = settle
  })
  channel.end = { ended, resolve }
  channel.callOff()
  if (channel.socket) channel.socket.terminate()
  else resolve()
}

/** A bug ends the channel, and waits for whoever closes it. */
function tell(channel: Channel, callback: () => void): void {
  try {
    callback()
  } catch (error) {
    channel.bug ??= { error }
    end(channel)
  }
}

/** One connection; its end leads to the next. */
function connect(channel: Channel): void {
  const { onWake, onUp, clock } = channel.options
  const begunMs = stopwatchMs()
  const socket = openSocket(channel.options)
  let reason: AgentError | undefined
  channel.socket = socket
  channel.openedAt = undefined
  socket.once('open', () => {
    channel.openedAt = clock.now()
    channel.isHeard = true
    ping(channel, socket)
    tell(channel, () => onUp?.(stopwatchMs() - begunMs))
    tell(channel, onWake)
  })
  const hear = () => {
    channel.isHeard = true
  }
  socket.on('ping', hear).on('pong', hear)
  socket.on('message', (data, isBinary) => {
    hear()
    if (!isBinary && isWake(data.toString())) tell(channel, onWake)
  })
  socket.on('unexpected-response', (_, { statusCode = 0 }) => {
    reason = refusal(statusCode, socket.url)
    socket.terminate()
  })
  socket.on('error', (error) => {
    reason ??= failure(`failed: ${error.message}`, socket.url, { cause: error })
  })
  socket.on('close', () => connectAgain(channel, reason ?? failure('ended', socket.url)))
}

function connectAgain(channel: Channel, reason: AgentError): void {
  const { clock, jitter, onDown } = channel.options
  const { openedAt } = channel
  channel.callOff()
  channel.socket = undefined
  if (!channel.end && onDown) tell(channel, () => onDown(reason))
  channel.end?.resolve()
  if (channel.end) return
  channel.failures = openedAt !== undefined && clock.now() - openedAt >= pingIntervalMs ? 0 : channel.failures + 1
  channel.callOff = alarm(clock, retryDelayMs(reason, channel.failures, jitter), () => begin(channel))
}

function retryDelayMs(reason: AgentError, failures: number, jitter: Jitter): number {
  if (reason.code === 'ERR_UNAUTHORIZED') return jitter.between(maxDelayMs / 2, maxDelayMs)
  return jitter.between(0, Math.min(maxDelayMs, firstDelayMs * 2 ** Math.max(0, failures - 1)))
}

function openSocket({ policyUrl, credential, localAddress, ...trust }: PushOptions): WebSocket {
  const url = besidePolicy(policyUrl, 'push').replace(/^http/, 'ws')
  return new WebSocket(url, {
    ...(url.startsWith('wss') && tlsOf(trust)),
    ...(localAddress !== undefined && { localAddress }),
    headers: bearer(credential),
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
    handshakeTimeout: handshakeTimeoutMs,
  })
}

const contexts = new WeakMap<readonly Uint8Array[], SecureContext>()
const systemTrust: readonly Uint8Array[] = []

/** All connections that trust the same list share what node:tls makes of it, which is large; a client's own key is for its connections alone. */
function tlsOf({ trustAnchors = systemTrust, ...trust }: TlsTrust): ConnectionOptions {
  const options = tlsOptions(trustAnchors === systemTrust ? trust : { trustAnchors, ...trust })
  if (trust.clientIdentity) return options
  const secureContext = contexts.get(trustAnchors) ?? createSecureContext(options)
  contexts.set(trustAnchors, secureContext)
  return { rejectUnauthorized: options.rejectUnauthorized, secureContext }
}

/** Also notices a connection of which only this half is left. */
function ping(channel: Channel, socket: WebSocket): void {
  if (!channel.isHeard) socket.terminate()
  else {
    channel.isHeard = false
    socket.ping()
    channel.callOff = alarm(channel.options.clock, pingIntervalMs, () => ping(channel, socket))
  }
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

function nothing(): void {}
