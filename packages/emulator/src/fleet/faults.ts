import { AgentError, type Clock, type HttpRequest, type Jitter, type Transport } from '@certfleet/agent-core'
import type { FaultsDocument } from '../scenario/load-schema.ts'

/** In the order of reports. */
export const injectedFaults = ['lostRequests', 'lostAnswers', 'delayed'] as const
export type InjectedFault = (typeof injectedFaults)[number]

export interface FaultOptions {
  readonly faults: FaultsDocument
  /** One device's own: a seed then gives the same faults whatever the others do. */
  readonly chance: Jitter
  readonly clock: Clock
  /** Told of each fault as it happens. */
  readonly onFault: (fault: InjectedFault) => void
}

const defaultDelayMs = 1_000
const million = 1_000_000

/**
 * A way on which requests are lost before they are sent, answers after the service did what was asked (`ERR_NETWORK` at once, both), and
 * requests held up. Each is drawn on its own, in that order, so that one share does not move the others.
 */
export function faultyTransport(transport: Transport, { faults, chance, clock, onFault }: FaultOptions): Transport {
  const { lostRequests = 0, lostAnswers = 0, delayed = 0, delay = defaultDelayMs } = faults
  const happens = (share: number) => chance.between(1, million) <= share * million
  return {
    async send(request, signal) {
      const [losesRequest, losesAnswer, isDelayed] = [happens(lostRequests), happens(lostAnswers), happens(delayed)]
      const delayMs = chance.between(0, delay)
      if (isDelayed) {
        onFault('delayed')
        await clock.sleep(delayMs, signal)
      }
      if (losesRequest) {
        onFault('lostRequests')
        throw lost('the request to', request)
      }
      const response = await transport.send(request, signal)
      if (!losesAnswer) return response
      onFault('lostAnswers')
      throw lost('the answer of', request)
    },
  }
}

function lost(what: string, { url }: HttpRequest): AgentError {
  return new AgentError('ERR_NETWORK', `${what} ${new URL(url).host} was lost: the scenario's faults`)
}
