import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { Test } from 'tap'
import { type Finished, run, serve } from '../tooling/process.ts'
import { certfleet } from './peers.ts'

/** Inside the server's own network. */
export const scepserverUrl = 'http://127.0.0.1:2016/scep'

export interface Scepserver {
  /** Runs certfleet beside the server. */
  readonly command: (args: readonly string[]) => Promise<Finished>
  /** Carries a request of this process to the server. */
  readonly send: (request: HttpRequest) => Promise<HttpResponse>
}

/**
 * scepserver 2.1.0 listens on every address: it gets a network of its own. A program can come in to it; this process
 * reaches it by a Unix socket, which no network keeps apart, and a relay inside.
 */
export async function scepserver(t: Test, depot: string, socket: string, challenge: string): Promise<Scepserver> {
  const up = 'ip link set lo up && exec scepserver -depot "$1" -port 2016 -challenge="$2" -allowrenew 0'
  const { server } = await serve(t, 'unshare', ['-rn', 'sh', '-c', up, 'sh', depot, challenge], /msg=listening/)
  const inside = ['--target', String(server.pid), '--user', '--net', '--preserve-credentials', process.execPath]
  await serve(t, 'nsenter', [...inside, '-e', relay, socket], /relaying/)
  return {
    command: (args) => run('nsenter', [...inside, certfleet, ...args]),
    send: (request) => sendBy(socket, request),
  }
}

const relay = `
  const { connect, createServer } = require('node:net')
  const server = createServer((near) => {
    const far = connect(2016, '127.0.0.1')
    near.pipe(far).pipe(near)
    for (const [one, other] of [[near, far], [far, near]]) one.on('error', () => other.destroy())
  })
  server.listen(process.argv[1], () => console.log('relaying'))
`

async function sendBy(socketPath: string, { method, url, headers, body }: HttpRequest): Promise<HttpResponse> {
  const { host, pathname, search } = new URL(url)
  const outgoing = httpRequest({ socketPath, method, path: pathname + search, headers: { ...headers, host }, agent: false })
  const [[incoming]] = (await Promise.all([once(outgoing, 'response'), outgoing.end(body)])) as [[IncomingMessage], unknown]
  return { status: incoming.statusCode ?? 0, headers: {}, body: Buffer.concat(await incoming.toArray()) }
}
