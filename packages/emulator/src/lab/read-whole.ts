import type { IncomingMessage } from 'node:http'
import { maxBodyBytes } from './http.ts'

/**
 * The body, whole; what comes after the limit is read and dropped, so that the answer is read: closing on unread data would reset
 * the connection under it.
 */
export function readWhole(incoming: IncomingMessage): Promise<Uint8Array | 'too-large' | 'aborted'> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = []
    let length = 0
    incoming.on('data', (chunk: Uint8Array) => {
      length += chunk.length
      if (length <= maxBodyBytes) chunks.push(chunk)
      else resolve('too-large')
    })
    incoming.on('end', () => resolve(Buffer.concat(chunks)))
    incoming.on('close', () => resolve('aborted'))
  })
}
