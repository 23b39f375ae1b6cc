import type { Device } from '../tenant/index.ts'
import type { DeviceSpec } from './device.ts'

/** A tenant's device as it is emulated. Those of its management modes that are systems of their own become one. */
export function deviceSpecOf({ id, platform, osVersion, management, userConsent }: Device): DeviceSpec {
  const spec = { id, platform, osVersion, ...(userConsent && { userConsent }) }
  if (management === 'windowsPhone81') return { ...spec, osVersion: `Phone ${osVersion}` }
  return management === undefined || management === 'windows10X' ? spec : { ...spec, management }
}
