import type { ScepHabits } from '@certfleet/agent-core'
import type { Behaviour } from '../behaviour.ts'
import { appleFacts } from './facts.ts'

/** What iOS and macOS do alike, around what each of them calls itself and asks first. */
export function appleBehaviour(own: Pick<ScepHabits, 'order' | 'userAgent'>): Behaviour {
  return {
    pendingSchedule: {
      polls: appleFacts.pendingPolls.value,
      firstDelayMs: appleFacts.pendingFirstDelayMs.value,
      delayMs: appleFacts.pendingDelayMs.value,
    },
    allowsHttp: appleFacts.http.value,
    pfx: { maxCertificates: appleFacts.pfxCertificates.value },
    renewal: {
      begunBy: appleFacts.renewalBegunBy.value,
      onlyUnlocked: appleFacts.renewalUnlocked.value,
      afterExpiry: appleFacts.renewalAfterExpiry.value,
    },
    defaultKeyBits: appleFacts.keyBits.value,
    habits: (displayName) => ({
      ...own,
      message: appleFacts.message.value.replace('{displayName}', () => displayName),
      urlSuffix: appleFacts.urlSuffix.value,
      signerSubject: appleFacts.signer.value,
      renewal: appleFacts.renewal.value,
      urls: appleFacts.urls.value,
    }),
  }
}
