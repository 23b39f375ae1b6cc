import type { ScepHabits } from '@certfleet/agent-core'
import type { Behaviour } from '../behaviour.ts'
import { holds, says } from '../fact.ts'
import type { Os } from '../os.ts'
import { pendingScheduleOf } from '../retries.ts'
import { wireFacts } from '../wire-facts.ts'
import { appleFacts } from './facts.ts'

/** What iOS and macOS do alike, around what each of them calls itself and asks first. */
export function appleBehaviour(own: Pick<ScepHabits, 'order' | 'userAgent'>, os: Os): Behaviour {
  return {
    pendingSchedule: pendingScheduleOf(os),
    allowsHttp: says(appleFacts.http, os),
    pfx: { maxCertificates: says(appleFacts.pfxCertificates, os) },
    renewal: {
      begunBy: says(appleFacts.renewalBegunBy, os),
      onlyUnlocked: says(appleFacts.renewalUnlocked, os),
      afterExpiry: says(appleFacts.renewalAfterExpiry, os),
    },
    defaultKeyBits: says(appleFacts.keyBits, os),
    habits: (displayName) => ({
      ...own,
      message: says(appleFacts.message, os).replace('{displayName}', () => displayName),
      urlSuffix: says(appleFacts.urlSuffix, os),
      signerSubject: says(appleFacts.signer, os),
      transactionIdHash: says(appleFacts.transactionId, os),
      needsDigest: holds(wireFacts.iosNeedsDigest, os) || holds(wireFacts.macosNeedsDigest, os),
      renewal: says(appleFacts.renewal, os),
      urls: says(appleFacts.urls, os),
    }),
  }
}
