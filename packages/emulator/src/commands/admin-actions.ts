import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { parseJson } from '../tenant/json.ts'
import { decodeText } from '../tenant/text.ts'
import { type AdminClient, type GraphObject, segment } from './admin-client.ts'
import { certificateColumns, deviceColumns, profileColumns, tellRows } from './admin-tell.ts'
import type { Io } from './io.ts'
import { readingInput } from './options.ts'
import { readInput } from './read-input.ts'

export interface AdminOptions {
  readonly url?: string
  readonly tokenFile?: string
  readonly json?: true
}

export interface AssignOptions extends AdminOptions {
  readonly group: readonly string[]
  readonly excludeGroup: readonly string[]
  readonly allDevices?: true
  readonly allUsers?: true
  readonly none?: true
}

export interface CertificateOptions extends AdminOptions {
  readonly expiring?: number
  readonly failed?: true
}

export interface RevokeOptions extends AdminOptions {
  readonly reason?: string
}

const maxProfileBytes = 1024 * 1024
const configurations = 'deviceManagement/deviceConfigurations'

export async function tellProfiles(client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  tellRows('profiles', await client.list(configurations, { $expand: 'assignments' }), profileColumns, json === true, io)
}

export async function createProfile(file: string, client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  const bytes = await readInput('profiles create', file, maxProfileBytes)
  const profile = await readingInput(() => parseJson(decodeText(bytes)))
  const created = await client.post(configurations, profile)
  for (const warning of warningsOf(created))
    io.err(
      printable(`warning: ${file}: ${warning}
`),
    )
  tellDone({ created }, `created "${created.displayName}", id ${created.id}`, json, io)
}

function warningsOf({ '@certfleet.warnings': warnings }: GraphObject): string[] {
  return Array.isArray(warnings) ? warnings.map(({ path, message }) => `${path ? `${path}: ` : ''}${message}`) : []
}

export async function deleteProfile(name: string, client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  const deleted = named('profile', name, await client.list(configurations))
  await client.remove(`${configurations}/${segment(String(deleted.id))}`)
  tellDone({ deleted }, `deleted "${deleted.displayName}", id ${deleted.id}`, json, io)
}

export async function assign(name: string, options: AssignOptions, client: AdminClient, io: Io): Promise<void> {
  const { group, excludeGroup, none, json } = options
  if (group.length + excludeGroup.length === 0 && !options.allDevices && !options.allUsers && !none)
    throw new InputError('expected --group, --exclude-group, --all-devices, --all-users or --none')
  const profile = named('profile', name, await client.list(configurations))
  const path = `${configurations}/${segment(String(profile.id))}`
  const groups = group.length + excludeGroup.length === 0 ? [] : await client.list('groups')
  const inGroup = (type: string) => (wanted: string) => ({ target: { '@odata.type': type, groupId: named('group', wanted, groups).id } })
  const present = none ? [] : await client.list(`${path}/assignments`)
  const wanted = [
    ...present.map(({ intent, target }) => ({ intent, target })),
    ...group.map(inGroup('#microsoft.graph.groupAssignmentTarget')),
    ...excludeGroup.map(inGroup('#microsoft.graph.exclusionGroupAssignmentTarget')),
    ...(options.allDevices ? [{ target: { '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget' } }] : []),
    ...(options.allUsers ? [{ target: { '@odata.type': '#microsoft.graph.allLicensedUsersAssignmentTarget' } }] : []),
  ]
  const { value } = await client.post(`${path}/assign`, { assignments: withoutRepeats(wanted) })
  const count = Array.isArray(value) ? value.length : 0
  tellDone({ assigned: { profile: profile.id, assignments: value } }, `"${profile.displayName}" has ${count} assignments`, json, io)
}

/** What was there already may be asked for again. */
function withoutRepeats<T extends { readonly target?: unknown }>(assignments: readonly T[]): T[] {
  const key = ({ target }: T) => {
    const { '@odata.type': type, groupId } = target as GraphObject
    return JSON.stringify([type, groupId])
  }
  return [...new Map(assignments.map((assignment) => [key(assignment), assignment])).values()]
}

/** By its id, else by a name that no other has. */
function named(kind: string, wanted: string, among: readonly GraphObject[]): GraphObject {
  const byId = among.filter(({ id }) => id === wanted)
  const found = byId.length > 0 ? byId : among.filter(({ displayName }) => displayName === wanted)
  const [only] = found
  if (only === undefined) throw new InputError(`no ${kind} has the id or name "${wanted}"`)
  if (found.length > 1) throw new InputError(`${found.length} ${kind}s are named "${wanted}"; give the id`)
  return only
}

export async function tellDevices(client: AdminClient, { json }: AdminOptions, io: Io): Promise<void> {
  tellRows('devices', await client.list('deviceManagement/managedDevices'), deviceColumns, json === true, io)
}

export async function tellCertificates(client: AdminClient, { expiring, failed, json }: CertificateOptions, io: Io): Promise<void> {
  const query = { ...(expiring !== undefined && { expiringWithinDays: String(expiring) }), ...(failed && { failed: 'true' }) }
  const rows = await client.list('deviceManagement/managedDeviceCertificateStates', query)
  tellRows('certificates', rows, certificateColumns, json === true, io)
}

export async function revoke(serial: string, client: AdminClient, { reason, json }: RevokeOptions, io: Io): Promise<void> {
  const serialNumber = serial.replaceAll(':', '').toLowerCase()
  if (!/^[0-9a-f]{1,66}$/.test(serialNumber)) throw new InputError('revoke: expected a serial number in hexadecimal')
  await client.post(`deviceManagement/issuedCertificates/${serialNumber}/revoke`, reason === undefined ? {} : { reason })
  tellDone({ revoked: serialNumber }, `revoked ${serialNumber}`, json, io)
}

/** One JSON document, or a line. */
export function tellDone(document: object, text: string, json: true | undefined, io: Io): void {
  io.out(json ? `${JSON.stringify(document)}\n` : printable(`${text}\n`))
}
