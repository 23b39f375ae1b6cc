import { embeddedAssignments } from '../../tenant/graph-assignments.ts'
import { type Finding, type IntentProfile, importGraph } from '../../tenant/index.ts'
import { targetKey } from './graph-profile.ts'
import type { AdminAssignment } from './records.ts'
import { badRequest, badRequests, type Detail, shown } from './request.ts'
import { type AdminView, exportFile, linkTargets } from './view.ts'

/** A Graph object that the import has read without an error. */
export interface CheckedProfile {
  readonly intent: IntentProfile
  /** JSON, without what the lab itself says of a profile. */
  readonly document: string
  /** What an admin should know although it is no error. */
  readonly warnings: readonly Finding[]
}

/** Graph's limit on collections. */
const maxAssignments = 500

/** What the lab says of a profile, and what has a path of its own. */
const saidByLab = new Set([
  ...['id', 'version', 'createdDateTime', 'lastModifiedDateTime', 'assignments', 'managedDeviceCertificateStates', 'supportsScopeTags'],
  ...['deviceStatuses', 'userStatuses', 'deviceStatusOverview', 'userStatusOverview', 'deviceSettingStateSummaries'],
])

/** A link that leads nowhere and a type that would be skipped are warnings about an export, and refused here. */
const refusedWarnings: ReadonlySet<Finding['id']> = new Set(['link-unknown', 'type-ignored', 'type-unknown', 'type-missing'])

/** Judges a profile by the code that imports exports. Refused with 400, which names path and expectation of all that is wrong. */
export function checkProfile(members: Readonly<Record<string, unknown>>, id: string, view: AdminView): CheckedProfile {
  if (typeof members['@odata.type'] !== 'string')
    throw badRequest('@odata.type', 'expected the type of a Trusted root, SCEP or PFX certificate profile')
  if (members.rootCertificate !== undefined)
    throw badRequest('rootCertificate', 'expected the link as rootCertificate@odata.bind, not the object itself')
  const own = Object.fromEntries(Object.entries(members).filter(([name]) => !saidByLab.has(name) && !isAnnotation(name)))
  const others = [...view.profiles.values()].map(({ intent }) => intent)
  const { profiles, findings } = importGraph([exportFile('body', { ...own, id }), ...linkTargets(others, new Set([id]))])
  const ofBody = findings.filter(({ file }) => file === 'body')
  const wrong = ofBody.filter((finding) => finding.severity === 'error' || refusedWarnings.has(finding.id))
  const intent = profiles.find((profile) => profile.id === id && profile.file === 'body')
  if (wrong.length > 0 || intent === undefined) throw badRequests(wrong.map(detailOf))
  return { intent, document: JSON.stringify(own), warnings: ofBody.filter(({ severity }) => severity === 'warning') }
}

/** What a GET adds; the link itself is one that stays. */
function isAnnotation(name: string): boolean {
  return name.includes('@') && name !== '@odata.type' && !name.endsWith('@odata.bind')
}

function detailOf({ id, path, message }: Finding): Detail {
  return { target: path ?? (id.startsWith('type-') ? '@odata.type' : ''), message }
}

/** Judges a list of assignments as an import does, and that each reaches somebody who can be found. */
export function checkAssignments(members: Readonly<Record<string, unknown>>, profileId: string, view: AdminView): AdminAssignment[] {
  if (!Array.isArray(members.assignments)) throw badRequest('assignments', 'expected an array')
  if (members.assignments.length > maxAssignments) throw badRequest('assignments', `expected at most ${maxAssignments} elements`)
  const { assignments, findings } = embeddedAssignments({ file: 'body', path: '', members }, profileId)
  // A filter or a target that the lab cannot honour would reach others than was meant.
  if (findings.length > 0) throw badRequests(findings.map(detailOf))
  const unknown = assignments.flatMap(({ target, path }) =>
    'group' in target && !view.groups.has(target.group)
      ? [{ target: `${path}.target.groupId`, message: `expected the id of a group, found "${shown(target.group)}"` }]
      : [],
  )
  const targets = assignments.map(({ target }) => targetKey(target))
  const repeated = assignments.flatMap(({ path }, i) =>
    targets.indexOf(targets[i] as string) === i ? [] : [{ target: `${path}.target`, message: 'expected each target once' }],
  )
  if (unknown.length + repeated.length > 0) throw badRequests([...unknown, ...repeated])
  return assignments.map(({ intent, target }) => ({ intent, target }))
}
