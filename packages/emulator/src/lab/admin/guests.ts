import { type Management, managementModes } from '@certfleet/platforms'
import { folderName } from '../../fleet/folder-name.ts'
import { type Device, generateTenant, type Platform, type User } from '../../tenant/index.ts'
import type { Registration } from '../records.ts'

const platforms: readonly Platform[] = ['ios', 'macos', 'android', 'windows']
/** Of the users that the lab makes up. */
const guestDomain = 'contoso.example'

/**
 * A device that registered and that no tenant file names: one of its platform with every attribute, and a user of its own.
 * Undefined for a platform that is none, or an OS version that is not dotted numbers.
 */
export function guestOf({ deviceId, platform: named, osVersion, management }: Registration): { device: Device; user: User } | undefined {
  const platform = platforms.find((name) => name === named)
  if (platform === undefined || !/^\d{1,9}(\.\d{1,9}){0,4}$/.test(osVersion)) return undefined
  const model = generateTenant({ counts: { [platform]: 1 }, domain: guestDomain })
  const userName = `user-of-${folderName(deviceId)}`
  const address = `${userName}@${guestDomain}`
  const [modelUser] = model.users.values()
  const [modelDevice] = model.devices.values()
  const user: User = {
    ...(modelUser as User),
    id: userName,
    userName,
    upn: address,
    email: address,
    onPremSamAccountName: userName,
    onPremUserPrincipalName: address,
  }
  const modes: readonly Management[] = managementModes[platform]
  const mode = modes.find((known) => known === management)
  const device: Device = { ...(modelDevice as Device), id: deviceId, osVersion, deviceName: deviceId, user: user.id }
  return { user, device: mode ? { ...device, management: mode } : device }
}
