import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type HttpRequest, type HttpResponse, seededJitter } from '@certfleet/agent-core'
import type { Test } from 'tap'

/** What a server does to a request instead of answering it. */
export const badHabits = {
  /** 503, and the request is dropped. */
  error: async (_request: HttpRequest, outgoing: ServerResponse) => void outgoing.writeHead(503).end(),
  /** Nothing, ever. */
  hang: async () => {},
  /** Reads the request and closes the connection. */
  close: async (_request: HttpRequest, outgoing: ServerResponse) => void outgoing.destroy(),
  /** Half the answer, then closes. */
  half: async (request: HttpRequest, outgoing: ServerResponse, answer: Answer) => {
    const body = await begin(request, outgoing, answer)
    outgoing.write(body.subarray(0, body.length >> 1), () => outgoing.destroy())
  },
  /** An octet of the answer each 20 ms. */
  drip: async (request: HttpRequest, outgoing: ServerResponse, answer: Answer) => {
    const body = await begin(request, outgoing, answer)
    let sent = 0
    const dripping = setInterval(() => {
      if (sent < body.length) outgoing.write(body.subarray(sent, ++sent))
      else outgoing.end()
    }, 20)
    outgoing.on('close', () => clearInterval(dripping))
  },
} as const

export type BadHabit = keyof typeof badHabits

type Answer = (request: HttpRequest) => Promise<HttpResponse>

/** Long enough that half of it is no answer, and that its drops outlast any patience. */
const leastOctets = 1_000

async function begin(request: HttpRequest, outgoing: ServerResponse, answer: Answer): Promise<Buffer> {
  const { status, headers, body } = await answer(request)
  const padded = Buffer.concat([body], Math.max(body.length, leastOctets))
  outgoing.writeHead(status, { ...headers, 'content-length': String(padded.length) })
  return padded
}

export interface BadServerOptions {
  readonly habit: BadHabit
  /** Of the requests that `among` lets through to it, by seed. Default 1: all. */
  readonly share?: number
  readonly seed?: string
  /** Which requests it may happen to, by path. Default: all. */
  readonly among?: RegExp
}

export interface BadServer {
  readonly url: string
  /** Requests that were not answered as they should have been. */
  spoilt(): number
  requests(): number
}

/** On loopback, in front of `answer`; the end of the test ends it, with every connection. */
export async function badServer(t: Test, answer: Answer, options: BadServerOptions): Promise<BadServer> {
  const { habit, share = 1, seed = 'bad', among = /./ } = options
  const chance = seededJitter(seed)
  const counts = { requests: 0, spoilt: 0 }
  const server = createServer(async (incoming, outgoing) => {
    const request = await requestOf(incoming)
    counts.requests++
    if (!among.test(request.url) || chance.between(1, 1_000) > share * 1_000) return respond(outgoing, await answer(request))
    counts.spoilt++
    return badHabits[habit](request, outgoing, answer)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, spoilt: () => counts.spoilt, requests: () => counts.requests }
}

async function requestOf(incoming: IncomingMessage): Promise<HttpRequest> {
  const { method, url = '/' } = incoming
  const body = Buffer.concat(await incoming.toArray())
  return {
    method: method as HttpRequest['method'],
    url,
    headers: incoming.headers as Record<string, string>,
    ...(body.length > 0 && { body }),
  }
}

function respond(outgoing: ServerResponse, { status, headers, body }: HttpResponse): void {
  outgoing.writeHead(status, headers).end(body)
}
