import { type Device, managementOf, osVersionOf } from '../tenant/index.ts'
import type { DeviceSpec } from './device.ts'

/** A tenant's device as it is emulated. */
export function deviceSpecOf({ id, platform, osVersion, management, userConsent, hardware }: Device): DeviceSpec {
  const spec = {
    id,
    platform,
    osVersion: osVersionOf({ osVersion, ...(management && { management }) }),
    ...(userConsent && { userConsent }),
    ...(hardware && { hardware }),
  }
  const enrolledAs = managementOf({ ...(management && { management }) })
  return enrolledAs === undefined ? spec : { ...spec, management: enrolledAs }
}
