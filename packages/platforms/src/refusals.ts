import { AgentError, type ScepProfile } from '@certfleet/agent-core'
import { type Fact, holds, says } from './fact.ts'
import type { Os } from './os.ts'
import { settingFactOf, treatmentOf } from './settings.ts'

export const refusalFacts = {
  keyUsage: {
    id: 'windows.key-usage.required',
    platforms: ['windows', 'windows-phone'],
    effect: 'A request for neither digital signature nor key encipherment fails before anything is sent.',
    value: 1,
    source: 'W-DDF Install/KeyUsage',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>

/** What this OS takes in no profile: `ERR_UNSUPPORTED`, with the fact. */
export function refuseRejected({ multiFactor, request }: ScepProfile, os: Os): void {
  if (multiFactor && treatmentOf('multiFactor', os) === 'rejected') {
    refuse(settingFactOf('multiFactor', os), `${os.system} ${os.version} knows no multi-factor authentication for a certificate`)
  }
  const { keyUsage } = refusalFacts
  if (holds(keyUsage, os) && request.keyUsages.length < says(keyUsage, os)) {
    refuse(keyUsage, `${os.system} asks for digital signature, key encipherment or both, the profile names none`)
  }
}

/** The cause is the fact. */
export function refuse(fact: Fact, reason: string): never {
  throw new AgentError('ERR_UNSUPPORTED', `${reason} (${fact.id})`, { cause: fact })
}
