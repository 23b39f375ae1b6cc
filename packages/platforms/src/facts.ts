import { androidFacts } from './android/facts.ts'
import { identityInstallFacts, rootInstallFacts, storageFacts } from './android/modes-facts.ts'
import { removalChanges } from './android/removal-changes.ts'
import { androidSyncMlFacts } from './android/syncml-facts.ts'
import { appleFacts } from './apple/facts.ts'
import { payloadFacts } from './apple/payload-facts.ts'
import { rootTrustFacts } from './apple/trust-facts.ts'
import { applicabilityFacts } from './applicability.ts'
import { type Fact, holds } from './fact.ts'
import { iosFacts } from './ios/facts.ts'
import { keySizeFacts, keyTypeFact } from './key-sizes.ts'
import { macosFacts } from './macos/facts.ts'
import { type PlatformName, parseOs } from './os.ts'
import { profileFacts } from './profiles.ts'
import { refusalFacts } from './refusals.ts'
import { removalFacts, removalNotes } from './removal.ts'
import { renewalFacts } from './renewal.ts'
import { retryFacts } from './retries.ts'
import { scepFacts } from './scep.ts'
import { caFacts } from './service/ca.ts'
import { ndesFacts } from './service/ndes.ts'
import { validationFacts } from './service/validation.ts'
import { settingFacts } from './setting-facts.ts'
import { statusFacts } from './status/index.ts'
import { trustFacts } from './trust-facts.ts'
import { variableFacts } from './variables.ts'
import { cspFacts } from './windows/csp-facts.ts'
import { windowsFacts } from './windows/facts.ts'
import { storeFacts } from './windows/stores.ts'
import { wireFacts } from './wire-facts.ts'

/** Every fact: what concerns several systems first, then each system's own, then what the service does. */
export const facts: readonly Fact[] = [
  ...applicabilityFacts,
  ...trustFacts,
  ...settingFacts,
  ...Object.values(refusalFacts),
  ...Object.values(profileFacts),
  ...Object.values(variableFacts),
  ...Object.values(renewalFacts),
  ...removalFacts,
  ...removalChanges,
  ...removalNotes,
  keyTypeFact,
  ...keySizeFacts,
  ...Object.values(scepFacts),
  ...Object.values(appleFacts),
  ...Object.values(payloadFacts),
  ...Object.values(iosFacts),
  ...Object.values(macosFacts),
  ...rootTrustFacts,
  ...Object.values(androidFacts),
  ...rootInstallFacts,
  ...identityInstallFacts,
  ...Object.values(storageFacts),
  ...Object.values(windowsFacts),
  ...Object.values(retryFacts),
  ...statusFacts,
  ...Object.values(storeFacts),
  ...Object.values(androidSyncMlFacts),
  ...Object.values(cspFacts),
  ...Object.values(wireFacts),
  ...Object.values(ndesFacts),
  ...Object.values(caFacts),
  ...Object.values(validationFacts),
]

/** The facts that hold for a platform at one OS version, in the order of `facts`. */
export function factsOf(platform: PlatformName, osVersion: string): readonly Fact[] {
  const os = parseOs(platform, osVersion)
  return facts.filter((fact) => holds(fact, os))
}
