import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { HttpRequest } from '@certfleet/agent-core'
import type { Test } from 'tap'
import type { Handler } from '../contracts/transport.ts'

/** Serves on loopback until the test ends; over TLS where `tls` is given. Returns the origin. */
export async function serve(t: Test, listener: RequestListener, tls?: ServerOptions): Promise<string> {
  const server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http${tls ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export function listenerOf(handler: Handler, origin: () => string): RequestListener {
  return async (incoming, outgoing) => {
    const { status, headers, body } = await handler(await requestOf(incoming, origin()))
    outgoing.writeHead(status, headers)
    outgoing.end(body)
  }
}

async function requestOf(incoming: IncomingMessage, origin: string): Promise<HttpRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]))
  return { method: incoming.method === 'POST' ? 'POST' : 'GET', url: origin + incoming.url, headers, body: Buffer.concat(chunks) }
}
