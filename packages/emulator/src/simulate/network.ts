import { AgentError, type HttpRequest, type HttpResponse, type Transport } from '@certfleet/agent-core'
import type { Chance } from './chance.ts'
import type { NetworkFault } from './faults.ts'
import type { Incarnation } from './incarnation.ts'
import type { Timeline } from './timeline.ts'

export interface NetworkOptions {
  readonly timeline: Timeline
  readonly life: Incarnation
  /** Of latency. */
  readonly chance: Chance
  /** The service in whatever state it is; `ERR_NETWORK` where it cannot be reached. */
  handle(request: HttpRequest): Promise<HttpResponse>
  /** What this request meets. */
  faultOf(request: HttpRequest): NetworkFault | undefined
}

/** After which a client gives up on a reply. */
const timeoutMs = 60_000

type Arrival = { readonly response: HttpResponse } | { readonly error: AgentError }

/** One device's way to the service, through virtual time. */
export function simulatedTransport({ timeline, life, chance, handle, faultOf }: NetworkOptions): Transport {
  return {
    send(request, signal) {
      const fault = faultOf(request)
      const latencyMs = chance.between(10, 150) + (fault === 'delayed' ? chance.between(1_000, timeoutMs / 2 - 1_000) : 0)
      return life.wait<HttpResponse>(signal, (end, fail) => {
        const later = (delayMs: number, what: () => void | Promise<void>) => timeline.at(timeline.now() + delayMs, what)
        const giveUp = () => later(timeoutMs, () => fail(new AgentError('ERR_NETWORK', `${hostOf(request)} did not answer`)))
        if (fault === 'request-lost') return giveUp()
        let withdraw = later(latencyMs, async () => {
          const arrived = await arrival(request, handle)
          if (fault === 'duplicated') await arrival(request, handle)
          if (fault === 'reply-lost') withdraw = giveUp()
          else withdraw = later(latencyMs, () => ('error' in arrived ? fail(arrived.error) : end(spoilt(arrived.response, fault))))
        })
        return () => withdraw()
      })
    },
  }
}

async function arrival(request: HttpRequest, handle: NetworkOptions['handle']): Promise<Arrival> {
  try {
    return { response: await handle(request) }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { error }
  }
}

/** As a function of the fault alone: never of the octets, which differ from run to run. */
function spoilt(response: HttpResponse, fault: NetworkFault | undefined): HttpResponse {
  if (fault === 'truncated') return { ...response, body: response.body.subarray(0, response.body.length >> 1) }
  if (fault === 'wrong-answer') return { status: 200, headers: { 'content-type': 'text/html' }, body: Buffer.from('<html>sign in</html>') }
  return response
}

function hostOf({ url }: HttpRequest): string {
  return new URL(url).host
}
