import type { PfxSource, Reporter, Transport } from '@certfleet/agent-core'

/** Awaits the fence before each PKIOperation (RFC 8894 4.1), by whichever method it goes; one that is aborted meanwhile is not sent. */
export function fencedTransport(transport: Transport, fence: () => Promise<void>): Transport {
  return {
    async send(request, signal) {
      if (request.url.includes('operation=PKIOperation')) await unlessAborted(fence, signal)
      return transport.send(request, signal)
    },
  }
}

interface PfxService {
  readonly pfxSource: PfxSource
  readonly reporter: Reporter
}

/**
 * Awaits the fence before a PFX is asked for, as the service makes key and certificate once for each attempt; and before a report, after
 * which it gives that key up.
 */
export function fencedPfx({ pfxSource, reporter }: PfxService, fence: () => Promise<void>): PfxService {
  return {
    pfxSource: {
      async pfxFor(profileId, attemptId, signal) {
        await unlessAborted(fence, signal)
        return pfxSource.pfxFor(profileId, attemptId, signal)
      },
    },
    reporter: {
      async send(report, signal) {
        await unlessAborted(fence, signal)
        return reporter.send(report, signal)
      },
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
