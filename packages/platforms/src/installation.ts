import { identityInstallFacts, rootInstallFacts } from './android/modes-facts.ts'
import { rootTrustFacts } from './apple/trust-facts.ts'
import { type Fact, holds, says } from './fact.ts'
import type { Os } from './os.ts'

/** How certificates get onto a device, and what of it is left to its user. */
export interface Installation {
  /** Of a root. `prompt`: the user confirms. `by-hand`: no policy installs it; its user does, under the name of its profile. */
  readonly root: 'silent' | 'prompt' | 'by-hand'
  /** Of a certificate with its key. `prompt`: the user confirms the installation and then the access to the key. */
  readonly identity: 'silent' | 'prompt'
  /** When TLS trusts a root that is installed. */
  readonly trust: 'at-once' | 'by-user'
}

/** Where no row holds, the user is not asked. */
export function installationOf(os: Os): Installation {
  return {
    root: saidBy(rootInstallFacts, os) ?? 'silent',
    identity: saidBy(identityInstallFacts, os) ?? 'silent',
    trust: saidBy(rootTrustFacts, os) ?? 'at-once',
  }
}

function saidBy<Value>(rows: readonly Fact<Value>[], os: Os): Value | undefined {
  const row = rows.find((fact) => holds(fact, os))
  return row && (says(row, os) as Value)
}
