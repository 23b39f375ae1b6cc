import type { Behaviour } from '../behaviour.ts'
import type { Os } from '../os.ts'
import { windowsFacts } from './facts.ts'
import { windowsKeyStorage, windowsPfxKeyStorage } from './key-storage.ts'

/** Windows 8.1 and later, and Windows Phone, which is taken to speak the same on the wire. */
export function windowsBehaviour(os: Os): Behaviour {
  const delayMs = windowsFacts.pendingDelayMs.value
  return {
    pendingSchedule: { polls: windowsFacts.pendingPolls.value, firstDelayMs: delayMs, delayMs },
    renewal: { begunBy: windowsFacts.renewalBegunBy.value, onlyUnlocked: false, afterExpiry: windowsFacts.renewalAfterExpiry.value },
    allowsHttp: windowsFacts.http.value,
    habits: () => ({
      order: windowsFacts.order.value,
      message: windowsFacts.message.value,
      urlSuffix: windowsFacts.urlSuffix.value,
      userAgent: windowsFacts.userAgent.value,
      signerSubject: windowsFacts.signer.value,
      renewal: windowsFacts.renewal.value,
      urls: windowsFacts.urls.value,
    }),
    keyStorage: (wish) => windowsKeyStorage(wish, os),
    pfx: { keyStorage: (request) => windowsPfxKeyStorage(request, os) },
  }
}
