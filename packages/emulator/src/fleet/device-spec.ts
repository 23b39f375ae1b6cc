import { type Device, osVersionOf } from '../tenant/index.ts'
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
  const isSystem = management === 'windowsPhone81' || management === 'windows10X'
  return management === undefined || isSystem ? spec : { ...spec, management }
}
