export { behaviourOf, habitsOf, type PlatformBindings, platformAdapter, requestOf, storeFor } from './adapter.ts'
export { androidFacts } from './android/facts.ts'
export { type RemovalChange, removalChanges } from './android/removal-changes.ts'
export { applicabilityFacts, appliesTo, whyInapplicable } from './applicability.ts'
export type { Behaviour, KeyWish, PfxBehaviour } from './behaviour.ts'
export type { UserAnswer, UserConsent, UserStep } from './consent.ts'
export { type Confidence, type Fact, holds, isOff, says } from './fact.ts'
export { facts, factsOf } from './facts.ts'
export { type Installation, installationOf } from './installation.ts'
export { iosFacts } from './ios/facts.ts'
export { supportedKeyBits } from './key-sizes.ts'
export { macosFacts } from './macos/facts.ts'
export {
  compareVersions,
  currentReleases,
  type FactOverrides,
  type Management,
  managementModes,
  type Os,
  off,
  type PlatformName,
  parseOs,
  platformNames,
  type Subject,
  type System,
  subjects,
  systems,
  systemTitles,
} from './os.ts'
export { factOverrides, isOverridable } from './overrides.ts'
export { factsPage } from './page.ts'
export { profileFacts } from './profiles.ts'
export { type LifecycleEvent, type Removal, type RemovalRow, removalFacts, removalOf } from './removal.ts'
export * from './rendering/index.ts'
export { renewalFacts } from './renewal.ts'
export { pendingScheduleOf } from './retries.ts'
export { scepFacts } from './scep.ts'
export { caFacts } from './service/ca.ts'
export { ndesFacts } from './service/ndes.ts'
export { validationFacts } from './service/validation.ts'
export { settingFacts } from './setting-facts.ts'
export { type Setting, type SettingTreatment, settingFactOf, type Treatment, treatmentOf } from './settings.ts'
export { sources } from './sources.ts'
export { type AndroidState, type AndroidStatus, androidStateByCode, androidStatusFacts } from './status/android.ts'
export { type AppleError, type AppleStatus, appleErrorChain } from './status/apple.ts'
export { appleErrorByCode, appleErrors } from './status/apple-errors.ts'
export { type OsStatus, osStatusOf, osStatusText } from './status/index.ts'
export { type GraphIssuanceState, type IssuanceStateOf, issuanceStates, type StateWitness } from './status/issuance-states.ts'
export type { WindowsStatus } from './status/windows.ts'
export { windowsErrorByCode, windowsErrors } from './status/windows-errors.ts'
export { possibleText, subjectTexts, valueText, versionsText } from './text.ts'
export { oneGroupKind } from './trust-facts.ts'
export { variableFacts } from './variables.ts'
export { windowsFacts } from './windows/facts.ts'
export { windowsStorePath } from './windows/stores.ts'
