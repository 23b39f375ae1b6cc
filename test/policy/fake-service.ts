import { AgentError, type HttpRequest, type HttpResponse, handlerTransport, type Transport } from '@certfleet/agent-core'

export const policyUrl = 'https://policy.invalid/device/policy'

export interface FakeService {
  readonly transport: Transport
  readonly requests: HttpRequest[]
  /** What stands at each path below `/device/`; anything else is 404. */
  readonly answers: Map<string, (request: HttpRequest) => HttpResponse>
  cut: boolean
}

/** A policy service in this process that takes only the given credential (401). */
export function fakeService(credential = 'credential-1'): FakeService {
  const service: FakeService = {
    requests: [],
    answers: new Map(),
    cut: false,
    transport: handlerTransport(async (request) => {
      if (service.cut) throw new AgentError('ERR_NETWORK', 'the cable is out')
      service.requests.push(request)
      if (request.headers.authorization !== `Bearer ${credential}`) return answer(401)
      const path = new URL(request.url).pathname.replace('/device/', '')
      return service.answers.get(path)?.(request) ?? answer(404)
    }),
  }
  return service
}

export function answer(status: number, body: unknown = '', headers: Readonly<Record<string, string>> = {}): HttpResponse {
  return { status, headers, body: new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)) }
}

export function jsonOf({ body }: HttpRequest): unknown {
  return JSON.parse(new TextDecoder().decode(body))
}
