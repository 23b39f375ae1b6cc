import { isDeepStrictEqual } from 'node:util'
import { isConsumer, readConsumers } from './consumers.ts'
import { type ExportFile, exportBudget, type GraphObject, readObjects } from './documents.ts'
import { embeddedAssignments, isAssignment, standaloneAssignment } from './graph-assignments.ts'
import { isObject } from './json.ts'
import {
  expandedRoot,
  hintsIn,
  type LinkTargets,
  linksFileName,
  type RootHint,
  readLinksFile,
  resolveLink,
  type SidecarLink,
} from './links.ts'
import { readContext } from './odata.ts'
import { missingPages, type Page } from './pages.ts'
import { type ProfileDraft, readProfile } from './profile.ts'
import { concernsCertificates, isKnownType, type ProfileType, profileTypeOf } from './profile-types.ts'
import type { Assignment, Finding, Import, IntentProfile } from './types.ts'

/**
 * Reads the Trusted root, SCEP, PKCS and imported PFX profiles of an export, links each certificate profile to its root and collects
 * the assignments.
 * Profiles of other kinds are kept where they use a certificate; whatever else the files hold is told and skipped. Never throws on what a file
 * contains: see the findings. At most 4,000,000 JSON values and 100,000 objects of all files are read; the file that goes past it is an error.
 */
export function importGraph(files: readonly ExportFile[]): Import {
  const sorted = sort(files)
  const drafts = new Map<string, Draft>()
  const findings = [...sorted.findings]
  for (const { object, type } of sorted.profiles) findings.push(...addDraft(drafts, object, type))
  const linked = linkAll(drafts, sorted.links)
  const assigned = collectAssignments(drafts, sorted.assignments)
  const consuming = readConsumers(sorted.consumers, linked.profiles)
  return {
    profiles: linked.profiles,
    consumers: consuming.consumers,
    assignments: assigned.assignments,
    findings: [...findings, ...linked.findings, ...consuming.findings, ...assigned.findings],
  }
}

interface Draft {
  readonly profile: ProfileDraft
  readonly object: GraphObject
  readonly type: ProfileType
  readonly hints: readonly RootHint[]
}

interface Sorted {
  readonly profiles: { object: GraphObject; type: ProfileType }[]
  readonly assignments: GraphObject[]
  readonly consumers: GraphObject[]
  readonly links: SidecarLink[]
  readonly findings: Finding[]
}

function sort(files: readonly ExportFile[]): Sorted {
  const sorted: Sorted = { profiles: [], assignments: [], consumers: [], links: [], findings: [] }
  const budget = exportBudget()
  const pages: Page[] = []
  for (const file of files) {
    const read = readObjects(file, budget)
    sorted.findings.push(...read.findings)
    for (const page of read.pages) pages.push(page)
    for (const object of read.objects) sortObject(object, sorted)
  }
  sorted.findings.push(...missingPages(pages))
  return sorted
}

function sortObject(object: GraphObject, sorted: Sorted): void {
  if (isLinksFile(object.file)) {
    const { links, findings } = readLinksFile(object)
    sorted.links.push(...links)
    sorted.findings.push(...findings)
    return
  }
  const typeName = typeNameOf(object)
  if (isAssignment(object, typeName)) sorted.assignments.push(object)
  else if (typeName === undefined) sorted.findings.push(untyped(object))
  else sortTyped(object, typeName, sorted)
}

function sortTyped(object: GraphObject, typeName: string, { profiles, links, consumers, findings }: Sorted): void {
  const type = profileTypeOf(typeName)
  if (type) {
    profiles.push({ object, type })
    links.push(...linkOfAnswer(object))
    const nested = expandedRoot(object)
    const nestedType = nested && (profileTypeOf(typeNameOf(nested) ?? '') ?? rootTypeBeside(type))
    if (nested && nestedType) profiles.push({ object: nested, type: nestedType })
  } else if (isConsumer(object, typeName)) consumers.push(object)
  else if (isKnownType(typeName)) findings.push(skipped(object, 'type-ignored', 'info', `${typeName} is not evaluated; it is skipped`))
  else {
    const severity = concernsCertificates(typeName) ? 'warning' : 'info'
    findings.push(skipped(object, 'type-unknown', severity, `${typeName} is not a certificate type that certfleet knows; it is skipped`))
  }
}

/** Members that only certificate profiles have. */
const ofCertificates = ['trustedRootCertificate', 'scepServerUrls', 'renewalThresholdPercentage', 'certificateTemplateName']

/** Exports lie among other files. */
function untyped(object: GraphObject): Finding {
  const { error } = object.members
  if (isObject(error) && typeof error.code === 'string')
    return skipped(object, 'type-missing', 'warning', `an error that Graph answered (${error.code.slice(0, 80)}), no export; it is skipped`)
  if (!ofCertificates.some((member) => member in object.members))
    return skipped(object, 'type-missing', 'info', 'it names no Graph type in "@odata.type"; it is skipped')
  const message = 'expected "@odata.type" to name a Graph type; the object is skipped'
  return { ...skipped(object, 'type-missing', 'warning', message), action: 'export it with its type' }
}

/** The answer to `…/{id}/microsoft.graph.<type>/rootCertificate` says whose root it is. */
function linkOfAnswer({ file, path, members: { id }, context }: GraphObject): SidecarLink[] {
  const { through } = readContext(context)
  if (through?.navigation !== 'rootCertificate' || typeof id !== 'string') return []
  return [{ file, path, profile: through.profileId, id }]
}

/** Graph leaves the type out of an expanded object whose type the schema fixes. */
function rootTypeBeside({ name }: ProfileType): ProfileType | undefined {
  return profileTypeOf(name.replace(/(Scep|Pkcs|ImportedPFX)CertificateProfile$/i, 'TrustedRootCertificate'))
}

function isLinksFile(file: string): boolean {
  return file.split(/[\\/]/).at(-1)?.toLowerCase() === linksFileName
}

function typeNameOf({ members, context }: GraphObject): string | undefined {
  const type = members['@odata.type']
  if (typeof type === 'string') return type.replace(/^#?(?:microsoft\.graph\.)?/i, '')
  const { typeName, through } = readContext(context)
  if (through?.navigation !== 'rootCertificate') return typeName
  const owner = profileTypeOf(through.typeName ?? '')
  return owner && rootTypeBeside(owner)?.name
}

/** One profile an id: the same content twice is one profile, different content is nobody's to choose from. */
function addDraft(drafts: Map<string, Draft>, object: GraphObject, type: ProfileType): Finding[] {
  const { profile, findings } = readProfile(object, type)
  const before = drafts.get(profile.id)
  if (before === undefined) {
    drafts.set(profile.id, { profile, object, type, hints: hintsIn(object) })
    return findings
  }
  if (sameContent(before.profile, profile)) {
    drafts.set(profile.id, { ...before, hints: [...before.hints, ...hintsIn(object)], object: withMoreAssignments(before.object, object) })
    return []
  }
  const message = `${before.object.file} and ${object.file} hold different profiles of the id "${profile.id}"`
  const { id, displayName, typeName, family, platform, file, path, unknownMembers } = before.profile
  const principal = 'principal' in before.profile ? before.profile.principal : 'device'
  drafts.set(profile.id, {
    ...before,
    profile: { kind: 'invalid', id, displayName, typeName, family, platform, file, path, unknownMembers, principal, message },
  })
  return [
    ...findings,
    { ...skipped(object, 'profile-duplicate', 'error', message), profile: displayName, action: 'export once, or remove one of them' },
  ]
}

function sameContent(a: ProfileDraft, b: ProfileDraft): boolean {
  const neutral = { file: '', path: '', unknownMembers: new Map() }
  return isDeepStrictEqual({ ...a, ...neutral }, { ...b, ...neutral })
}

/** The copy that carries assignments speaks for both. */
function withMoreAssignments(a: GraphObject, b: GraphObject): GraphObject {
  return a.members.assignments === undefined && b.members.assignments !== undefined ? b : a
}

function linkAll(drafts: ReadonlyMap<string, Draft>, sidecar: readonly SidecarLink[]): { profiles: IntentProfile[]; findings: Finding[] } {
  const targets = { ...targetsOf(drafts), hasLinksFile: sidecar.length > 0 }
  const findings: Finding[] = []
  const profiles = [...drafts.values()].map(({ profile, hints }): IntentProfile => {
    if (profile.kind === 'trusted-root' || profile.kind === 'invalid') return profile
    const own = sidecar.filter((link) => link.profile === profile.id || link.profile === profile.displayName)
    const resolved = resolveLink(profile, [...hints, ...own], targets)
    findings.push(...resolved.findings)
    return { ...profile, link: resolved.link }
  })
  const unused = sidecar.filter((link) => !targets.byId.has(link.profile) && !targets.byName.has(link.profile))
  return { profiles, findings: [...findings, ...unused.map(unusedLink)] }
}

function targetsOf(drafts: ReadonlyMap<string, Draft>): Omit<LinkTargets, 'hasLinksFile'> {
  const byId = new Map([...drafts].map(([id, { profile }]) => [id, profile] as const))
  const rootIds = new Set([...drafts].filter(([, { type }]) => type.kind === 'trusted-root').map(([id]) => id))
  const byName = new Map<string, ProfileDraft[]>()
  for (const profile of byId.values()) {
    const namesakes = byName.get(profile.displayName)
    if (namesakes) namesakes.push(profile)
    else byName.set(profile.displayName, [profile])
  }
  return { byId, byName, rootIds }
}

function unusedLink({ file, path, profile }: SidecarLink): Finding {
  return {
    id: 'link-unknown',
    severity: 'warning',
    file,
    path,
    message: `no profile of this export has the id or name "${profile}"`,
    action: 'correct the link',
  }
}

function collectAssignments(
  drafts: ReadonlyMap<string, Draft>,
  standalone: readonly GraphObject[],
): { assignments: Assignment[]; findings: Finding[] } {
  const profileIds = new Set(drafts.keys())
  const reads = [...drafts].map(([id, { object }]) => embeddedAssignments(object, id))
  const findings: Finding[] = []
  for (const object of standalone) {
    const read = standaloneAssignment(object, profileIds)
    if (read) reads.push(read)
    else findings.push(skipped(object, 'type-ignored', 'info', 'an assignment of a profile that is not in this export; it is skipped'))
  }
  return { assignments: reads.flatMap((read) => read.assignments), findings: [...findings, ...reads.flatMap((read) => read.findings)] }
}

function skipped({ file, path, members }: GraphObject, id: Finding['id'], severity: Finding['severity'], message: string): Finding {
  const name = members.displayName
  return { id, severity, file, ...(path === '' ? {} : { path }), ...(typeof name === 'string' ? { profile: name } : {}), message }
}
