import type { PolicyDocument } from '@certfleet/agent-core'
import { type Device, type PfxRequest, renderPfxRequests, renderPolicy, type User } from '../../tenant/index.ts'
import { importedRevision } from '../connector/imported.ts'
import type { PolicyFor } from '../policies.ts'
import type { LabStore } from '../store.ts'
import { guestOf } from './guests.ts'
import { type AdminFiles, type AdminView, adminViews, type Rollout } from './view.ts'

export interface AdminPoliciesOptions {
  /** What the lab was started with, now or, as a function, once it is known. Default: nothing. */
  readonly files?: AdminFiles | (() => AdminFiles | undefined) | undefined
  /**
   * S14: when a device is reached as a member of a group. `after-first-report` stands for a full registration, which ends with the
   * report of its first check-in; the members of a user group are reached at once. Default `after-first-report`.
   */
  readonly deviceGroups?: 'after-first-report' | 'at-once' | undefined
}

/** A device and its user as the admin's side knows them. */
export interface KnownDevice {
  readonly device: Device
  /** Undefined on a userless device. */
  readonly user: User | undefined
}

export interface AdminPolicies {
  /** What a device is to have by files and API. A device that neither the files nor a registration knows gets none; a retired one an empty one. */
  readonly policyFor: PolicyFor
  /** What the connector is to deliver for the PFX profiles of that policy. */
  pfxRequestsFor(deviceId: string): readonly PfxRequest[]
  /** Files and API at this moment. */
  view(): AdminView
  known(deviceId: string): KnownDevice | undefined
  /** Id of the user whom a device's challenges are for. */
  userFor(deviceId: string): string | undefined
  /** Whether the first report since it registered is in. */
  isFullyRegistered(deviceId: string): boolean
  isRetired(deviceId: string): boolean
}

/** Renders the policies of what the admin's API keeps in `store` beside the files; the join is made anew only when something changed. */
export function adminPolicies(store: LabStore, { files, deviceGroups = 'after-first-report' }: AdminPoliciesOptions = {}): AdminPolicies {
  const view = adminViews(store, typeof files === 'function' ? files : () => files)
  const complete = new Map<string, number>()
  const isFullyRegistered = (deviceId: string) => {
    const registeredAt = store.get('registrations', deviceId)?.registeredAt
    if (registeredAt === undefined) return false
    if (complete.get(deviceId) === registeredAt) return true
    if ((store.get('reports', deviceId)?.at ?? -1) < registeredAt) return false
    complete.set(deviceId, registeredAt)
    return true
  }
  const isRetired = (deviceId: string) => {
    const retiredAt = store.get('adminDevices', deviceId)?.retiredAt
    return retiredAt !== undefined && retiredAt >= (store.get('registrations', deviceId)?.registeredAt ?? 0)
  }
  const known = (deviceId: string) => knownDevice(deviceId, store, view())
  /** S14. */
  const rolloutFor = (deviceId: string): Rollout => {
    const { rollout, withoutDeviceGroups } = view()
    return deviceGroups === 'at-once' || isFullyRegistered(deviceId) ? rollout : withoutDeviceGroups
  }
  return {
    view,
    known,
    userFor: (deviceId) => known(deviceId)?.user?.id,
    isFullyRegistered,
    isRetired,
    policyFor(deviceId) {
      const subject = known(deviceId)
      if (subject === undefined) return undefined
      if (isRetired(deviceId)) return emptyPolicy(deviceId)
      const { intent, tenant } = only(subject, rolloutFor(deviceId))
      return renderPolicy(intent, tenant, deviceId, { revision: 1, importedRevision: (...whose) => importedRevision(store, ...whose) })
    },
    pfxRequestsFor(deviceId) {
      const subject = known(deviceId)
      if (subject === undefined || isRetired(deviceId)) return []
      const { intent, tenant } = only(subject, rolloutFor(deviceId))
      return renderPfxRequests(intent, tenant, deviceId)
    },
  }
}

/** The tenant file's device, else a guest; with the primary user that the admin chose. */
function knownDevice(deviceId: string, store: LabStore, { rollout, users }: AdminView): KnownDevice | undefined {
  const named = rollout.tenant.devices.get(deviceId)
  const registration = store.get('registrations', deviceId)
  const found = named ? { device: named, user: users.get(named.user ?? '') } : registration && guestOf(registration)
  if (found === undefined) return undefined
  const chosen = users.get(store.get('adminDevices', deviceId)?.userId ?? '')
  return chosen ? { device: { ...found.device, user: chosen.id }, user: chosen } : found
}

/** The tenant as far as one device is concerned. */
function only({ device, user }: KnownDevice, { intent, tenant }: Rollout): Rollout {
  return { intent, tenant: { ...tenant, devices: new Map([[device.id, device]]), users: new Map(user ? [[user.id, user]] : []) } }
}

/** All that it was given is taken away at its next check-in. */
function emptyPolicy(deviceId: string): PolicyDocument {
  return { schemaVersion: 1, revision: 1, deviceId, lifecycle: 'retired', trustedRoots: [], scepProfiles: [], failedProfiles: [] }
}
