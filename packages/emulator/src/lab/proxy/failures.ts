import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { AgentError } from '@certfleet/agent-core'
import { tookTooLong } from '../tls/peer.ts'

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

/** 504 where the next hop took too long, 502 where it failed otherwise or is not trusted, 500 for a bug. */
function fail(outgoing: ServerResponse, error: unknown, onError: OnError): void {
  if (outgoing.headersSent) outgoing.destroy()
  else refuse(outgoing, statusOf(error))
  onError(error)
}

function statusOf(error: unknown): 500 | 502 | 504 {
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
