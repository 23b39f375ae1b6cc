import type { Transport } from '@certfleet/agent-core'

/** Awaits the fence before each PKIOperation (RFC 8894 4.1), by whichever method it goes; one that is aborted meanwhile is not sent. */
export function fencedTransport(transport: Transport, fence: () => Promise<void>): Transport {
  return {
    async send(request, signal) {
      if (request.url.includes('operation=PKIOperation')) await unlessAborted(fence, signal)
      return transport.send(request, signal)
    },
  }
}

/** A fence may stand for ever: the queue is gone, or another has the shard. */
async function unlessAborted(fence: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return fence()
  signal.throwIfAborted()
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    await Promise.race([fence(), aborted])
    signal.throwIfAborted()
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
