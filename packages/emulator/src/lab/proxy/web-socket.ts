import { type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { AgentError } from '@certfleet/agent-core'
import { tookTooLong } from '../tls/peer.ts'
import { writeHead } from './failures.ts'
import { endToEnd, valuesOf } from './headers.ts'
import { maxHeaderBytes, onward, type Relayed, type RelayOptions } from './relay.ts'

/** The client's side of an upgrade. */
export interface Upgrading {
  readonly client: Socket
  /** What it sent behind its request already. */
  readonly head: Uint8Array
}

/** RFC 6455 4.2.1: the one upgrade that is passed on. */
export function wantsWebSocket({ method, rawHeaders }: IncomingMessage): boolean {
  return method === 'GET' && valuesOf(rawHeaders, 'upgrade').join().toLowerCase() === 'websocket'
}

/**
 * Asks the next hop for a WebSocket. Where it changes to that, what either side sends goes to the other as it comes, and the end of one
 * is the end of both; any other answer is passed on, and the connection with it ends. No answer: rejects with `ERR_NETWORK`, and nothing
 * was written.
 */
export function relayWebSocket(asked: Omit<Relayed, 'body'>, upgrading: Upgrading, { clock, timeoutMs }: RelayOptions): Promise<void> {
  const { socket, method, path, host } = asked
  const { client } = upgrading
  return new Promise((resolve, reject) => {
    const answered = new AbortController()
    const settle = (outcome: () => void) => {
      if (answered.signal.aborted) return
      answered.abort()
      client.off('close', leave)
      outcome()
      resolve()
    }
    const fail = (reason: string, cause?: unknown) =>
      settle(() => {
        socket.destroy()
        reject(new AgentError('ERR_NETWORK', `the next hop ${reason}`, { cause }))
      })
    const leave = () => settle(() => socket.destroy())
    client.on('close', leave)
    if (client.destroyed) return leave()
    clock.sleep(timeoutMs, answered.signal).then(
      () => fail(`did not answer within ${timeoutMs} ms`, tookTooLong),
      () => undefined,
    )
    const headers = [...onward(asked.headers, host), 'connection', 'Upgrade', 'upgrade', 'websocket']
    request({ method, path, headers, maxHeaderSize: maxHeaderBytes, createConnection: () => socket })
      .on('error', (error: Error & { code?: string }) => fail(`did not answer: ${error.code ?? error.message}`, error))
      .on('response', (response) => {
        const { statusCode = 0 } = response
        if (statusCode < 200 || statusCode > 599) return fail(`answered with status ${statusCode}`)
        settle(() => passOn(response, client, statusCode))
      })
      .on('upgrade', (response, _, early) => {
        if (response.headers.upgrade?.toLowerCase() !== 'websocket') return fail('changed to a protocol that nobody asked for')
        settle(() => join(response, { upstream: socket, early }, upgrading))
      })
      .end()
  })
}

/** A length that the body has is its end, as is the end of the connection (RFC 9112 6.3). */
function passOn(response: IncomingMessage, client: Socket, statusCode: number): void {
  writeHead(client, statusCode, [...endToEnd(response.rawHeaders), 'connection', 'close'])
  pipeline(response, client, () => response.destroy())
}

function join({ rawHeaders }: IncomingMessage, from: { upstream: Socket; early: Uint8Array }, { client, head }: Upgrading): void {
  const { upstream, early } = from
  writeHead(client, 101, [...endToEnd(rawHeaders), 'connection', 'Upgrade', 'upgrade', 'websocket'])
  client.write(early)
  upstream.write(head)
  tie(client, upstream)
  tie(upstream, client)
}

/** What was read is written on before the other side is closed. */
function tie(one: Socket, other: Socket): void {
  const close = () => other.destroySoon()
  one
    .on('error', () => undefined)
    .on('end', close)
    .on('close', close)
    .pipe(other)
}
