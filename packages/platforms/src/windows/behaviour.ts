import type { Behaviour } from '../behaviour.ts'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import { pendingScheduleOf } from '../retries.ts'
import { windowsFacts } from './facts.ts'
import { windowsKeyStorage, windowsPfxKeyStorage } from './key-storage.ts'

/** Windows 8.1 and later, and Windows Phone, which is taken to speak the same on the wire. */
export function windowsBehaviour(os: Os): Behaviour {
  return {
    pendingSchedule: pendingScheduleOf(os),
    renewal: {
      begunBy: says(windowsFacts.renewalBegunBy, os),
      onlyUnlocked: false,
      afterExpiry: says(windowsFacts.renewalAfterExpiry, os),
    },
    allowsHttp: says(windowsFacts.http, os),
    habits: () => ({
      order: says(windowsFacts.order, os),
      message: says(windowsFacts.message, os),
      urlSuffix: says(windowsFacts.urlSuffix, os),
      userAgent: says(windowsFacts.userAgent, os),
      signerSubject: says(windowsFacts.signer, os),
      renewal: says(windowsFacts.renewal, os),
      urls: says(windowsFacts.urls, os),
    }),
    keyStorage: (wish) => windowsKeyStorage(wish, os),
    pfx: { keyStorage: (request) => windowsPfxKeyStorage(request, os) },
  }
}
