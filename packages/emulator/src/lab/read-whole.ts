import type { IncomingMessage } from 'node:http'
import { maxBodyBytes } from './http.ts'

/** What may be held at once, over all who hold some of it. */
export interface Budget {
  /** One holder's part: `take` says no where there is not that much left, `release` gives all of it back. */
  share(): { take(octets: number): boolean; release(): void }
}

export function octetBudget(octets: number): Budget {
  let left = octets
  return {
    share() {
      let held = 0
      return {
        take(more) {
          if (more > left) return false
          left -= more
          held += more
          return true
        },
        release() {
          left += held
          held = 0
        },
      }
    },
  }
}

type Whole = Uint8Array | 'too-large' | 'aborted'

const leastRoom = 1024

/**
 * The body, whole; what comes after the limit is read and dropped, so that the answer is read: closing on unread data would reset
 * the connection under it. `take` is asked before room is made, default always yes; `no-room` where it says no.
 */
export function readWhole(incoming: IncomingMessage): Promise<Whole>
export function readWhole(incoming: IncomingMessage, take: (octets: number) => boolean): Promise<Whole | 'no-room'>
export function readWhole(incoming: IncomingMessage, take: (octets: number) => boolean = () => true): Promise<Whole | 'no-room'> {
  return new Promise((resolve) => {
    // One buffer: kept as they come, chunks of one octet would cost hundreds of octets each.
    let room = Buffer.alloc(0)
    let length = 0
    let isOver = false
    const end = (body: Whole | 'no-room') => {
      isOver = true
      room = Buffer.alloc(0)
      resolve(body)
    }
    incoming.on('data', (chunk: Buffer) => {
      if (isOver) return
      const needed = length + chunk.length
      if (needed > maxBodyBytes) return end('too-large')
      if (needed > room.length) {
        const size = Math.min(maxBodyBytes, Math.max(leastRoom, needed, 2 * room.length))
        if (!take(size - room.length)) return end('no-room')
        room = Buffer.concat([room.subarray(0, length)], size)
      }
      chunk.copy(room, length)
      length = needed
    })
    incoming.on('end', () => end(room.subarray(0, length)))
    incoming.on('close', () => end('aborted'))
  })
}
