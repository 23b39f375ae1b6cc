import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InputError } from '../scenario/input-error.ts'
import type { LiveFacts } from './live.ts'

export interface MetricsOptions {
  /** 0: any that is free. */
  readonly port: number
  /** Read at each scrape. */
  readonly read: () => LiveFacts
}

export interface ServedMetrics {
  /** `http://127.0.0.1:<port>/metrics` */
  readonly url: string
  readonly port: number
  /** Ends the server at once, with the scrapes that are open. Closing twice is not an error. */
  close(): Promise<void>
}

/** Prometheus's text format 0.0.4 at `GET /metrics`, on loopback alone. A port that cannot be had is an `InputError`. */
export async function serveMetrics({ port, read }: MetricsOptions): Promise<ServedMetrics> {
  // prom-client takes longer to load than everything else of a run.
  const { metricsText, metricsType } = await import('./metrics-text.ts')
  const server = createServer(({ method, url }, response) => {
    if (method !== 'GET' || url?.split('?')[0] !== '/metrics')
      return answer(response, 404, 'text/plain; charset=utf-8', 'metrics are at GET /metrics\n')
    void metricsText(read()).then((text) => answer(response, 200, metricsType, text))
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve)).catch((error) =>
    portRefused(port, error),
  )
  const { port: taken } = server.address() as AddressInfo
  let closing: Promise<void> | undefined
  return { url: `http://127.0.0.1:${taken}/metrics`, port: taken, close: () => (closing ??= closed(server)) }
}

function answer(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { 'content-type': contentType }).end(text)
}

function portRefused(port: number, error: NodeJS.ErrnoException): never {
  if (error.code === 'EADDRINUSE')
    throw new InputError(`--metrics: port ${port} of 127.0.0.1 is taken; end what holds it, or name another, or 0 for any that is free`)
  if (error.code === 'EACCES') throw new InputError(`--metrics: port ${port} may not be opened by this user; name one above 1023`)
  throw error
}

async function closed(server: Server): Promise<void> {
  const ended = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  await ended
}
