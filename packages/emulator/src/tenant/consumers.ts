import type { GraphObject } from './documents.ts'
import { hintsIn, type RootHint } from './links.ts'
import { profileTypeOf } from './profile-types.ts'
import type { CertificateConsumer, Finding, IntentProfile, Platform } from './types.ts'

/** The members by which other profiles name a certificate profile. */
const linkNames = [
  'identityCertificate',
  'identityCertificateForClientAuthentication',
  'secondaryIdentityCertificateForClientAuthentication',
  'singleSignOnExtensionPkinitCertificate',
  'smimeEncryptionCertificate',
  'smimeSigningCertificate',
]

/** Wi-Fi, VPN, email, wired and sign-on types that have one of these members, whether or not an export shows it. */
const typePatterns = [
  /^(androidDeviceOwner|android|androidForWork|androidWorkProfile|aospDeviceOwner|ios|macOS)EnterpriseWiFiConfiguration$/i,
  /^(androidDeviceOwner|android|androidForWork|androidWorkProfile|ios|iosikEv2|macOS|windows10|windowsPhone81)VpnConfiguration$/i,
  /^(android|ios)EasEmailProfileConfiguration$/i,
  /^android(ForWork|WorkProfile)(Gmail|NineWork)EasConfiguration$/i,
  /^(ios|macOS|windows)WiredNetworkConfiguration$/i,
  /^(ios|macOS)DeviceFeaturesConfiguration$/i,
  /^windowsWifiEnterpriseEAPConfiguration$/i,
]

/** Whether an object is a profile of another kind that uses a certificate, by its type or by what it links. */
export function isConsumer(object: GraphObject, typeName: string): boolean {
  return typePatterns.some((pattern) => pattern.test(typeName)) || linkNames.some((name) => hintsIn(object, name).length > 0)
}

/**
 * What uses which certificate profile: one entry for each that a consumer links, and one without where it links none. Links are matched by
 * id, else by a display name that one certificate profile of the platform has; never guessed.
 */
export function readConsumers(
  objects: readonly GraphObject[],
  profiles: readonly IntentProfile[],
): { consumers: CertificateConsumer[]; findings: Finding[] } {
  const targets = targetsOf(profiles)
  const consumers: CertificateConsumer[] = []
  const findings: Finding[] = []
  const seen = new Set<string>()
  for (const object of objects) {
    const consumer = consumerOf(object)
    const read = linksOf(object, consumer, targets)
    for (const id of read.ids.size > 0 ? read.ids : [undefined]) {
      const key = JSON.stringify([object.members.id ?? consumer.displayName, consumer.typeName, id])
      // The same profile in two files is one.
      if (seen.has(key)) continue
      seen.add(key)
      consumers.push({ ...consumer, ...(id !== undefined && { certificateProfileId: id }) })
    }
    findings.push(...read.findings)
  }
  return { consumers, findings }
}

function consumerOf({ file, path, members }: GraphObject): CertificateConsumer {
  const typeName = String(members['@odata.type']).replace(/^#?microsoft\.graph\./i, '')
  const platform = platformOf(typeName)
  const displayName = typeof members.displayName === 'string' ? members.displayName.slice(0, 1000) : `unnamed ${typeName}`
  return { displayName, typeName, ...(platform && { platform }), file, path }
}

function platformOf(typeName: string): Platform | undefined {
  const prefix = /^(ios|macos|android|aosp|windows)/i.exec(typeName)?.[1]?.toLowerCase()
  return (prefix === 'aosp' ? 'android' : prefix) as Platform | undefined
}

interface Targets {
  readonly byId: ReadonlyMap<string, IntentProfile>
  readonly byName: ReadonlyMap<string, readonly IntentProfile[]>
}

function targetsOf(profiles: readonly IntentProfile[]): Targets {
  const byName = new Map<string, IntentProfile[]>()
  for (const profile of profiles.filter(isCertificateProfile)) {
    const namesakes = byName.get(profile.displayName)
    if (namesakes) namesakes.push(profile)
    else byName.set(profile.displayName, [profile])
  }
  return { byId: new Map(profiles.map((profile) => [profile.id, profile])), byName }
}

/** One that is invalid is one too. */
function isCertificateProfile({ typeName }: IntentProfile): boolean {
  return profileTypeOf(typeName)?.kind !== 'trusted-root'
}

function linksOf(object: GraphObject, consumer: CertificateConsumer, targets: Targets): { ids: Set<string>; findings: Finding[] } {
  const ids = new Set<string>()
  const findings: Finding[] = []
  const hints = linkNames.flatMap((name) => hintsIn(object, name))
  for (const hint of hints) {
    const found = resolve(hint, consumer, targets)
    if ('severity' in found) findings.push(found)
    else ids.add(found.id)
  }
  if (hints.length === 0) findings.push(linksNothing(consumer))
  return { ids, findings }
}

function resolve(hint: RootHint, consumer: CertificateConsumer, { byId, byName }: Targets): IntentProfile | Finding {
  const found = hint.id === undefined ? undefined : byId.get(hint.id)
  if (found) return judge(found, hint, consumer)
  const own = (byName.get(hint.name ?? '') ?? []).filter(({ platform }) => platform === (consumer.platform ?? platform))
  const [only] = own
  if (only === undefined) return unlinked('link-unknown', hint, consumer, `"${hint.name ?? hint.id}" is not in this export`)
  if (own.length > 1) return unlinked('link-ambiguous', hint, consumer, `${own.length} of its platform are named "${hint.name}"`)
  return only
}

function judge(found: IntentProfile, hint: RootHint, consumer: CertificateConsumer): IntentProfile | Finding {
  const { displayName, platform } = found
  if (!isCertificateProfile(found)) return unlinked('link-unknown', hint, consumer, `"${displayName}" is a Trusted profile`)
  if (platform === (consumer.platform ?? platform)) return found
  return unlinked('link-other-platform', hint, consumer, `"${displayName}" is of ${platform}`)
}

/** A warning at most: the certificate profile itself comes to no harm. */
function unlinked(id: Finding['id'], { file, path }: RootHint, { displayName }: CertificateConsumer, problem: string): Finding {
  const message = `the certificate profile that it uses is not known: ${problem}`
  return { id, severity: 'warning', file, path, profile: displayName, message, action: 'export both together, or correct the link' }
}

function linksNothing({ file, path, displayName, typeName }: CertificateConsumer): Finding {
  const message = `${typeName} can use a certificate, and links no certificate profile here, a link that a plain export loses; it is skipped`
  return { id: 'type-ignored', severity: 'info', file, ...(path !== '' && { path }), profile: displayName, message }
}
