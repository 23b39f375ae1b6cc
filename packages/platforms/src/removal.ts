import type { LifecycleRules, ManagedKind, RemovalEvent } from '@certfleet/agent-core'
import { removalChanges } from './android/removal-changes.ts'
import { type Fact, holds, says } from './fact.ts'
import { type FactOverrides, type Management, type Os, type PlatformName, parseOs, systems } from './os.ts'

/** `edited`: a change that forces a new request. The device replaces what it has, wherever it is. */
export type LifecycleEvent = RemovalEvent | 'edited'

/** What becomes of certificates of these kinds at these events, on the device and at the CA. */
export interface RemovalRow {
  readonly kinds: readonly ManagedKind[]
  readonly events: readonly LifecycleEvent[]
  readonly device: 'removed' | 'replaced' | 'stays'
  readonly ca: 'revoked' | 'not revoked'
}

const everyKind: readonly ManagedKind[] = ['trusted-root', 'scep', 'pkcs', 'imported']
const gone = ['unenrolled', 'wiped', 'retired'] as const
const windowsAndIos = ['windows', 'windows-phone', 'ios'] as const

/** Exactly one row holds for a kind, an event and a system. Windows Phone is taken to do as Windows, Android to be Samsung Knox. */
export const removalFacts: readonly Fact<RemovalRow>[] = [
  {
    id: 'removal.scep',
    platforms: windowsAndIos,
    effect: 'A SCEP certificate is removed and revoked when the device goes or its profile is unassigned.',
    value: { kinds: ['scep'], events: [...gone, 'unassigned'], device: 'removed', ca: 'revoked' },
    source: 'M-RM SCEP certificates',
    confidence: 'V',
  },
  {
    id: 'macos.removal.scep',
    platforms: ['macos'],
    effect: 'A SCEP certificate is removed and revoked when the device goes or its profile is unassigned.',
    value: { kinds: ['scep'], events: ['unenrolled', 'retired', 'unassigned'], device: 'removed', ca: 'revoked' },
    source: 'M-RM macOS SCEP certificates',
    confidence: 'V',
  },
  {
    id: 'android.removal.scep',
    platforms: ['android'],
    effect: 'A SCEP certificate is removed and revoked when its user unenrols the device or an admin wipes it.',
    value: { kinds: ['scep'], events: ['unenrolled', 'wiped'], device: 'removed', ca: 'revoked' },
    source: 'M-RM Knox SCEP certificates',
    confidence: 'V',
  },
  {
    id: 'android.removal.scep-revoked-only',
    platforms: ['android'],
    effect: 'A SCEP certificate is revoked and stays on the device when that is retired or the profile is unassigned.',
    value: { kinds: ['scep'], events: ['retired', 'unassigned'], device: 'stays', ca: 'revoked' },
    source: 'M-RM Knox SCEP certificates',
    confidence: 'V',
  },
  {
    id: 'removal.scep-edited',
    platforms: systems,
    effect: 'A change of a SCEP profile that forces a new request revokes the old certificate once the device has the new one.',
    value: { kinds: ['scep'], events: ['edited'], device: 'replaced', ca: 'revoked' },
    source: 'M-RM SCEP certificates; CM-CP edits',
    confidence: 'V',
  },
  {
    id: 'removal.pkcs',
    platforms: [...windowsAndIos, 'android'],
    effect: 'A PKCS certificate is removed and revoked when the device goes.',
    value: { kinds: ['pkcs'], events: gone, device: 'removed', ca: 'revoked' },
    source: 'M-RM PKCS certificates',
    confidence: 'V',
  },
  {
    id: 'macos.removal.pkcs',
    platforms: ['macos'],
    effect: 'A PKCS certificate is removed and revoked when the device goes.',
    value: { kinds: ['pkcs'], events: ['unenrolled', 'retired'], device: 'removed', ca: 'revoked' },
    source: 'M-RM macOS PKCS certificates',
    confidence: 'V',
  },
  {
    id: 'removal.pkcs-unassigned',
    platforms: windowsAndIos,
    effect: 'A PKCS certificate whose profile is unassigned is removed and not revoked; a text of 2020 lets it stay on Windows.',
    value: { kinds: ['pkcs'], events: ['unassigned'], device: 'removed', ca: 'not revoked' },
    source: 'M-RM PKCS certificates',
    confidence: 'V',
  },
  {
    id: 'removal.pkcs-unassigned-stays',
    platforms: ['macos', 'android'],
    effect: 'A PKCS certificate whose profile is unassigned stays, and stays good.',
    value: { kinds: ['pkcs'], events: ['unassigned'], device: 'stays', ca: 'not revoked' },
    source: 'M-RM PKCS certificates',
    confidence: 'V',
  },
  {
    id: 'removal.pkcs-edited',
    platforms: systems,
    effect: 'A change of a PKCS profile revokes nothing; that the new certificate takes the place of the old one is taken.',
    value: { kinds: ['pkcs'], events: ['edited'], device: 'replaced', ca: 'not revoked' },
    alternatives: [],
    source: 'M-RM PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.imported',
    platforms: [...windowsAndIos, 'android'],
    effect: 'An imported certificate is taken to go as a PKCS one does; it is never revoked, since others may hold its key too.',
    value: { kinds: ['imported'], events: gone, device: 'removed', ca: 'not revoked' },
    alternatives: [{ kinds: ['imported'], events: gone, device: 'stays', ca: 'not revoked' }],
    source: 'M-RM PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'macos.removal.imported',
    platforms: ['macos'],
    effect: 'An imported certificate is taken to go as a PKCS one does; it is never revoked, since others may hold its key too.',
    value: { kinds: ['imported'], events: ['unenrolled', 'retired'], device: 'removed', ca: 'not revoked' },
    alternatives: [{ kinds: ['imported'], events: ['unenrolled', 'retired'], device: 'stays', ca: 'not revoked' }],
    source: 'M-RM macOS PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.imported-unassigned',
    platforms: windowsAndIos,
    effect: 'An imported certificate whose profile is unassigned is taken to be removed, as a PKCS one is.',
    value: { kinds: ['imported'], events: ['unassigned'], device: 'removed', ca: 'not revoked' },
    alternatives: [{ kinds: ['imported'], events: ['unassigned'], device: 'stays', ca: 'not revoked' }],
    source: 'M-RM PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.imported-unassigned-stays',
    platforms: ['macos', 'android'],
    effect: 'An imported certificate whose profile is unassigned is taken to stay, as a PKCS one does.',
    value: { kinds: ['imported'], events: ['unassigned'], device: 'stays', ca: 'not revoked' },
    alternatives: [{ kinds: ['imported'], events: ['unassigned'], device: 'removed', ca: 'not revoked' }],
    source: 'M-RM PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.imported-edited',
    platforms: systems,
    effect: 'Another imported file takes the place of the one before, which is not revoked.',
    value: { kinds: ['imported'], events: ['edited'], device: 'replaced', ca: 'not revoked' },
    alternatives: [],
    source: 'M-RM PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.root',
    platforms: [...windowsAndIos, 'android'],
    effect: 'A root certificate is removed when the device goes.',
    value: { kinds: ['trusted-root'], events: gone, device: 'removed', ca: 'not revoked' },
    source: 'M-RM root certificate',
    confidence: 'V',
  },
  {
    id: 'macos.removal.root',
    platforms: ['macos'],
    effect: 'A root certificate is removed when the device goes; the text says so beside PKCS alone, and it is taken to hold for all.',
    value: { kinds: ['trusted-root'], events: ['unenrolled', 'retired'], device: 'removed', ca: 'not revoked' },
    alternatives: [{ kinds: ['trusted-root'], events: ['unenrolled', 'retired'], device: 'stays', ca: 'not revoked' }],
    source: 'M-RM macOS PKCS certificates',
    confidence: 'I',
  },
  {
    id: 'removal.root-unassigned',
    platforms: systems,
    effect: 'A root certificate whose profile is unassigned is taken to be removed: no source names the case.',
    value: { kinds: ['trusted-root'], events: ['unassigned'], device: 'removed', ca: 'not revoked' },
    alternatives: [{ kinds: ['trusted-root'], events: ['unassigned'], device: 'stays', ca: 'not revoked' }],
    source: 'M-RM root certificate',
    confidence: 'I',
  },
  {
    id: 'removal.root-edited',
    platforms: systems,
    effect: 'A profile with another root certificate replaces the one before, after the certificates that depend on it.',
    value: { kinds: ['trusted-root'], events: ['edited'], device: 'replaced', ca: 'not revoked' },
    alternatives: [],
    source: 'CM-CP edits',
    confidence: 'I',
  },
  {
    id: 'macos.removal.wipe',
    platforms: ['macos'],
    effect: 'Wiping a Mac by a factory reset is not supported, so nothing becomes of its certificates.',
    value: { kinds: everyKind, events: ['wiped'], device: 'stays', ca: 'not revoked' },
    source: 'M-RM macOS',
    confidence: 'V',
  },
  {
    id: 'removal.unlicensed',
    platforms: systems,
    effect:
      'All certificates stay, and stay good, when the licence is lost or the user or group is deleted in the directory; Knox lists the latter as revoked too, which is not followed.',
    value: { kinds: everyKind, events: ['unlicensed'], device: 'stays', ca: 'not revoked' },
    source: 'M-RM stay',
    confidence: 'V',
  },
]

/** What the rows leave out. */
export const removalNotes: readonly Fact<string>[] = [
  {
    id: 'removal.third-party',
    platforms: systems,
    effect: "A third-party CA's certificate is removed as the rows say, and never revoked.",
    value: 'not revoked',
    source: 'M-RM third-party; M-3P removal',
    confidence: 'V',
  },
  {
    id: 'removal.by-user',
    platforms: systems,
    effect:
      'A certificate that its user deletes is missing at the next check-in, and another is issued; that the old one is not revoked is taken.',
    value: 'issued again',
    source: 'M-RM manually deleted certificates',
    confidence: 'V',
  },
  {
    id: 'android.removal.management',
    platforms: ['android'],
    effect: 'The rows are for Samsung Knox; work profiles are not validated, and are taken to do alike.',
    value: 'Knox',
    alternatives: [],
    source: 'M-RM Android',
    confidence: 'I',
  },
  {
    id: 'android.report.owner',
    platforms: ['android'],
    management: ['deviceOwner', 'aosp'],
    effect: 'The service shows no certificate of fully managed and AOSP devices; reports that an agent sends are kept all the same.',
    value: 'not reported',
    source: 'M-SCEP revocation',
    confidence: 'V',
  },
]

/** What becomes of certificates, and by which facts. */
export interface Removal extends Pick<RemovalRow, 'device' | 'ca'> {
  readonly factIds: readonly string[]
}

/** What becomes of certificates of a kind at an event, by the rows. An OS version or management that is not known: `ERR_UNSUPPORTED`. */
export function removalOf(
  kind: ManagedKind,
  event: LifecycleEvent,
  platform: PlatformName,
  osVersion: string,
  overrides?: FactOverrides,
  management?: Management,
): Removal {
  return rowOf(kind, event, parseOs(platform, osVersion, overrides, management))
}

function rowOf(kind: ManagedKind, event: LifecycleEvent, os: Os): Removal {
  const isAbout = (fact: Fact<RemovalRow>) => says(fact, os).kinds.includes(kind) && says(fact, os).events.includes(event)
  const fact = removalFacts.find((candidate) => holds(candidate, os) && isAbout(candidate))
  if (fact === undefined) throw new Error(`no fact says what ${os.system} does with ${kind} when ${event}`)
  const change = removalChanges.find((candidate) => holds(candidate, os) && says(candidate, os).events.includes(event))
  const row = says(fact, os)
  const { device = row.device, ca = row.ca } = change ? says(change, os) : {}
  return { device, ca, factIds: change ? [fact.id, change.id] : [fact.id] }
}

/** The rows as the agent reads them. */
export function removalRules(os: Os): LifecycleRules['removal'] {
  const ruleOf = (event: RemovalEvent) => ({
    removed: everyKind.filter((kind) => rowOf(kind, event, os).device === 'removed'),
    revoked: everyKind.filter((kind) => rowOf(kind, event, os).ca === 'revoked'),
  })
  return {
    unassigned: ruleOf('unassigned'),
    retired: ruleOf('retired'),
    wiped: ruleOf('wiped'),
    unenrolled: ruleOf('unenrolled'),
    unlicensed: ruleOf('unlicensed'),
  }
}
