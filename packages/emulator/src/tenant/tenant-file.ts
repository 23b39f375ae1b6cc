import { AgentError } from '@certfleet/agent-core'
import { type Document, LineCounter, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { joinPath } from './documents.ts'
import { referenceProblems, targetsOf } from './tenant-references.ts'
import { type AuthorityShape, type GroupShape, type TenantShape, tenantShape } from './tenant-shapes.ts'
import type { AuthorityFacts, Device, Group, Tenant, TenantAssignment, User } from './tenant-types.ts'
import { decodeText } from './text.ts'

const maxReported = 20
const hourMs = 3_600_000

/**
 * Reads a tenant file: YAML 1.2 in which every scalar is text, so that `017.4` and `1e3` stay what was written.
 * Members: `users`, `devices`, `groups`, `assignments`, `assign: all`, `multiFactor` (profiles that require it), `authorities`, `importedPfx`
 * and `checkInHours`; see docs/check.md and packages/emulator/examples/contoso/tenant.yaml.
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

function tenantOf(shape: TenantShape, file: string): Tenant {
  const { users = [], devices = [], groups = [], assignments = [], assign, multiFactor, checkInHours } = shape
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
    ...(shape.authorities && { authorities: shape.authorities.map(authorityOf) }),
    ...(shape.importedPfx && { importedPfx: new Map(shape.importedPfx.map(({ user, purposes }) => [user, new Set(purposes)])) }),
    ...(checkInHours !== undefined && { checkInMs: checkInHours * hourMs }),
  }
}

/** Zod leaves a missing optional out; only its type says `undefined`. */
function present<T>(read: { [K in keyof T]: T[K] | undefined }): T {
  return read as T
}

function groupOf({ id, name, users, devices }: GroupShape): Group {
  return { id, name: name ?? id, users: new Set(users), devices: new Set(devices) }
}

function authorityOf({ scepUrls = [], template, validity, expires, extendedKeyUsages }: AuthorityShape, i: number): AuthorityFacts {
  return {
    scepUrls,
    ...(template !== undefined && { templateName: template }),
    ...(validity && { validity }),
    ...(expires !== undefined && { expiresAt: expires }),
    ...(extendedKeyUsages && { extendedKeyUsages }),
    path: `authorities[${i}]`,
  }
}

function invalid(problems: readonly string[]): AgentError {
  const shown = problems.slice(0, maxReported)
  const rest = problems.length - shown.length
  return new AgentError('ERR_POLICY_INVALID', [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n'))
}
