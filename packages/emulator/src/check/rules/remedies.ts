import { profileFacts, variableFacts } from '@certfleet/platforms'
import type { CheckFinding } from '../types.ts'

/** What to do, and what says so. */
export type Remedy = Required<Pick<CheckFinding, 'action' | 'source'>>

/** For variables that cannot be resolved; `reason` is in the words of `resolveVariables`, the device's id left out. */
export function remedyOfVariables(names: string, reason: string): Remedy {
  for (const [pattern, source, action] of remedies) {
    const found = pattern.exec(reason)
    if (found) return { source, action: action(names, found[1] ?? '') }
  }
  return { source: variableFacts.unresolved.id, action: `leave ${names} out` }
}

const remedies: readonly (readonly [reason: RegExp, source: string, action: (names: string, attribute: string) => string])[] = [
  [/^no such variable/, `${variableFacts.device.id}; ${variableFacts.user.id}`, (names) => `correct ${names}, or write the value itself`],
  [/machine store/, profileFacts.certificateType.id, () => 'use variables of the device, or make the profile one for users'],
  [/^the device has no user$/, variableFacts.userless.id, () => 'use variables of the device, or leave devices without a user out'],
  [/work profile/, variableFacts.workProfile.id, (names) => `leave ${names} out; {{DeviceId}} tells devices apart too`],
  [/AOSP/, variableFacts.aosp.id, (names) => `leave ${names} out; {{UserPrincipalName}} tells users apart too`],
  [/^corporate-owned/, variableFacts.deviceOwner.id, (names) => `leave ${names} out; {{UserPrincipalName}} tells users apart too`],
  [/URI subject alternative name/, profileFacts.strongMapping.id, (names) => `move ${names} to a URI subject alternative name`],
  [/users only$/, profileFacts.strongMappingUsers.id, (names) => `leave ${names} out, or make the profile one for users`],
  [
    /^the (user|device) has no sid$/,
    profileFacts.strongMapping.id,
    (_, who) => `synchronise the ${who} from the directory, and tell its sid`,
  ],
  [
    /^user .* has no (\w+)$/,
    variableFacts.unresolved.id,
    (names, has) => `give the user ${valueNamed(has)} in the directory, or leave ${names} out`,
  ],
  [
    /^the device has no (\w+)$/,
    variableFacts.unresolved.id,
    (names, has) => `leave ${names} out, or the devices without ${valueNamed(has)}`,
  ],
]

function valueNamed(attribute: string): string {
  return attributeNames.get(attribute) ?? `a value for ${attribute}`
}

const attributeNames: ReadonlyMap<string, string> = new Map([
  ['email', 'an email address'],
  ['department', 'a department'],
  ['onPremDistinguishedName', 'a distinguished name'],
  ['onPremSamAccountName', 'a SAM account name'],
  ['onPremUserPrincipalName', 'an on-premises user principal name'],
  ['aadDeviceId', 'an id in Microsoft Entra'],
  ['serial', 'a serial number'],
  ['imei', 'an IMEI'],
  ['meid', 'a MEID'],
  ['wifiMac', 'a Wi-Fi address'],
  ['deviceName', 'a name'],
  ['fqdn', 'a domain name'],
])
