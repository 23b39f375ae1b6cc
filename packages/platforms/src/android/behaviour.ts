import type { Behaviour } from '../behaviour.ts'
import { holds, says } from '../fact.ts'
import type { Os } from '../os.ts'
import { pendingScheduleOf } from '../retries.ts'
import { wireFacts } from '../wire-facts.ts'
import { androidFacts } from './facts.ts'

export function androidBehaviour(os: Os): Behaviour {
  return {
    pendingSchedule: pendingScheduleOf(os),
    renewal: {
      begunBy: says(androidFacts.renewalBegunBy, os),
      onlyUnlocked: false,
      afterExpiry: says(androidFacts.renewalAfterExpiry, os),
    },
    allowsUrlQuery: says(androidFacts.urlQuery, os),
    allowsHttp: says(androidFacts.http, os),
    pfx: { readsLegacyAlone: holds(androidFacts.pfxLegacy, os) },
    habits: () => ({
      order: says(androidFacts.order, os),
      message: says(androidFacts.message, os),
      urlSuffix: says(androidFacts.urlSuffix, os),
      userAgent: says(androidFacts.userAgent, os).replace('{version}', os.version),
      signerSubject: says(androidFacts.signer, os),
      signerSerialNumber: says(wireFacts.androidSerialNumber, os),
      transactionIdHash: says(androidFacts.transactionId, os),
      digest: says(wireFacts.androidDigest, os),
      renewal: says(androidFacts.renewal, os),
      urls: says(androidFacts.urls, os),
    }),
  }
}
