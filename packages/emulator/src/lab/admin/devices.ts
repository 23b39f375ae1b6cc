import { z } from 'zod'
import { empty } from '../http.ts'
import type { Registration } from '../records.ts'
import { allowQuery, type GraphObject, list, moment, never, object, ofLists } from './answers.ts'
import { change } from './changes.ts'
import { badRequest, type Call, notFound, readBody } from './request.ts'
import type { AdminRoutes } from './routes.ts'
import type { AdminServices } from './services.ts'
import { graphUserOf } from './users.ts'

const operatingSystems: Readonly<Record<string, string>> = { ios: 'iOS', macos: 'macOS', android: 'Android', windows: 'Windows' }

const reference = z.strictObject({ '@odata.id': z.string('expected the URL of a user') })

/** `deviceManagement/managedDevices`: the devices that registered. */
export function deviceRoutes(services: AdminServices): AdminRoutes {
  const path = 'deviceManagement/managedDevices'
  return {
    [path]: {
      GET(call) {
        allowQuery(call, ...ofLists)
        return list([...services.store.list('registrations')], (registration) => graphDeviceOf(registration, services), call)
      },
    },
    [`${path}/{id}`]: {
      GET(call) {
        allowQuery(call, '$select')
        return object(200, graphDeviceOf(registrationOf(call, services), services), call)
      },
    },
    [`${path}/{id}/users`]: {
      GET(call) {
        allowQuery(call, ...ofLists)
        const user = services.policies.known(registrationOf(call, services).deviceId)?.user
        return list(user ? [user] : [], (one) => graphUserOf(one, services), call)
      },
    },
    [`${path}/{id}/users/$ref`]: { POST: (call) => setUser(call, services) },
    [`${path}/{id}/retire`]: { POST: (call) => retire(call, services) },
  }
}

export function registrationOf({ ids: [id = ''] }: Call, { store }: AdminServices): Registration {
  const registration = store.get('registrations', id)
  if (registration === undefined) throw notFound('managed device', id)
  return registration
}

/** `microsoft.graph.managedDevice`, those of its members that the lab can know. */
function graphDeviceOf({ deviceId, platform, osVersion, registeredAt }: Registration, { store, policies }: AdminServices): GraphObject {
  const { device, user } = policies.known(deviceId) ?? {}
  const lastSync = store.get('reports', deviceId)?.at
  return {
    '@odata.type': '#microsoft.graph.managedDevice',
    id: deviceId,
    deviceName: device?.deviceName ?? deviceId,
    operatingSystem: operatingSystems[platform] ?? platform,
    osVersion,
    enrolledDateTime: moment(registeredAt),
    lastSyncDateTime: lastSync === undefined ? never : moment(lastSync),
    // S14: by then a device group reaches it.
    deviceRegistrationState: policies.isFullyRegistered(deviceId) ? 'registered' : 'notRegisteredPendingEnrollment',
    managementState: policies.isRetired(deviceId) ? 'retireIssued' : 'managed',
    serialNumber: device?.serial ?? null,
    azureADDeviceId: device?.aadDeviceId ?? null,
    userId: user?.id ?? null,
    userPrincipalName: user?.upn ?? null,
    userDisplayName: user?.userName ?? null,
  }
}

/** Graph's way to name the primary user. */
async function setUser(call: Call, services: AdminServices) {
  const { deviceId } = registrationOf(call, services)
  const { '@odata.id': url } = readBody(call.request, reference)
  const userId = /(?:^|\/)users(?:\('(.+)'\)|\/([^/?#]+))$/i.exec(url)?.slice(1).find(Boolean) ?? ''
  if (!services.policies.view().users.has(userId)) throw badRequest('@odata.id', 'expected the URL of a user, …/users/{id}')
  await change(services.store, (tx) => tx.put('adminDevices', deviceId, { ...tx.get('adminDevices', deviceId), deviceId, userId }))
  await services.changed()
  return empty(204)
}

/** Takes all profiles from the device and revokes its certificates. Done again, it finishes what a crash cut off. */
async function retire(call: Call, services: AdminServices) {
  const { store, clock, policies } = services
  const { deviceId } = registrationOf(call, services)
  if (!policies.isRetired(deviceId))
    await change(store, (tx) => tx.put('adminDevices', deviceId, { ...tx.get('adminDevices', deviceId), deviceId, retiredAt: clock.now() }))
  const own = [...services.index.issued.values()].filter((issued) => issued.deviceId === deviceId)
  for (const { serialNumber } of own) await services.revoke(serialNumber, 'cessationOfOperation')
  await services.changed()
  return empty(204)
}
