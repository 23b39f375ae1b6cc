import { Agent, buildConnector, type Dispatcher } from 'undici'
import { AgentError } from '../errors.ts'
import type { Clock, HttpRequest, HttpResponse, Transport } from '../ports.ts'
import { stopwatchMs, systemClock } from '../system.ts'
import { type AbortWatch, abortWatch } from './abort-watch.ts'
import { type NetworkFailure, networkError } from './failure.ts'
import { judgingLookup, type LocalAddresses } from './local-address.ts'
import { type ProxyRoute, type ProxyServer, proxyRoute } from './proxy.ts'
import { type TimeLimit, timeLimit } from './time-limit.ts'
import { type TlsTrust, tlsOptions } from './tls.ts'
import { maxResponseBytes, networkUrl } from './url.ts'

export interface HttpTransportOptions extends TlsTrust, LocalAddresses {
  /**
   * For the whole exchange, where others are under way up to an eighth more, and for each of connecting, the response's headers and every
   * pause in its body. Default 30 s.
   */
  readonly timeoutMs?: number
  /** Default 16 MiB. */
  readonly maxResponseBytes?: number
  /**
   * Every request goes through it, and environment variables name none. Its own address may be anywhere: the operator names it. The
   * addresses in requests are judged as ever, and `localhost` with them; other names are resolved by the proxy, which has to judge them.
   * Trust, limits, times and signals are as without it. An account that it wants or refuses is `ERR_UNAUTHORIZED`; a tunnel that it does
   * not open, `ERR_NETWORK`; over plain http its other answers look like the server's. Default: none.
   */
  readonly proxy?: ProxyServer | undefined
  /** At most so many connections to one origin; further requests wait for one. Default: no limit. */
  readonly connections?: number
  /** The address of this machine that connections come from, where no proxy is. Default: the system's choice. */
  readonly localAddress?: string
  /** Told of each connection that was opened, TLS included, how many milliseconds that took; not of those through a proxy. */
  readonly onConnect?: (durationMs: number) => void
  /** Counts the time of the whole exchange. Default: the machine's. */
  readonly clock?: Clock
}

export interface HttpTransport extends Transport {
  /** Ends all connections; a request under way fails with `ERR_NETWORK`. */
  close(): Promise<void>
}

/**
 * HTTP/1.1 over pooled connections, one pool an origin. No redirect, cookie, cache or content coding, and a proxy by option only.
 * Loopback and link-local addresses are asked by option only, by whatever name: URLs come from policies.
 * A message names the host and what failed, never headers, body or query: the query of a SCEP GET is the message.
 * A proxy that cannot be one: `ERR_UNSUPPORTED`.
 */
export function httpTransport(options: HttpTransportOptions = {}): HttpTransport {
  const { timeoutMs = 30_000, clock = systemClock } = options
  const maxBytes = options.maxResponseBytes ?? maxResponseBytes
  const route = options.proxy && proxyRoute(options.proxy, { ...options, timeoutMs })
  const pools = new Agent({
    connect: route?.connect ?? directConnect(options, timeoutMs),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: maxBytes,
    ...(options.connections !== undefined && { connections: options.connections }),
  })
  const timing = { timeoutMs, limit: timeLimit(timeoutMs, clock) }
  const aborts = abortWatch()
  const judged = new Map<string, Target>()
  const targetOf = (text: string): Target => {
    const known = judged.get(text)
    if (known) return known
    const target = targetAt(networkUrl(text, { ...options, isProxied: route !== undefined }), route)
    if (text.length <= maxKnownCharacters && judged.size < maxKnownTargets) judged.set(text, target)
    return target
  }
  return {
    async send(request, signal) {
      const target = targetOf(request.url)
      signal?.throwIfAborted()
      return exchange(pools, target, request, { maxBytes, timing, aborts, route, signal })
    },
    async close() {
      await Promise.all([pools.destroy(), route?.close()])
    },
  }
}

function directConnect(options: HttpTransportOptions, timeoutMs: number): buildConnector.connector {
  const { localAddress, onConnect } = options
  const connect = buildConnector({
    ...tlsOptions(options),
    timeout: timeoutMs,
    lookup: judgingLookup(options),
    ...(localAddress !== undefined && { localAddress }),
  })
  if (!onConnect) return connect
  return (to, callback) => {
    const begunMs = stopwatchMs()
    connect(to, (...result) => {
      if (result[0] === null) onConnect(stopwatchMs() - begunMs)
      callback(...result)
    })
  }
}

/** Where a request goes: the same few URLs come again and again, and to read and judge one costs as much as to send it. */
interface Target {
  readonly url: URL
  readonly origin: string
  readonly path: string
  readonly forProxy: Readonly<Record<string, string>> | undefined
  /** For messages. */
  readonly host: string
}

const maxKnownTargets = 64
/** A longer one holds a message and does not come again. */
const maxKnownCharacters = 256

function targetAt(url: URL, route: ProxyRoute | undefined): Target {
  const { path, headers: forProxy } = route?.addressed(url) ?? { path: url.pathname + url.search, headers: undefined }
  return { url, origin: url.origin, path, forProxy, host: route ? `${url.host} through the proxy ${route.host}` : url.host }
}

interface ExchangeOptions {
  readonly maxBytes: number
  readonly timing: { readonly timeoutMs: number; readonly limit: TimeLimit }
  readonly aborts: AbortWatch
  readonly route: ProxyRoute | undefined
  readonly signal: AbortSignal | undefined
}

/** By undici's dispatch: its promise API notices an abort only once the request has a connection. */
function exchange(
  pools: Agent,
  { url, origin, path, forProxy, host }: Target,
  request: HttpRequest,
  { maxBytes, timing, aborts, route, signal }: ExchangeOptions,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    let isSettled = false
    let controller: Dispatcher.DispatchController | undefined
    let status = 0
    let headers: HttpResponse['headers'] = {}
    const chunks: Buffer[] = []
    const fail = (reason: unknown) => {
      if (isSettled) return
      end()
      reject(reason)
      controller?.abort(new Error('the request was given up'))
    }
    const endTime = timing.limit.begin(() => fail(new AgentError('ERR_NETWORK', `no response from ${host} within ${timing.timeoutMs} ms`)))
    const endWatch = signal && aborts.begin(signal, () => fail(signal.reason))
    const end = () => {
      isSettled = true
      endTime()
      endWatch?.()
    }
    pools.dispatch(
      {
        origin,
        path,
        method: request.method,
        headers: forProxy ? { ...request.headers, ...forProxy } : request.headers,
        body: request.body ?? null,
      },
      {
        onRequestStart(started) {
          controller = started
          if (isSettled) started.abort(new Error('the request was given up'))
        },
        onResponseStart(_, statusCode, incoming) {
          const refusal = route?.refusal(statusCode, url)
          if (refusal) return fail(refusal)
          status = statusCode
          headers = joined(incoming)
        },
        onResponseData: (_, chunk) => void chunks.push(chunk),
        onResponseEnd() {
          if (isSettled) return
          end()
          resolve({ status, headers, body: new Uint8Array(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)) })
        },
        onResponseError: (_, error) => fail(asAgentError(error, host, maxBytes)),
      },
    )
  })
}

/** One value a name; undici gives the names in lower case. Spread first, so that a header of any name is an own member. */
function joined(headers: Readonly<Record<string, string | string[] | undefined>>): HttpResponse['headers'] {
  const single = { ...headers }
  for (const name of Object.keys(single)) {
    const value = single[name]
    if (typeof value !== 'string') single[name] = value?.join(', ') ?? ''
  }
  return single as HttpResponse['headers']
}

function asAgentError(error: NetworkFailure, host: string, maxBytes: number): Error {
  if (error instanceof AgentError) return error
  switch (error.code) {
    case 'UND_ERR_INVALID_ARG':
      return error
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      return new AgentError('ERR_LIMIT_EXCEEDED', `the response of ${host} is longer than ${maxBytes} bytes`, { cause: error })
    default:
      return networkError(`the request to ${host} failed`, error)
  }
}
