import type { Fact } from './fact.ts'

const service = ['service'] as const

/** What `{{variables}}` in subjects and alternative names stand for. */
export const variableFacts = {
  device: {
    id: 'variables.device',
    platforms: service,
    effect: 'These variables stand for attributes of the device; the domain name is for Windows devices that joined a domain.',
    value: [
      ...['AAD_Device_ID', 'AzureADDeviceId', 'DeviceId', 'Device_Serial', 'Device_IMEI', 'SerialNumber', 'IMEINumber'],
      ...['WiFiMacAddress', 'IMEI', 'DeviceName', 'FullyQualifiedDomainName', 'MEID'],
    ],
    source: 'M-SCEP Subject name format',
    confidence: 'V',
  },
  user: {
    id: 'variables.user',
    platforms: service,
    effect: 'These variables stand for attributes of the user; a certificate for a user may hold those of the device too.',
    value: ['UserName', 'UserPrincipalName', 'EmailAddress', 'OnPrem_Distinguished_Name', 'OnPremisesSamAccountName'],
    source: 'M-SCEP Subject name format',
    confidence: 'V',
  },
  unresolved: {
    id: 'variables.unresolved',
    platforms: service,
    effect:
      'A profile fails on a device that has no value for one of its variables; older services left the variable out, which is not followed.',
    value: 'fails',
    source: 'M-SCEP Subject name format; CM-CP subject name',
    confidence: 'V',
  },
  userless: {
    id: 'variables.userless',
    platforms: service,
    effect: 'On a device without a user a profile with variables of users fails.',
    value: 'fails',
    source: 'M-SCEP Subject name format',
    confidence: 'V',
  },
  workProfile: {
    id: 'android.variables.work-profile',
    platforms: ['android'],
    since: '12',
    effect: 'A personally owned work profile hides these; a value that was known before the device was upgraded is not taken either.',
    value: ['serial', 'imei', 'meid'],
    source: 'M-SCEP Android 12',
    confidence: 'V',
  },
  deviceOwner: {
    id: 'android.variables.device-owner',
    platforms: ['android'],
    effect: 'A corporate-owned or dedicated device takes no user name in a subject alternative name.',
    value: ['userName'],
    source: 'M-SCEP Android Enterprise',
    confidence: 'V',
  },
  aosp: {
    id: 'android.variables.aosp',
    platforms: ['android'],
    effect: 'A device of AOSP has none of these attributes of its user.',
    value: ['onPremSamAccountName', 'onPremDistinguishedName', 'department'],
    source: 'M-SCEP AOSP',
    confidence: 'V',
  },
} as const satisfies Record<string, Fact>
