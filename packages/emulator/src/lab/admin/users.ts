import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { User } from '../../tenant/index.ts'
import { sha256Hex } from '../digest.ts'
import { empty } from '../http.ts'
import type { LabTransaction } from '../store.ts'
import { allowQuery, type GraphObject, list, object, ofLists } from './answers.ts'
import { change } from './changes.ts'
import type { AdminUser } from './records.ts'
import { badRequest, type Call, conflict, idSchema, notFound, readBody, readOnly, textOf } from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'
import type { AdminView } from './view.ts'

const address = z
  .string('expected name@domain')
  .max(113)
  .regex(/^[^@\s\p{Cc}]+@[^@\s\p{Cc}]+$/u, 'expected name@domain')
const flag = z.boolean('expected true or false')

const shape = z.strictObject({
  '@odata.type': z.literal('#microsoft.graph.user', 'expected #microsoft.graph.user').optional(),
  id: idSchema.optional(),
  displayName: textOf('a name'),
  userPrincipalName: address,
  mailNickname: textOf('a name', 64).nullish(),
  mail: address.nullish(),
  department: textOf('a name', 64).nullish(),
  onPremisesDistinguishedName: textOf('a distinguished name', 1024).nullish(),
  onPremisesSamAccountName: textOf('a name', 64).nullish(),
  onPremisesUserPrincipalName: address.nullish(),
  onPremisesSecurityIdentifier: z
    .string('expected a security identifier, S-1-…')
    .regex(/^S-1(-\d{1,20}){1,15}$/, 'expected a security identifier, S-1-…')
    .nullish(),
  // Asked for by Graph, and of no use to the lab: nobody signs in, and no password is kept.
  accountEnabled: flag.nullish(),
  passwordProfile: z.unknown().optional(),
})

const partialShape = shape.partial()

/** `users`: whom profiles are assigned to through groups, and whose attributes their variables read. */
export function userRoutes(services: AdminServices): AdminRoutes {
  return {
    users: {
      GET(call) {
        allowQuery(call, ...ofLists)
        return list([...services.policies.view().users.values()], (user) => graphUserOf(user, services), call)
      },
      POST: (call) => create(call, services),
    },
    'users/{id}': {
      GET(call) {
        allowQuery(call, '$select')
        return object(200, graphUserOf(userOf(call, services), services), call)
      },
      PATCH: (call) => update(call, services),
      DELETE: (call) => remove(call, services),
    },
  }
}

/** `microsoft.graph.user`. */
export function graphUserOf(user: User, { store }: Pick<AdminServices, 'store'>): GraphObject {
  const record = store.get('adminUsers', user.id)
  return {
    '@odata.type': '#microsoft.graph.user',
    id: user.id,
    displayName: record?.displayName ?? user.userName,
    userPrincipalName: user.upn,
    mailNickname: user.userName,
    mail: user.email ?? null,
    department: user.department ?? null,
    onPremisesDistinguishedName: user.onPremDistinguishedName ?? null,
    onPremisesSamAccountName: user.onPremSamAccountName ?? null,
    onPremisesUserPrincipalName: user.onPremUserPrincipalName ?? null,
    onPremisesSecurityIdentifier: user.sid ?? null,
    ...(record === undefined && { '@certfleet.source': 'file' }),
  }
}

function userOf({ ids: [id = ''] }: Call, { policies }: AdminServices): User {
  const { users } = policies.view()
  // Graph takes the user principal name for an id here.
  const user = users.get(id) ?? [...users.values()].find(({ upn }) => upn.toLowerCase() === id.toLowerCase())
  if (user === undefined) throw notFound('user', id)
  return user
}

async function create(call: Call, services: AdminServices) {
  const { store, policies } = services
  const body = readBody(call.request, shape)
  const user = recordOf({ ...body, id: body.id ?? randomUUID() })
  const view = policies.view()
  await change(store, (tx, added) => {
    if (view.users.has(user.id) || tx.get('adminUsers', user.id)) throw conflict(`a user has the id "${user.id}"`)
    takeName(user, tx, view)
    tx.put('adminUsers', user.id, user)
    added('users', 1)
  })
  await services.changed()
  return object(201, graphUserOf(userOf({ ...call, ids: [user.id] }, services), services), call)
}

async function update(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  const patch = readBody(call.request, partialShape)
  if (patch.id !== undefined && patch.id !== id) throw badRequest('id', 'expected no change of the id')
  const view = services.policies.view()
  await change(services.store, (tx) => {
    const before = tx.get('adminUsers', id)
    if (before === undefined) throw notFound('user', id)
    const after = recordOf({ ...before, ...patch, id })
    tx.remove('adminUserNames', nameKey(before))
    takeName(after, tx, view)
    tx.put('adminUsers', id, after)
  })
  await services.changed()
  return empty(204)
}

async function remove(call: Call, services: AdminServices) {
  const id = ownId(call, services)
  const groups = [...services.store.list('adminGroups')].filter(({ users }) => users.includes(id)).map((group) => group.id)
  await change(services.store, (tx, added) => {
    const user = tx.get('adminUsers', id)
    if (user === undefined) throw notFound('user', id)
    tx.remove('adminUsers', id)
    tx.remove('adminUserNames', nameKey(user))
    for (const group of groups.flatMap((groupId) => tx.get('adminGroups', groupId) ?? []))
      tx.put('adminGroups', group.id, { ...group, users: group.users.filter((member) => member !== id) })
    added('users', -1)
  })
  await services.changed()
  return empty(204)
}

function ownId(call: Call, services: AdminServices): string {
  const { id } = userOf(call, services)
  if (services.policies.view().fromFiles.users.has(id)) throw readOnly('user', id)
  return id
}

/** Nobody else may have the user principal name. */
function takeName(user: AdminUser, tx: LabTransaction, { users, fromFiles }: AdminView): void {
  const name = user.userPrincipalName.toLowerCase()
  const ofFile = [...fromFiles.users].some((id) => users.get(id)?.upn.toLowerCase() === name)
  if (ofFile || tx.get('adminUserNames', nameKey(user)) !== undefined) throw conflict(`a user has the name "${user.userPrincipalName}"`)
  tx.put('adminUserNames', nameKey(user), user.id)
}

function nameKey({ userPrincipalName }: AdminUser): string {
  return sha256Hex(userPrincipalName.toLowerCase())
}

/** Without what is not kept. */
function recordOf(body: z.infer<typeof partialShape> & Pick<AdminUser, 'id'>): AdminUser {
  const { '@odata.type': _type, accountEnabled: _enabled, passwordProfile: _password, ...members } = body
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value != null)) as unknown as AdminUser
}
