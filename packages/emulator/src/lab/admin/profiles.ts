import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { empty } from '../http.ts'
import { allowQuery, type GraphObject, list, moment, object, ofLists } from './answers.ts'
import { change } from './changes.ts'
import { checkAssignments, checkProfile } from './documents.ts'
import { graphAssignmentOf, graphProfileOf } from './graph-profile.ts'
import type { AdminProfile } from './records.ts'
import { badRequest, type Call, conflict, idSchema, notFound, Refusal, readMembers, readObject, readOnly } from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'
import type { ListedProfile } from './view.ts'

const identity = z.object({ id: idSchema })

/** `deviceManagement/deviceConfigurations`: Trusted root, SCEP and PFX profiles and their assignments. */
export function profileRoutes(services: AdminServices): AdminRoutes {
  const path = 'deviceManagement/deviceConfigurations'
  const one = (call: Call) => listed(call, services)
  return {
    [path]: {
      GET(call) {
        allowQuery(call, ...ofLists, '$expand')
        return list([...services.policies.view().profiles.values()], shownBy(call), call)
      },
      POST: (call) => create(call, services),
    },
    [`${path}/{id}`]: {
      GET(call) {
        allowQuery(call, '$select', '$expand')
        return object(200, shownBy(call)(one(call)), call)
      },
      PATCH: (call) => update(call, services),
      DELETE: (call) => remove(call, services),
    },
    [`${path}/{id}/assign`]: { POST: (call) => assign(call, services) },
    [`${path}/{id}/assignments`]: {
      GET(call) {
        allowQuery(call, ...ofLists)
        const { intent, assignments } = one(call)
        return list(assignments, (assignment) => graphAssignmentOf(intent.id, assignment), call)
      },
    },
    [`${path}/{id}/rootCertificate`]: { GET: (call) => rootOf(call, services) },
    [`${path}/{id}/rootCertificate/$ref`]: { PUT: (call) => link(call, services) },
  }
}

function listed({ ids: [id = ''] }: Call, { policies }: AdminServices): ListedProfile {
  const profile = policies.view().profiles.get(id)
  if (profile === undefined) throw notFound('device configuration', id)
  return profile
}

function shownBy({ query }: Call): (profile: ListedProfile) => GraphObject {
  const expand = query.get('$expand')
  // Graph refuses rootCertificate here too; it has a path of its own.
  if (expand !== null && expand !== 'assignments') throw badRequest('$expand', 'expected assignments')
  return (profile) => ({
    ...graphOf(profile),
    ...(expand && { assignments: profile.assignments.map((assignment) => graphAssignmentOf(profile.intent.id, assignment)) }),
  })
}

/** As a plain GET has it: a link is written, and read by its own path. */
function graphOf({ intent, record }: ListedProfile): GraphObject {
  if (record === undefined) return { ...graphProfileOf(intent), '@certfleet.source': 'file' }
  const members = Object.entries(JSON.parse(record.document)).filter(([name]) => !name.endsWith('@odata.bind') && !name.startsWith('#'))
  const { id, createdAt, modifiedAt, version } = record
  return { ...Object.fromEntries(members), id, createdDateTime: moment(createdAt), lastModifiedDateTime: moment(modifiedAt), version }
}

async function create(call: Call, services: AdminServices) {
  const { store, clock, policies } = services
  const members = readObject(call.request)
  const { id } = readMembers({ id: members.id ?? randomUUID() }, identity)
  const view = policies.view()
  const { intent, document, warnings } = checkProfile(members, id, view)
  const assignments = members.assignments == null ? [] : checkAssignments(members, id, view)
  const now = clock.now()
  const record: AdminProfile = { id, document, assignments, createdAt: now, modifiedAt: now, version: 1 }
  await change(store, (tx, added) => {
    if (view.profiles.has(id) || tx.get('adminProfiles', id)) throw conflict(`a device configuration has the id "${id}"`)
    tx.put('adminProfiles', id, record)
    added('profiles', 1)
  })
  await services.changed()
  const remarks = warnings.map(({ id: finding, path, message }) => ({ id: finding, path, message }))
  return object(201, { ...graphOf({ intent, record, assignments }), ...(remarks.length > 0 && { '@certfleet.warnings': remarks }) }, call)
}

async function update(call: Call, services: AdminServices) {
  const { id } = ownRecord(call, services)
  const patch = readObject(call.request)
  if (patch.id !== undefined && patch.id !== id) throw badRequest('id', 'expected no change of the id')
  if (patch.assignments !== undefined) throw badRequest('assignments', 'expected them by POST to …/assign')
  const profile = await revise(id, patch, services)
  return object(200, graphOf(profile), call)
}

/** Puts members in the place of those on record, and judges the whole again. */
async function revise(id: string, patch: Readonly<Record<string, unknown>>, services: AdminServices): Promise<ListedProfile> {
  const { store, clock, policies } = services
  const before = store.get('adminProfiles', id)
  if (before === undefined) throw notFound('device configuration', id)
  const present = JSON.parse(before.document)
  if (patch['@odata.type'] !== undefined && patch['@odata.type'] !== present['@odata.type'])
    throw badRequest('@odata.type', 'expected no change of the type')
  const { intent, document } = checkProfile({ ...present, ...patch }, id, policies.view())
  const record = await change(store, (tx) => {
    const latest = tx.get('adminProfiles', id)
    if (latest?.version !== before.version) throw conflict('somebody else changed this profile meanwhile; read it again')
    const next = { ...latest, document, modifiedAt: clock.now(), version: latest.version + 1 }
    tx.put('adminProfiles', id, next)
    return next
  })
  await services.changed()
  return { intent, record, assignments: record.assignments }
}

async function remove(call: Call, services: AdminServices) {
  const { id } = ownRecord(call, services)
  await change(services.store, (tx, added) => {
    if (tx.get('adminProfiles', id) === undefined) throw notFound('device configuration', id)
    tx.remove('adminProfiles', id)
    added('profiles', -1)
  })
  await services.changed()
  return empty(204)
}

/** Graph's action: the assignments in the body take the place of all there were. */
async function assign(call: Call, services: AdminServices) {
  const { id } = ownRecord(call, services)
  const members = readObject(call.request)
  const assignments = checkAssignments(members, id, services.policies.view())
  await change(services.store, (tx) => {
    const record = tx.get('adminProfiles', id)
    if (record === undefined) throw notFound('device configuration', id)
    tx.put('adminProfiles', id, { ...record, assignments })
  })
  await services.changed()
  return list(assignments, (assignment) => graphAssignmentOf(id, assignment), call)
}

function rootOf(call: Call, services: AdminServices) {
  allowQuery(call, '$select')
  const { intent } = listed(call, services)
  const rootId = 'link' in intent && 'rootProfileId' in intent.link ? intent.link.rootProfileId : undefined
  const root = rootId === undefined ? undefined : services.policies.view().profiles.get(rootId)
  if (root === undefined) throw new Refusal(404, 'ResourceNotFound', `the device configuration "${intent.id}" has no root certificate`)
  return object(200, graphOf(root), call)
}

async function link(call: Call, services: AdminServices) {
  const { id } = ownRecord(call, services)
  const { '@odata.id': reference } = readObject(call.request)
  if (typeof reference !== 'string') throw badRequest('@odata.id', 'expected the URL of a Trusted profile')
  await revise(id, { 'rootCertificate@odata.bind': reference }, services)
  return empty(204)
}

function ownRecord(call: Call, services: AdminServices): AdminProfile {
  const { intent, record } = listed(call, services)
  if (record === undefined) throw readOnly('device configuration', intent.id)
  return record
}
