import type { Behaviour } from '../behaviour.ts'
import { holds } from '../fact.ts'
import type { Os } from '../os.ts'
import { androidFacts } from './facts.ts'

export function androidBehaviour(os: Os): Behaviour {
  const delayMs = androidFacts.pendingDelayMs.value
  return {
    pendingSchedule: { polls: androidFacts.pendingPolls.value, firstDelayMs: delayMs, delayMs },
    renewal: { begunBy: androidFacts.renewalBegunBy.value, onlyUnlocked: false, afterExpiry: androidFacts.renewalAfterExpiry.value },
    allowsHttp: androidFacts.http.value,
    pfx: { readsLegacyAlone: holds(androidFacts.pfxLegacy, os) },
    habits: () => ({
      order: androidFacts.order.value,
      message: androidFacts.message.value,
      urlSuffix: androidFacts.urlSuffix.value,
      userAgent: androidFacts.userAgent.value.replace('{version}', os.version),
      signerSubject: androidFacts.signer.value,
      renewal: androidFacts.renewal.value,
      urls: androidFacts.urls.value,
    }),
  }
}
