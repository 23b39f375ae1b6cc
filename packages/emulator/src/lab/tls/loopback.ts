import type { AddressInfo, Server, Socket } from 'node:net'

/** Binds to 127.0.0.1. `port` 0: any that is free. Returns the port. */
export async function listenOnLoopback(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** What ends a server and every connection that it has, tunnels included. Ending twice is not an error. */
export function endOf(server: Server): () => Promise<void> {
  const sockets = new Set<Socket>()
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  }
  server.on('connection', keep)
  server.on('secureConnection', keep)
  const end = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  let ending: Promise<void> | undefined
  return () => (ending ??= end())
}
