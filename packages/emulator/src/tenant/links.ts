import { z } from 'zod'
import { type GraphObject, joinPath } from './documents.ts'
import { isObject } from './json.ts'
import type { CertificateDraft, ProfileDraft } from './profile.ts'
import { hasMember } from './profile-members.ts'
import { type ProfileType, profileTypeOf } from './profile-types.ts'
import type { Family, Finding, RootLink } from './types.ts'

/** What one notation says about a certificate profile's root: an id, a name, or both. */
export interface RootHint {
  readonly file: string
  readonly path: string
  readonly id?: string
  readonly name?: string
}

/** One row of a `links.json`; both values are an id or a display name. */
export interface SidecarLink extends RootHint {
  readonly profile: string
}

const sidecarShape = z.strictObject({
  // The number first: each bad row is a finding.
  links: z
    .array(z.unknown(), 'expected an array')
    .max(10_000, 'expected at most 10000 links')
    .pipe(
      z.array(
        z.strictObject({
          profile: z.string('expected a profile id or name').min(1),
          rootCertificate: z.string('expected a Trusted profile id or name').min(1),
        }),
      ),
    ),
})

/** A file of this name holds links instead of profiles: `{"links": [{"profile": "…", "rootCertificate": "…"}]}`, each an id or a display name. */
export const linksFileName = 'links.json'

export function readLinksFile({ file, path, members }: GraphObject): { links: SidecarLink[]; findings: Finding[] } {
  const shape = sidecarShape.safeParse(members)
  if (shape.success) {
    const links = shape.data.links.map(({ profile, rootCertificate }, i) => ({
      file,
      path: joinPath(path, 'links', i),
      profile,
      id: rootCertificate,
      name: rootCertificate,
    }))
    return { links, findings: [] }
  }
  const findings = shape.error.issues.map(
    (issue): Finding => ({
      id: 'links-file-invalid',
      severity: 'error',
      file,
      path: joinPath(path, ...issue.path),
      message: issue.message,
      action: 'write {"links": [{"profile": …, "rootCertificate": …}]}',
    }),
  )
  return { links: [], findings }
}

/** The links that a profile's own document carries under one name, in any of the notations that exports use. */
export function hintsIn({ file, path, members }: GraphObject, link = 'rootCertificate'): RootHint[] {
  const hints: RootHint[] = []
  const add = (member: string, hint: { id?: string; name?: string }) => hints.push({ file, path: joinPath(path, member), ...hint })
  const bind = members[`${link}@odata.bind`]
  if (typeof bind === 'string') add(`${link}@odata.bind`, { id: idInUrl(bind) })
  const reference = members[`#CustomRef_${link}`]
  if (typeof reference === 'string') add(`#CustomRef_${link}`, { name: reference.split('|:|')[0] as string })
  const expanded = members[link]
  if (isObject(expanded)) add(link, expandedHint(expanded))
  const id = members[`${link}Id`]
  if (typeof id === 'string' && id !== '') add(`${link}Id`, { id })
  return hints
}

/** `deviceConfigurations('<id>')` or `deviceConfigurations/<id>`; anything else is taken whole, and will be found unknown. */
function idInUrl(url: string): string {
  const [, key, segment] = /\/deviceConfigurations(?:\((?:'|%27)?([^'%)]+)(?:'|%27)?\)|\/([^/?#]+))/i.exec(url) ?? []
  return key ?? segment ?? url.split('/').filter(Boolean).at(-1) ?? url
}

function expandedHint({ id, displayName }: Record<string, unknown>): { id?: string; name?: string } {
  return { ...(typeof id === 'string' ? { id } : {}), ...(typeof displayName === 'string' ? { name: displayName } : {}) }
}

/** The profile inside an expanded `rootCertificate`, if it is whole enough to stand for itself. */
export function expandedRoot({ file, path, members }: GraphObject): GraphObject | undefined {
  const expanded = members.rootCertificate
  if (!isObject(expanded) || expanded.trustedRootCertificate === undefined || typeof expanded.displayName !== 'string') return undefined
  return { file, path: joinPath(path, 'rootCertificate'), members: expanded }
}

/** The profiles that a link may name, by id and by name. */
export interface LinkTargets {
  readonly byId: ReadonlyMap<string, ProfileDraft>
  readonly byName: ReadonlyMap<string, readonly ProfileDraft[]>
  /** Trusted root profiles, those that are invalid included. */
  readonly rootIds: ReadonlySet<string>
  /** The export has a `links.json`. */
  readonly hasLinksFile: boolean
}

/**
 * Finds the Trusted profile of a certificate profile: by id, else by a display name that one Trusted profile of its platform has.
 * Never guesses: no link, an unknown one, two that differ and a root of another platform (S7, S8) each leave the profile without a root.
 */
export function resolveLink(
  profile: CertificateDraft,
  hints: readonly RootHint[],
  targets: LinkTargets,
): { link: RootLink; findings: Finding[] } {
  const outcomes = hints.map((hint) => resolveHint(profile, hint, targets))
  const failed = outcomes.find((outcome) => 'finding' in outcome)
  if (failed) return { link: { problem: failed.finding.message }, findings: [failed.finding] }
  const ids = new Set(outcomes.map((outcome) => ('rootProfileId' in outcome ? outcome.rootProfileId : '')))
  const [rootProfileId] = ids
  if (ids.size === 1 && rootProfileId !== undefined) return { link: { rootProfileId }, findings: [] }
  const finding =
    ids.size === 0
      ? missing(profile, targets)
      : about(profile, hints[0] as RootHint, 'link-conflict', 'error', `its links name ${ids.size} different Trusted profiles`)
  return { link: { problem: finding.message }, findings: [finding] }
}

function resolveHint(profile: CertificateDraft, hint: RootHint, targets: LinkTargets): { rootProfileId: string } | { finding: Finding } {
  const found = hint.id === undefined ? undefined : (targets.byId.get(hint.id) ?? targets.byId.get(hint.id.toLowerCase()))
  if (found) return judge(profile, hint, found, targets)
  const named = (targets.byName.get(hint.name ?? '') ?? []).filter(({ id }) => targets.rootIds.has(id))
  const own = named.filter(({ family }) => rootFamiliesOf(profile).includes(family))
  const [only] = own.length > 0 ? own : named
  if (only === undefined)
    return {
      finding: about(profile, hint, 'link-unknown', 'warning', `its Trusted profile "${hint.name ?? hint.id}" is not in this export`),
    }
  if (own.length > 1)
    return {
      finding: about(profile, hint, 'link-ambiguous', 'error', `${own.length} Trusted profiles of its platform are named "${hint.name}"`),
    }
  return judge(profile, hint, only, targets)
}

function judge(
  profile: CertificateDraft,
  hint: RootHint,
  root: ProfileDraft,
  { rootIds }: LinkTargets,
): { rootProfileId: string } | { finding: Finding } {
  if (!rootIds.has(root.id))
    return {
      finding: about(profile, hint, 'link-other-platform', 'error', `its link names "${root.displayName}", which is no Trusted profile`),
    }
  const families = rootFamiliesOf(profile)
  if (families.includes(root.family)) return { rootProfileId: root.id }
  return {
    finding: about(
      profile,
      hint,
      'link-other-platform',
      'error',
      `its link names "${root.displayName}" of ${root.family}, expected a Trusted profile of ${families.join(' or ')}`,
      'S7',
    ),
  }
}

function rootFamiliesOf({ typeName, family }: CertificateDraft): readonly Family[] {
  return profileTypeOf(typeName)?.rootFamilies ?? [family]
}

function missing(profile: CertificateDraft, { hasLinksFile }: LinkTargets): Finding {
  const keepsLink = ['rootCertificate', 'rootCertificateId'].some((member) =>
    hasMember(profileTypeOf(profile.typeName) as ProfileType, member),
  )
  const lost = hasLinksFile ? `and ${linksFileName} names none for it` : 'a plain export loses that link'
  const message = `it names no Trusted profile: ${keepsLink ? lost : 'Graph keeps no such link for its type'}`
  const place = { file: profile.file, ...(profile.path === '' ? {} : { path: profile.path }), profile: profile.displayName }
  return {
    id: 'link-missing',
    severity: 'warning',
    ...place,
    message,
    action: `name its Trusted profile in ${linksFileName}`,
    source: profile.kind === 'scep' ? 'S7' : 'S8',
  }
}

function about(
  profile: CertificateDraft,
  { file, path }: RootHint,
  id: Finding['id'],
  severity: Finding['severity'],
  message: string,
  source = 'S40',
): Finding {
  return {
    id,
    severity,
    file,
    path,
    profile: profile.displayName,
    message,
    action: 'correct the link; until then the profile fails for want of a root',
    source,
  }
}
