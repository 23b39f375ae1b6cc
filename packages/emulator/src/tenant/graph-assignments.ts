import { z } from 'zod'
import { type GraphObject, joinPath } from './documents.ts'
import { isObject } from './json.ts'
import { readContext } from './odata.ts'
import type { Assignment, AssignmentTarget, Finding } from './types.ts'

const shape = z.object({
  intent: z
    .string('expected apply or remove')
    .toLowerCase()
    .pipe(z.enum(['apply', 'remove'], 'expected apply or remove'))
    .nullish(),
  target: z.object(
    {
      '@odata.type': z.string('expected the type of the target'),
      groupId: z.string('expected a group id').nullish(),
      groupName: z.string('expected a group name').nullish(),
      deviceAndAppManagementAssignmentFilterId: z.string('expected a filter id').nullish(),
      deviceAndAppManagementAssignmentFilterType: z.string('expected none, include or exclude').nullish(),
    },
    'expected a target',
  ),
})

const maxAssignments = 10_000

interface Read {
  readonly assignments: Assignment[]
  readonly findings: Finding[]
}

/** The `assignments` that were expanded into a profile's document. */
export function embeddedAssignments(object: GraphObject, profileId: string): Read {
  const { assignments } = object.members
  const path = joinPath(object.path, 'assignments')
  if (assignments === undefined || assignments === null) return nothing
  if (!Array.isArray(assignments)) return { assignments: [], findings: [invalid(object.file, path, 'expected an array')] }
  if (assignments.length > maxAssignments)
    return { assignments: [], findings: [invalid(object.file, path, `expected at most ${maxAssignments} assignments`)] }
  return together(assignments.map((assignment, i) => readAssignment(assignment, profileId, object.file, joinPath(path, i))))
}

/**
 * An assignment in a document of its own. The answer that it came in names its profile, or its id does, `<profile id>_<group id>`;
 * undefined when neither names one of these profiles.
 */
export function standaloneAssignment(object: GraphObject, profileIds: ReadonlySet<string>): Read | undefined {
  const profileId = profileIdsNamed(object).find((id) => profileIds.has(id))
  return profileId === undefined ? undefined : readAssignment(object.members, profileId, object.file, object.path)
}

/** Whether the object is an assignment: Graph leaves the type out of lists of them. */
export function isAssignment({ members, context }: GraphObject, typeName: string | undefined): boolean {
  if (typeName !== undefined) return assignmentTypes.has(typeName.toLowerCase())
  return isObject(members.target) && (typeof members.id === 'string' || readContext(context).through?.navigation === 'assignments')
}

const assignmentTypes = new Set(['deviceconfigurationassignment', 'devicemanagementresourceaccessprofileassignment'])

function profileIdsNamed({ members: { id, sourceId }, context }: GraphObject): string[] {
  const { through } = readContext(context)
  const inId = typeof id === 'string' && id.includes('_') ? id.slice(0, id.indexOf('_')) : undefined
  const named = [through?.navigation === 'assignments' ? through.profileId : undefined, inId, sourceId]
  return named.filter((name) => typeof name === 'string')
}

function readAssignment(value: unknown, profileId: string, file: string, path: string): Read {
  const read = shape.safeParse(value)
  if (!read.success)
    return { assignments: [], findings: read.error.issues.map((issue) => invalid(file, joinPath(path, ...issue.path), issue.message)) }
  const { intent, target } = read.data
  const findings = filterFindings(target, file, path)
  const kind = target['@odata.type'].replace(/^#?(?:microsoft\.graph\.)?/i, '')
  const resolved = targetOf(kind, target.groupId ?? target.groupName ?? undefined)
  if (resolved === undefined) return { assignments: [], findings: [...findings, ignored(file, joinPath(path, 'target'), kind)] }
  if (resolved === 'no group')
    return { assignments: [], findings: [...findings, invalid(file, joinPath(path, 'target', 'groupId'), 'expected a group id')] }
  return { assignments: [{ profileId, intent: intent ?? 'apply', target: resolved, file, path }], findings }
}

function targetOf(kind: string, group: string | undefined): AssignmentTarget | 'no group' | undefined {
  switch (kind.toLowerCase()) {
    case 'alldevicesassignmenttarget':
      return { kind: 'allDevices' }
    case 'alllicensedusersassignmenttarget':
      return { kind: 'allUsers' }
    case 'groupassignmenttarget':
      return group === undefined ? 'no group' : { kind: 'group', group }
    case 'exclusiongroupassignmenttarget':
      return group === undefined ? 'no group' : { kind: 'exclusionGroup', group }
    default:
      return undefined
  }
}

function filterFindings(target: z.infer<typeof shape>['target'], file: string, path: string): Finding[] {
  const type = target.deviceAndAppManagementAssignmentFilterType ?? 'none'
  if (type.toLowerCase() === 'none' || !target.deviceAndAppManagementAssignmentFilterId) return []
  const message = 'assignment filters are not evaluated; the assignment is taken as if it had none'
  return [{ id: 'assignment-filter-ignored', severity: 'warning', file, path: joinPath(path, 'target'), message }]
}

function ignored(file: string, path: string, kind: string): Finding {
  return {
    id: 'assignment-target-ignored',
    severity: 'warning',
    file,
    path,
    message: `a target of type ${kind} is not evaluated; the assignment is left out`,
  }
}

function invalid(file: string, path: string, message: string): Finding {
  return { id: 'assignment-invalid', severity: 'error', file, path, message, action: 'correct the assignment; until then it is left out' }
}

const nothing: Read = { assignments: [], findings: [] }

function together(reads: readonly Read[]): Read {
  return { assignments: reads.flatMap((read) => read.assignments), findings: reads.flatMap((read) => read.findings) }
}
