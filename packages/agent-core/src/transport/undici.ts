import { Agent, type Dispatcher } from 'undici'
import { AgentError } from '../errors.ts'
import type { Clock, HttpRequest, HttpResponse, Transport } from '../ports.ts'
import { systemClock } from '../system.ts'
import { judgingLookup, type LocalAddresses } from './local-address.ts'
import { type TlsTrust, tlsOptions } from './tls.ts'
import { maxResponseBytes, networkUrl } from './url.ts'

export interface HttpTransportOptions extends TlsTrust, LocalAddresses {
  /** For the whole exchange, and for each of connecting, the response's headers and every pause in its body. Default 30 s. */
  readonly timeoutMs?: number
  /** Default 16 MiB. */
  readonly maxResponseBytes?: number
  /** At most so many connections to one origin; further requests wait for one. Default: no limit. */
  readonly connections?: number
  /** Counts the time of the whole exchange. Default: the machine's. */
  readonly clock?: Clock
}

export interface HttpTransport extends Transport {
  /** Ends all connections; a request under way fails with `ERR_NETWORK`. */
  close(): Promise<void>
}

/**
 * HTTP/1.1 over pooled connections, one pool an origin. No redirect, cookie, cache, proxy or content coding.
 * Loopback and link-local addresses are asked by option only, by whatever name: URLs come from policies.
 * A message names the host and what failed, never headers, body or query: the query of a SCEP GET is the message.
 */
export function httpTransport(options: HttpTransportOptions = {}): HttpTransport {
  const { timeoutMs = 30_000, clock = systemClock } = options
  const limit = options.maxResponseBytes ?? maxResponseBytes
  const pools = new Agent({
    connect: { ...tlsOptions(options), timeout: timeoutMs, lookup: judgingLookup(options) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: limit,
    ...(options.connections !== undefined && { connections: options.connections }),
  })
  return {
    async send(request, signal) {
      const url = networkUrl(request.url, options)
      signal?.throwIfAborted()
      return exchange(pools, url, request, { limit, timeoutMs, clock, ...(signal && { signal }) })
    },
    close: () => pools.destroy(),
  }
}

interface ExchangeOptions {
  readonly limit: number
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal?: AbortSignal
}

/** A reason made once: an abort without one makes an error with a stack, at every exchange. */
const exchangeEnded = 'the exchange has ended'

/** By undici's dispatch: its promise API notices an abort only once the request has a connection. */
function exchange(
  pools: Agent,
  url: URL,
  request: HttpRequest,
  { limit, timeoutMs, clock, signal }: ExchangeOptions,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const settled = new AbortController()
    let controller: Dispatcher.DispatchController | undefined
    let status = 0
    let headers: HttpResponse['headers'] = {}
    const chunks: Buffer[] = []
    const end = () => {
      settled.abort(exchangeEnded)
      signal?.removeEventListener('abort', onAbort)
    }
    const fail = (reason: unknown) => {
      if (settled.signal.aborted) return
      end()
      reject(reason)
      controller?.abort(new Error('the request was given up'))
    }
    const onAbort = () => fail(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    clock.sleep(timeoutMs, settled.signal).then(
      () => fail(new AgentError('ERR_NETWORK', `no response from ${url.host} within ${timeoutMs} ms`)),
      () => undefined,
    )
    pools.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: request.headers,
        body: request.body ?? null,
      },
      {
        onRequestStart(started) {
          controller = started
          if (settled.signal.aborted) started.abort(new Error('the request was given up'))
        },
        onResponseStart(_, statusCode, incoming) {
          status = statusCode
          headers = joined(incoming)
        },
        onResponseData: (_, chunk) => void chunks.push(chunk),
        onResponseEnd() {
          if (settled.signal.aborted) return
          end()
          resolve({ status, headers, body: new Uint8Array(Buffer.concat(chunks)) })
        },
        onResponseError: (_, error) => fail(asAgentError(error, url.host, limit)),
      },
    )
  })
}

/** One value a name; `fromEntries` makes own members of any name. */
function joined(headers: Readonly<Record<string, string | string[] | undefined>>): HttpResponse['headers'] {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), [value ?? ''].flat().join(', ')]))
}

function asAgentError(error: Error & { code?: unknown; data?: unknown }, host: string, limit: number): Error {
  if (error instanceof AgentError) return error
  switch (error.code) {
    case 'UND_ERR_INVALID_ARG':
      return error
    case 'UND_ERR_RES_EXCEEDED_MAX_SIZE':
      return new AgentError('ERR_LIMIT_EXCEEDED', `the response of ${host} is longer than ${limit} bytes`, { cause: error })
    default:
      // A parser's error quotes the response, which may be a challenge.
      if (error.data !== undefined) error.data = undefined
      return new AgentError('ERR_NETWORK', `the request to ${host} failed: ${String(error.code ?? error.message)}`, { cause: error })
  }
}
