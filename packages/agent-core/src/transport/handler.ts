import { AgentError } from '../errors.ts'
import type { HttpRequest, HttpResponse, Transport } from '../ports.ts'
import { maxResponseBytes, requestUrl } from './url.ts'

export interface HandlerTransportOptions {
  /** Default 16 MiB. */
  readonly maxResponseBytes?: number
}

/**
 * A transport without a network: `handler` answers each request in this process.
 * What the handler throws is thrown to the sender; to play a network that fails, it throws `ERR_NETWORK`.
 */
export function handlerTransport(
  handler: (request: HttpRequest) => Promise<HttpResponse>,
  options: HandlerTransportOptions = {},
): Transport {
  const limit = options.maxResponseBytes ?? maxResponseBytes
  return {
    async send(request, signal) {
      const { host } = requestUrl(request.url)
      signal?.throwIfAborted()
      const response = await untilAborted(handler(request), signal)
      if (response.body.length > limit) throw new AgentError('ERR_LIMIT_EXCEEDED', `the response of ${host} is longer than ${limit} bytes`)
      return response
    },
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
