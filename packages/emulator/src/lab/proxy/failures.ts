import { type IncomingMessage, type RequestListener, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { AgentError } from '@certfleet/agent-core'
import { tookTooLong } from '../tls/peer.ts'
import type { RawHeaders } from './headers.ts'

export type OnError = (error: unknown) => void

export interface Listening {
  /** Requests at once, over however many connections; more get 503. */
  readonly maxExchanges: number
  readonly onError: OnError
  answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
}

/** Bounds what is under way: a client may send many requests on one connection before the first is answered. */
export function listener({ maxExchanges, onError, answer }: Listening): RequestListener {
  let underWay = 0
  return (incoming, outgoing) => {
    if (underWay >= maxExchanges) return refuse(outgoing, 503, { 'retry-after': '1' })
    underWay++
    outgoing.on('close', () => underWay--)
    answer(incoming, outgoing).catch((error) => fail(outgoing, error, onError))
  }
}

/** An answer without a body and without a reason; nothing of a request that was refused is read as the next one. */
export function refuse(outgoing: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}): void {
  outgoing.writeHead(status, { ...headers, 'content-length': '0', connection: 'close' }).end()
}

/** The same on a connection that node:http has handed over. */
export function refuseRaw(client: Duplex, status: number, headers: RawHeaders = []): void {
  writeHead(client, status, [...headers, 'content-length', '0', 'connection', 'close'])
  client.end()
}

/** The head of an answer on a connection that node:http has handed over. */
export function writeHead(client: Duplex, status: number, headers: RawHeaders): void {
  const fields = headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
  client.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${fields}\r\n`, 'latin1')
}

function fail(outgoing: ServerResponse, error: unknown, onError: OnError): void {
  if (outgoing.headersSent) outgoing.destroy()
  else refuse(outgoing, statusOf(error))
  onError(error)
}

/** 504 where the next hop took too long, 502 where it failed otherwise or is not trusted, 500 for a bug. */
export function statusOf(error: unknown): 500 | 502 | 504 {
  if (!(error instanceof AgentError)) return 500
  return error.cause === tookTooLong ? 504 : 502
}

/** What is foreseen goes untold; what nobody foresaw is a bug and ends the process. */
export function endOnBug(error: unknown): void {
  if (error instanceof AgentError) return
  queueMicrotask(() => {
    throw error
  })
}
