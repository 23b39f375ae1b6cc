import { AgentError } from '@certfleet/agent-core'
import { managementModes } from '@certfleet/platforms'
import { type Document, LineCounter, parseDocument, visit } from 'yaml'
import { z } from 'zod'
import { joinPath } from './documents.ts'
import { hardwareKinds } from './hardware.ts'
import { families } from './profile-types.ts'
import { decodeText } from './text.ts'
import type { AssignmentTarget, Device, Group, ManagementMode, Platform, Tenant, TenantAssignment, User } from './types.ts'

const maxNodes = 100_000
const maxReported = 20

const text = z.string('expected text').min(1, 'expected a value')
const flag = z.enum(['true', 'false'], 'expected true or false').transform((value) => value === 'true')
const ids = z.array(text, 'expected a list').max(maxNodes).optional()
const platforms = [...new Set(Object.values(families).map((family) => family.platform))]
/** Those that name a family of profiles, and those that name a behaviour of the platform. */
const modesOf = (platform: Platform): readonly ManagementMode[] => [
  ...new Set([
    ...managementModes[platform],
    ...Object.values(families).flatMap((family) => (family.platform === platform ? family.modes : [])),
  ]),
]
const modes = [...new Set(platforms.flatMap(modesOf))]

const userShape = z.strictObject({
  id: text,
  upn: text.regex(/^[^@\s]+@[^@\s]+$/, 'expected name@domain'),
  userName: text.optional(),
  email: text.regex(/^[^@\s]+@[^@\s]+$/, 'expected name@domain').optional(),
  onPremDistinguishedName: text.optional(),
  onPremSamAccountName: text.optional(),
  onPremUserPrincipalName: text.optional(),
  department: text.optional(),
  sid: text.regex(/^S-1(-\d+)+$/, 'expected a security identifier, S-1-…').optional(),
})

const deviceShape = z.strictObject({
  id: text.regex(/^(?! )[^\p{Cc}]{1,200}(?<! )$/u, 'expected 1 to 200 characters, none of them a control character'),
  platform: z.enum(platforms, `expected one of ${platforms.join(', ')}`),
  osVersion: text.regex(/^\d{1,9}(\.\d{1,9}){0,4}$/, 'expected dotted numbers'),
  management: z.enum(modes, `expected one of ${modes.join(', ')}`).optional(),
  hardware: z.enum(hardwareKinds, `expected one of ${hardwareKinds.join(', ')}`).optional(),
  userConsent: z.enum(['granted', 'refused', 'waiting'], 'expected granted, refused or waiting').optional(),
  user: text.optional(),
  serial: text.optional(),
  imei: text.optional(),
  meid: text.optional(),
  wifiMac: text.optional(),
  deviceName: text.optional(),
  aadDeviceId: text.optional(),
  fqdn: text.optional(),
  sid: userShape.shape.sid,
})

const groupShape = z.strictObject({ id: text, name: text.optional(), users: ids, devices: ids })

const assignmentShape = z.strictObject({
  profile: text,
  intent: z.enum(['apply', 'remove'], 'expected apply or remove').optional(),
  groups: ids,
  excludeGroups: ids,
  allDevices: flag.optional(),
  allUsers: flag.optional(),
})

const tenantShape = z.strictObject({
  users: z.array(userShape, 'expected a list').max(maxNodes).optional(),
  devices: z.array(deviceShape, 'expected a list').max(maxNodes).optional(),
  groups: z.array(groupShape, 'expected a list').max(maxNodes).optional(),
  assignments: z.array(assignmentShape, 'expected a list').max(maxNodes).optional(),
  assign: z.literal('all', 'expected all').optional(),
  /** S28; no member of Graph's says it. */
  multiFactor: ids,
})

type Shape = z.infer<typeof tenantShape>

/**
 * Reads a tenant file: YAML 1.2 in which every scalar is text, so that `017.4` and `1e3` stay what was written.
 * Members: `users`, `devices`, `groups`, `assignments`, `assign: all`, `multiFactor` (profiles that require it); see packages/emulator/examples/contoso/tenant.yaml.
 * Fails with `ERR_POLICY_INVALID`; the message has a line `file:line:column path: expected …` for each problem, at most 20.
 */
export function parseTenant(bytes: Uint8Array, file: string): Tenant {
  const lines = new LineCounter()
  const { document, value } = withoutOverflow(file, () => parsedYaml(bytes, file, lines))
  const at = (path: readonly PropertyKey[]) => `${file}:${positionOf(document, lines, path)} ${joinPath('', ...path)}`.trimEnd()
  const read = tenantShape.safeParse(value ?? {})
  if (!read.success) throw invalid(read.error.issues.map((issue) => `${at(issue.path)}: ${messageOf(issue)}`))
  const problems = referenceProblems(read.data).map(({ path, message }) => `${at(path)}: ${message}`)
  if (problems.length > 0) throw invalid(problems)
  return tenantOf(read.data, file)
}

function parsedYaml(bytes: Uint8Array, file: string, lineCounter: LineCounter): { document: Document; value: unknown } {
  const document = parseDocument(textOf(bytes, file), { lineCounter, schema: 'failsafe', prettyErrors: false, uniqueKeys: true })
  const fail = (offset: number, problem: string): never => {
    const { line, col } = lineCounter.linePos(offset)
    throw invalid([`${file}:${line}:${col}: ${problem}`])
  }
  const [error] = document.errors
  if (error !== undefined) fail(error.pos[0], `not YAML: ${error.message.replace(/^./, (first) => first.toLowerCase())}`)
  visit(document, { Alias: (_, alias) => fail(alias.range?.[0] ?? 0, 'aliases are not read, expected the value itself') })
  return { document, value: document.toJS() }
}

function textOf(bytes: Uint8Array, file: string): string {
  try {
    return decodeText(bytes)
  } catch (cause) {
    throw new AgentError('ERR_POLICY_INVALID', `${file}: ${(cause as Error).message}`, { cause })
  }
}

/** The YAML parser recurses; a hostile file can exhaust its stack. */
function withoutOverflow<T>(file: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new AgentError('ERR_LIMIT_EXCEEDED', `${file}: nested too deep`, { cause })
  }
}

/** `line:column` of the value, or of the nearest thing around it that is there. */
function positionOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): string {
  for (let length = path.length; length >= 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as { range?: readonly number[] | null } | undefined
    const start = node?.range?.[0]
    if (start === undefined) continue
    const { line, col } = lines.linePos(start)
    return `${line}:${col}`
  }
  return '1:1'
}

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return `no such member: ${issue.keys.join(', ')}`
  if (issue.code === 'invalid_type' && issue.expected === 'object') return 'expected members, name: value'
  return issue.message.replace(/^Invalid input: /, '')
}

interface Problem {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** Ids are unique, and every reference names something in the file. */
function referenceProblems({ users = [], devices = [], groups = [], assignments = [] }: Shape): Problem[] {
  const userIds = new Set(users.map((user) => user.id))
  const deviceIds = new Set(devices.map((device) => device.id))
  const groupNames = new Set(groups.flatMap((group) => [group.id, ...(group.name === undefined ? [] : [group.name])]))
  const unknown = (known: ReadonlySet<string>, what: string, values: readonly string[] = [], ...path: PropertyKey[]): Problem[] =>
    values.flatMap((value, i) =>
      known.has(value) ? [] : [{ path: [...path, i], message: `expected the id of a ${what} of this file, found "${value}"` }],
    )
  return [
    ...repeated('users', users),
    ...repeated('devices', devices),
    ...repeated('groups', groups),
    ...devices.flatMap(({ user }, i) =>
      user === undefined || userIds.has(user)
        ? []
        : [{ path: ['devices', i, 'user'], message: `expected the id of a user of this file, found "${user}"` }],
    ),
    ...devices.flatMap(({ platform, management }, i) =>
      management === undefined || modesOf(platform).includes(management)
        ? []
        : [{ path: ['devices', i, 'management'], message: `expected one of ${modesOf(platform).join(', ')} for ${platform}` }],
    ),
    ...devices.flatMap(({ platform, hardware }, i) =>
      hardware === undefined || platform === 'windows'
        ? []
        : [{ path: ['devices', i, 'hardware'], message: `expected none for ${platform}: nothing keeps keys there but software` }],
    ),
    ...groups.flatMap((group, i) => [
      ...unknown(userIds, 'user', group.users, 'groups', i, 'users'),
      ...unknown(deviceIds, 'device', group.devices, 'groups', i, 'devices'),
    ]),
    ...assignments.flatMap((assignment, i) => [
      ...unknown(groupNames, 'group', assignment.groups, 'assignments', i, 'groups'),
      ...unknown(groupNames, 'group', assignment.excludeGroups, 'assignments', i, 'excludeGroups'),
      ...(targetsOf(assignment).length === 0 ? [{ path: ['assignments', i], message: 'expected groups, allDevices or allUsers' }] : []),
    ]),
  ]
}

function repeated(list: string, items: readonly { id: string }[]): Problem[] {
  const first = new Map(items.map(({ id }, i) => [id, i] as const).reverse())
  return items.flatMap(({ id }, i) => (first.get(id) === i ? [] : [{ path: [list, i, 'id'], message: `the id "${id}" is taken` }]))
}

function tenantOf({ users = [], devices = [], groups = [], assignments = [], assign, multiFactor }: Shape, file: string): Tenant {
  return {
    file,
    users: new Map(
      users.map((user) => [user.id, present<User>({ ...user, userName: user.userName ?? (user.upn.split('@')[0] as string) })]),
    ),
    devices: new Map(devices.map((device) => [device.id, present<Device>(device)])),
    groups: new Map(groups.map((group) => [group.id, groupOf(group)])),
    assignments: assignments.map(
      (assignment, i): TenantAssignment => ({
        profile: assignment.profile,
        intent: assignment.intent ?? 'apply',
        targets: targetsOf(assignment),
        path: `assignments[${i}]`,
      }),
    ),
    ...(assign && { assign }),
    ...(multiFactor && { multiFactor }),
  }
}

/** Zod leaves a missing optional out; only its type says `undefined`. */
function present<T>(read: { [K in keyof T]: T[K] | undefined }): T {
  return read as T
}

function groupOf({ id, name, users, devices }: z.infer<typeof groupShape>): Group {
  return { id, name: name ?? id, users: new Set(users), devices: new Set(devices) }
}

function targetsOf({ groups = [], excludeGroups = [], allDevices, allUsers }: z.infer<typeof assignmentShape>): AssignmentTarget[] {
  return [
    ...groups.map((group) => ({ kind: 'group' as const, group })),
    ...excludeGroups.map((group) => ({ kind: 'exclusionGroup' as const, group })),
    ...(allDevices ? [{ kind: 'allDevices' as const }] : []),
    ...(allUsers ? [{ kind: 'allUsers' as const }] : []),
  ]
}

function invalid(problems: readonly string[]): AgentError {
  const shown = problems.slice(0, maxReported)
  const rest = problems.length - shown.length
  return new AgentError('ERR_POLICY_INVALID', [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n'))
}
