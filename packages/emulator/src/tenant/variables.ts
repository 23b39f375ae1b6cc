import { AgentError } from '@certfleet/agent-core'
import { compareVersions, profileFacts, says, variableFacts } from '@certfleet/platforms'
import type { Device, User } from './tenant-types.ts'
import type { CertificateIntent, Family } from './types.ts'

/** Whose attributes a profile's variables read. */
export interface Subscriber {
  readonly device: Device
  /** Undefined on a userless device. */
  readonly user: User | undefined
}

/** What of a profile decides which variables it may use. */
export type VariableUser = Pick<CertificateIntent, 'family' | 'principal'>

/** Where a variable stands: some are for one place only. */
export type Place = 'subject' | 'email' | 'upn' | 'dns' | 'uri'

interface Variable {
  readonly of: 'device' | 'user'
  /** The attribute, as a tenant file names it. */
  readonly attribute: string
  readonly read: (subscriber: Subscriber) => string | undefined
}

/** By lower-case name: documents differ in case (M-SCEP). */
const variables: ReadonlyMap<string, Variable> = new Map([
  ...deviceVariable('id', 'DeviceId'),
  ...deviceVariable('aadDeviceId', 'AAD_Device_ID', 'AzureADDeviceId'),
  ...deviceVariable('serial', 'Device_Serial', 'SerialNumber'),
  ...deviceVariable('imei', 'Device_IMEI', 'IMEINumber', 'IMEI'),
  ...deviceVariable('meid', 'MEID'),
  ...deviceVariable('wifiMac', 'WiFiMacAddress'),
  ...deviceVariable('deviceName', 'DeviceName'),
  ...deviceVariable('fqdn', 'FullyQualifiedDomainName'),
  ...userVariable('userName', 'UserName'),
  ...userVariable('upn', 'UserPrincipalName'),
  ...userVariable('email', 'EmailAddress'),
  ...userVariable('onPremDistinguishedName', 'OnPrem_Distinguished_Name'),
  ...userVariable('onPremSamAccountName', 'OnPremisesSamAccountName'),
  ...userVariable('onPremUserPrincipalName', 'OnPremisesUserPrincipalName'),
  ...userVariable('department', 'Department'),
])

const securityIdentifier = 'onpremisessecurityidentifier'

/**
 * The template with every `{{variable}}` put in. A variable without a value never becomes an empty string:
 * fails with `ERR_VARIABLE_UNRESOLVED`, naming the variable and who lacks what.
 */
export function resolveVariables(template: string, place: Place, profile: VariableUser, subscriber: Subscriber): string {
  if (!template.includes('{{')) return template
  return template.replace(/\{\{([^{}]*)\}\}/g, (variable, name: string) =>
    resolve(variable, name.trim().toLowerCase(), place, profile, subscriber),
  )
}

function resolve(variable: string, name: string, place: Place, profile: VariableUser, subscriber: Subscriber): string {
  if (name === securityIdentifier) return strongMapping(variable, place, profile, subscriber)
  const known = variables.get(name)
  if (known === undefined) throw unresolved(variable, 'no such variable is known')
  if (known.of === 'user') checkUser(variable, profile, subscriber)
  const barred = barredBy(profile.family, known.attribute, place, subscriber.device)
  if (barred !== undefined) throw unresolved(variable, barred)
  return known.read(subscriber) || lacking(variable, known, subscriber)
}

/** A device certificate holds device attributes only, and a userless device has no others (M-SCEP). */
function checkUser(variable: string, profile: VariableUser, { device, user }: Subscriber): void {
  if (profile.principal === 'device') throw unresolved(variable, 'a certificate of the machine store may not use the attributes of a user')
  if (user === undefined) throw unresolved(variable, `device "${device.id}" has no user`)
}

/** What a kind of management keeps from a profile although the tenant knows it (M-SCEP). */
function barredBy(family: Family, attribute: string, place: Place, device: Device): string | undefined {
  const workProfile = family === 'androidWorkProfile' || family === 'androidForWork'
  const { workProfile: hidden, deviceOwner, aosp } = variableFacts
  if (workProfile && has(hidden, attribute) && compareVersions(device.osVersion, hidden.since) >= 0) {
    return 'a personal work profile on Android 12 or later hides it'
  }
  if (family === 'aosp' && has(aosp, attribute)) return 'Android AOSP does not support it'
  if (family === 'androidDeviceOwner' && has(deviceOwner, attribute) && place !== 'subject')
    return 'corporate-owned Android does not allow it in a subject alternative name'
  return undefined
}

function has(fact: { readonly id: string; readonly value: readonly string[] }, attribute: string): boolean {
  return says(fact, {}).includes(attribute)
}

/** The URI by which Active Directory maps a certificate to an account; user certificates of the user, device certificates of the device (M-SCEP). */
function strongMapping(variable: string, place: Place, { principal, family }: VariableUser, { device, user }: Subscriber): string {
  if (place !== 'uri') throw unresolved(variable, 'it is for a URI subject alternative name only')
  const { strongMappingUsers } = profileFacts
  const onlyUsers = strongMappingUsers.platforms.some((platform) => platform === family)
  if (onlyUsers && principal !== says(strongMappingUsers, {}))
    throw unresolved(variable, `on ${family} it is for certificates of users only`)
  const sid = principal === 'device' ? device.sid : user?.sid
  if (sid === undefined) throw unresolved(variable, `the ${principal} has no sid`)
  return `${says(profileFacts.strongMapping, {})}${sid}`
}

function lacking(variable: string, { of, attribute }: Variable, { device, user }: Subscriber): never {
  throw unresolved(variable, `${of} "${of === 'user' ? user?.id : device.id}" has no ${attribute}`)
}

function unresolved(variable: string, reason: string): AgentError {
  return new AgentError('ERR_VARIABLE_UNRESOLVED', `${variable} cannot be resolved: ${reason}`)
}

function deviceVariable(attribute: keyof Device, ...names: string[]): [string, Variable][] {
  return names.map((name) => [name.toLowerCase(), { of: 'device', attribute, read: ({ device }) => device[attribute] }])
}

function userVariable(attribute: keyof User, ...names: string[]): [string, Variable][] {
  return names.map((name) => [name.toLowerCase(), { of: 'user', attribute, read: ({ user }) => user?.[attribute] }])
}
