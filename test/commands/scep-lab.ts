import { type HttpRequest, systemClock } from '@certfleet/agent-core'
import { createLab, type Lab, serveLab } from '@certfleet/emulator/lab'
import type { Test } from 'tap'
import { labStore } from '../fakes/lab-store.ts'

export const challenge = 'open-sesame-17'

export interface ScepLab {
  readonly lab: Lab
  readonly url: string
  /** What reached it, in order. */
  readonly requests: readonly HttpRequest[]
  decision: 'issue' | 'pending'
  /** Every POST is answered with status 500. */
  isBroken: boolean
}

/** A lab on loopback with one challenge for all; the end of the test ends it. */
export async function scepLab(t: Test): Promise<ScepLab> {
  const requests: HttpRequest[] = []
  const lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    policyFor: () => undefined,
    registrationToken: 'token',
    staticChallenge: challenge,
    approve: () => own.decision,
  })
  const { scepUrl, close } = await serveLab({
    ...lab,
    async handle(request) {
      requests.push(request)
      return own.isBroken && request.method === 'POST' ? { status: 500, headers: {}, body: new Uint8Array() } : lab.handle(request)
    },
  })
  t.teardown(() => close())
  const own: ScepLab = { lab, url: scepUrl, requests, decision: 'issue', isBroken: false }
  return own
}
