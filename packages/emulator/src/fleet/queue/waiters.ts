/** Those who wait for something: each looks again whenever anything has changed. */
export type Waiters = Set<() => void>

export function changed(waiters: Waiters): void {
  for (const look of [...waiters]) look()
}

/** What `find` finds, as soon as it finds anything. Rejects with the signal's reason, and with what it throws. */
export async function when<T>(waiters: Waiters, signal: AbortSignal, find: () => T | undefined): Promise<T> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const end = () => {
      waiters.delete(look)
      signal.removeEventListener('abort', abort)
    }
    const abort = () => {
      end()
      reject(signal.reason)
    }
    const look = () => {
      try {
        const found = find()
        if (found === undefined) return
        end()
        resolve(found)
      } catch (error) {
        end()
        reject(error)
      }
    }
    signal.addEventListener('abort', abort)
    waiters.add(look)
    look()
  })
}
