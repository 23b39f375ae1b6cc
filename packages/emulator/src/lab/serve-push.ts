import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Lab } from './lab.ts'

/** A push peer that vanished without a word is noticed by TCP. */
const keepAliveProbeMs = 60_000
const maxPushMessageBytes = 4_096
/** A listener that does not read is cut when this much waits for it. */
const maxPushBacklogBytes = 64 * 1024

/** The upgrade of /device/push, for at most `maxConnections` at once. Whoever is refused is told by status only. */
export function servePush(lab: Lab, server: Server, maxConnections: number): WebSocketServer {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: maxPushMessageBytes })
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    if (!/^\/device\/push(\?|$)/i.test(incoming.url ?? '')) return refuseUpgrade(socket, 404)
    // A browser sends its page's origin; devices send none.
    if (incoming.headers.origin !== undefined) return refuseUpgrade(socket, 403)
    const { authorization = '' } = incoming.headers
    const probe = lab.connectPush({ authorization }, { send: () => {}, close: () => {} })
    if (probe === undefined) return refuseUpgrade(socket, 401)
    probe()
    if (sockets.clients.size >= maxConnections) return refuseUpgrade(socket, 503)
    incoming.socket.setKeepAlive(true, keepAliveProbeMs)
    sockets.handleUpgrade(incoming, socket, head, (webSocket) => connect(lab, webSocket, { authorization }))
  })
  return sockets
}

function connect(lab: Lab, webSocket: WebSocket, headers: Readonly<Record<string, string>>): void {
  const close = () => webSocket.terminate()
  const send = (text: string) => (webSocket.bufferedAmount > maxPushBacklogBytes ? close() : webSocket.send(text))
  const disconnect = lab.connectPush(headers, { send, close })
  webSocket.on('error', close)
  webSocket.on('close', () => disconnect?.())
  if (disconnect === undefined) close()
}

const reasons = { 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 503: 'Service Unavailable' } as const

function refuseUpgrade(socket: Duplex, status: keyof typeof reasons): void {
  const retry = status === 503 ? 'retry-after: 60\r\n' : ''
  // Else a peer that keeps its half open would keep the connection.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${reasons[status]}\r\n${retry}connection: close\r\ncontent-length: 0\r\n\r\n`)
}
