import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { empty } from '../http.ts'
import { allowQuery, type GraphObject, list, object, ofLists } from './answers.ts'
import { change } from './changes.ts'
import type { AdminGroup } from './records.ts'
import {
  badRequest,
  type Call,
  conflict,
  type Detail,
  idSchema,
  maxIdCharacters,
  notFound,
  Refusal,
  readBody,
  readOnly,
  shown,
  textOf,
} from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'
import { graphUserOf } from './users.ts'

/** As Graph has it for one request. */
const maxBound = 20
const maxMembers = 20_000

const references = z
  .array(z.string('expected the URL of a user or device'), 'expected an array')
  .max(maxBound, `expected at most ${maxBound} elements`)
const flag = z.boolean('expected true or false')

const shape = z.strictObject({
  '@odata.type': z.literal('#microsoft.graph.group', 'expected #microsoft.graph.group').optional(),
  id: idSchema.optional(),
  displayName: textOf('a name'),
  description: textOf('text', 1024).nullish(),
  'members@odata.bind': references.optional(),
  // Asked for by Graph; every group of the lab is a security group whose members are named.
  mailEnabled: z.literal(false, 'expected false').nullish(),
  mailNickname: z.string('expected text').max(64).nullish(),
  securityEnabled: flag.nullish(),
  groupTypes: z.array(z.never(), 'expected an empty array').nullish(),
})

/** `groups` and their members: users, devices, or both (S13, S14). */
export function groupRoutes(services: AdminServices): AdminRoutes {
  return {
    groups: {
      GET(call) {
        allowQuery(call, ...ofLists)
        return list([...services.policies.view().groups.keys()], (id) => graphGroupOf(id, services), call)
      },
      POST: (call) => create(call, services),
    },
    'groups/{id}': {
      GET(call) {
        allowQuery(call, '$select')
        return object(200, graphGroupOf(idOf(call, services), services), call)
      },
      PATCH: (call) => update(call, services),
      DELETE: (call) => remove(call, services),
    },
    'groups/{id}/members': {
      GET(call) {
        allowQuery(call, ...ofLists)
        return list(membersOf(idOf(call, services), services), (member) => member, call)
      },
    },
    'groups/{id}/members/$ref': { POST: (call) => add(call, services) },
    'groups/{id}/members/{id}/$ref': { DELETE: (call) => drop(call, services) },
  }
}

function idOf({ ids: [id = ''] }: Call, { policies }: AdminServices): string {
  if (!policies.view().groups.has(id)) throw notFound('group', id)
  return id
}

function ownId(call: Call, services: AdminServices): string {
  const id = idOf(call, services)
  if (services.policies.view().fromFiles.groups.has(id)) throw readOnly('group', id)
  return id
}

function graphGroupOf(id: string, { store, policies }: AdminServices): GraphObject {
  const record = store.get('adminGroups', id)
  const displayName = record?.displayName ?? policies.view().groups.get(id)?.name
  return {
    '@odata.type': '#microsoft.graph.group',
    id,
    displayName,
    description: record?.description ?? null,
    mailEnabled: false,
    securityEnabled: true,
    groupTypes: [],
    ...(record === undefined && { '@certfleet.source': 'file' }),
  }
}

function membersOf(id: string, { policies, store }: AdminServices): GraphObject[] {
  const { groups, users } = policies.view()
  const group = groups.get(id)
  const people = [...(group?.users ?? [])].flatMap((userId) => users.get(userId) ?? [])
  const devices = [...(group?.devices ?? [])].flatMap((deviceId) => policies.known(deviceId)?.device ?? [])
  return [
    ...people.map((user) => graphUserOf(user, { store })),
    ...devices.map((device) => ({ '@odata.type': '#microsoft.graph.device', id: device.id, displayName: device.deviceName ?? device.id })),
  ]
}

async function create(call: Call, services: AdminServices) {
  const body = readBody(call.request, shape)
  const members = found(body['members@odata.bind'] ?? [], services)
  const { displayName, description } = body
  const group: AdminGroup = { id: body.id ?? randomUUID(), displayName, ...(description && { description }), users: [], devices: [] }
  const { groups, fromFiles } = services.policies.view()
  await change(services.store, (tx, added) => {
    if (groups.has(group.id) || fromFiles.groupNames.has(group.id) || tx.get('adminGroups', group.id))
      throw conflict(`a group has the id "${group.id}"`)
    tx.put('adminGroups', group.id, withMembers(group, members))
    added('groups', 1)
  })
  await services.changed()
  return object(201, graphGroupOf(group.id, services), call)
}

async function update(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  const { displayName, description, ...body } = readBody(call.request, shape.partial())
  if (body.id !== undefined && body.id !== id) throw badRequest('id', 'expected no change of the id')
  const members = found(body['members@odata.bind'] ?? [], services)
  await revise(id, services, (group) => {
    const named = { ...group, ...(displayName !== undefined && { displayName }) }
    return withMembers(description === undefined ? named : { ...named, description: description ?? undefined }, members)
  })
  return empty(204)
}

async function remove(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  await change(services.store, (tx, added) => {
    if (tx.get('adminGroups', id) === undefined) throw notFound('group', id)
    tx.remove('adminGroups', id)
    added('groups', -1)
  })
  await services.changed()
  return empty(204)
}

async function add(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  const { '@odata.id': reference } = readBody(
    call.request,
    z.strictObject({ '@odata.id': z.string('expected the URL of a user or device') }),
  )
  const members = found([reference], services, '@odata.id')
  await revise(id, services, (group) => {
    const grown = withMembers(group, members)
    if (size(grown) === size(group)) throw badRequest('@odata.id', 'expected somebody who is not in the group')
    return grown
  })
  return empty(204)
}

async function drop(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  const [, member = ''] = call.ids
  await revise(id, services, (group) => {
    const others = (ids: readonly string[]) => ids.filter((other) => other !== member)
    const smaller = { ...group, users: others(group.users), devices: others(group.devices) }
    if (size(smaller) === size(group)) throw notFound('member', member)
    return smaller
  })
  return empty(204)
}

async function revise(id: string, services: AdminServices, next: (group: AdminGroup) => AdminGroup): Promise<void> {
  await change(services.store, (tx) => {
    const group = tx.get('adminGroups', id)
    if (group === undefined) throw notFound('group', id)
    tx.put('adminGroups', id, next(group))
  })
  await services.changed()
}

interface Members {
  readonly users: readonly string[]
  readonly devices: readonly string[]
}

function withMembers(group: AdminGroup, members: Members): AdminGroup {
  const joined = (a: readonly string[], b: readonly string[]) => [...new Set([...a, ...b])]
  const grown = { ...group, users: joined(group.users, members.users), devices: joined(group.devices, members.devices) }
  if (size(grown) > maxMembers) throw new Refusal(403, 'QuotaExceeded', `expected at most ${maxMembers} members in a group`)
  return grown
}

function size({ users, devices }: Members): number {
  return users.length + devices.length
}

/** Whom the references name: `…/users/{id}`, `…/devices/{id}`, `…/managedDevices/{id}` or `…/directoryObjects/{id}`. */
function found(urls: readonly string[], services: AdminServices, place?: string): Members {
  const details: Detail[] = []
  const users: string[] = []
  const devices: string[] = []
  for (const [i, url] of urls.entries()) {
    const target = place ?? `members@odata.bind[${i}]`
    const kinds = kindsOf(url, services)
    if (kinds.length === 1) (kinds[0]?.kind === 'user' ? users : devices).push(kinds[0]?.id as string)
    else details.push({ target, message: `expected the URL of one user or device that is known, found "${shown(url)}"` })
  }
  if (details.length > 0) throw new Refusal(400, 'BadRequest', `${details[0]?.target}: ${details[0]?.message}`, details)
  return { users, devices }
}

function kindsOf(url: string, { policies }: AdminServices): { kind: 'user' | 'device'; id: string }[] {
  const read = /(?:^|\/)(users|devices|managedDevices|directoryObjects)(?:\('(.+)'\)|\/([^/?#]+))$/i.exec(url)
  const id = decoded(read?.[2] ?? read?.[3])
  if (read === null || id === undefined || id.length > maxIdCharacters) return []
  const collection = (read[1] as string).toLowerCase()
  const isUser = collection !== 'devices' && collection !== 'manageddevices' && policies.view().users.has(id)
  const isDevice = collection !== 'users' && policies.known(id) !== undefined
  return [...(isUser ? [{ kind: 'user' as const, id }] : []), ...(isDevice ? [{ kind: 'device' as const, id }] : [])]
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text)
  } catch {
    return undefined
  }
}
