import { request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { AgentError, type Clock } from '@certfleet/agent-core'
import { tookTooLong } from '../tls/peer.ts'
import { endToEnd, type RawHeaders } from './headers.ts'

/** Room for 65534 bytes of URL or of one header (S56) and for the rest, both ways. */
export const maxHeaderBytes = 128 * 1024

/** One request as it goes on. */
export interface Relayed {
  /** To the next hop, connected and trusted; it carries this one exchange. */
  readonly socket: Socket
  readonly method: string
  /** As it was sent. */
  readonly path: string
  readonly host: string
  /** As they came in. */
  readonly headers: RawHeaders
  readonly body: Uint8Array
}

export interface RelayOptions {
  readonly clock: Clock
  /** For the whole exchange with the next hop. */
  readonly timeoutMs: number
}

/**
 * Asks the next hop and passes its answer on as it comes. No answer: rejects with `ERR_NETWORK`, and nothing was written.
 * One that breaks off, or that takes too long, is broken off for the client too.
 */
export function relay(relayed: Relayed, outgoing: ServerResponse, { clock, timeoutMs }: RelayOptions): Promise<void> {
  const { socket, method, path, body } = relayed
  return new Promise((resolve, reject) => {
    const ended = new AbortController()
    const end = () => {
      ended.abort()
      socket.destroy()
      resolve()
    }
    const fail = (reason: string, cause?: unknown) => {
      // To end an exchange is to break its connection, of which the request tells too.
      if (ended.signal.aborted) return
      if (outgoing.headersSent) outgoing.destroy()
      else reject(new AgentError('ERR_NETWORK', `the next hop ${reason}`, { cause }))
      end()
    }
    outgoing.on('close', end)
    clock.sleep(timeoutMs, ended.signal).then(
      () => fail(`did not answer within ${timeoutMs} ms`, tookTooLong),
      () => undefined,
    )
    request({ method, path, headers: headersFor(relayed), maxHeaderSize: maxHeaderBytes, createConnection: () => socket })
      .on('error', (error: Error & { code?: string }) => fail(`did not answer: ${error.code ?? error.message}`, error))
      .on('upgrade', () => fail('changed the protocol, which nobody asked for'))
      .on('response', (response) => {
        const { statusCode = 0 } = response
        // What node:http reads is more than what it writes.
        if (statusCode < 200 || statusCode > 599) return fail(`answered with status ${statusCode}`)
        outgoing.writeHead(statusCode, endToEnd(response.rawHeaders))
        pipeline(response, outgoing, () => undefined)
      })
      .end(body)
  })
}

function headersFor({ headers, host, method, body }: Relayed): string[] {
  const hasBody = body.length > 0 || method === 'POST' || method === 'PUT'
  const framing = hasBody ? ['content-length', String(body.length)] : []
  // The next hop serves this one exchange, and a body goes on whole.
  return [...onward(headers, host), 'connection', 'close', ...framing]
}

/** The headers of a request for the next hop, without those of the connection to it. RFC 9110 7.6.3 asks a gateway for Via. */
export function onward(headers: RawHeaders, host: string): string[] {
  return [...endToEnd(headers, 'host', 'content-length', 'expect', 'via'), 'host', host, 'via', '1.1 certfleet-lab']
}
