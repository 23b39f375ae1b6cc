import type { Family, ManagementMode, Platform } from './types.ts'

interface FamilyFacts {
  readonly platform: Platform
  /** The management modes it reaches. */
  readonly modes: readonly ManagementMode[]
  /** Reaches devices that state no mode. */
  readonly modeOptional: boolean
  /** Dotted; Windows by its NT number, 8.1 being 6.3 (S2, A1, A3). */
  readonly minimumOs: string
}

export const families: Readonly<Record<Family, FamilyFacts>> = {
  ios: { platform: 'ios', modes: [], modeOptional: true, minimumOs: '6.0' },
  macos: { platform: 'macos', modes: [], modeOptional: true, minimumOs: '10.9' },
  androidDeviceAdministrator: { platform: 'android', modes: ['deviceAdministrator'], modeOptional: true, minimumOs: '4.0' },
  androidDeviceOwner: { platform: 'android', modes: ['deviceOwner'], modeOptional: true, minimumOs: '4.0' },
  androidForWork: { platform: 'android', modes: ['workProfile'], modeOptional: true, minimumOs: '4.0' },
  androidWorkProfile: { platform: 'android', modes: ['workProfile'], modeOptional: true, minimumOs: '4.0' },
  aosp: { platform: 'android', modes: ['aosp'], modeOptional: true, minimumOs: '4.0' },
  windows10X: { platform: 'windows', modes: ['windows10X'], modeOptional: false, minimumOs: '10.0' },
  windows81: { platform: 'windows', modes: [], modeOptional: true, minimumOs: '6.3' },
  windowsPhone81: { platform: 'windows', modes: ['windowsPhone81'], modeOptional: false, minimumOs: '6.3' },
}

export interface ProfileType {
  /** As Graph spells it, without `#microsoft.graph.`. */
  readonly name: string
  readonly kind: 'trusted-root' | 'scep'
  readonly family: Family
}

const evaluated: readonly ProfileType[] = [
  { name: 'iosTrustedRootCertificate', kind: 'trusted-root', family: 'ios' },
  { name: 'macOSTrustedRootCertificate', kind: 'trusted-root', family: 'macos' },
  { name: 'androidTrustedRootCertificate', kind: 'trusted-root', family: 'androidDeviceAdministrator' },
  { name: 'androidDeviceOwnerTrustedRootCertificate', kind: 'trusted-root', family: 'androidDeviceOwner' },
  { name: 'androidForWorkTrustedRootCertificate', kind: 'trusted-root', family: 'androidForWork' },
  { name: 'androidWorkProfileTrustedRootCertificate', kind: 'trusted-root', family: 'androidWorkProfile' },
  { name: 'aospDeviceOwnerTrustedRootCertificate', kind: 'trusted-root', family: 'aosp' },
  { name: 'windows10XTrustedRootCertificate', kind: 'trusted-root', family: 'windows10X' },
  { name: 'windows81TrustedRootCertificate', kind: 'trusted-root', family: 'windows81' },
  { name: 'windowsPhone81TrustedRootCertificate', kind: 'trusted-root', family: 'windowsPhone81' },
  { name: 'iosScepCertificateProfile', kind: 'scep', family: 'ios' },
  { name: 'macOSScepCertificateProfile', kind: 'scep', family: 'macos' },
  { name: 'androidScepCertificateProfile', kind: 'scep', family: 'androidDeviceAdministrator' },
  { name: 'androidDeviceOwnerScepCertificateProfile', kind: 'scep', family: 'androidDeviceOwner' },
  { name: 'androidForWorkScepCertificateProfile', kind: 'scep', family: 'androidForWork' },
  { name: 'androidWorkProfileScepCertificateProfile', kind: 'scep', family: 'androidWorkProfile' },
  { name: 'aospDeviceOwnerScepCertificateProfile', kind: 'scep', family: 'aosp' },
  { name: 'windows10XSCEPCertificateProfile', kind: 'scep', family: 'windows10X' },
  { name: 'windows81SCEPCertificateProfile', kind: 'scep', family: 'windows81' },
  { name: 'windowsPhone81SCEPCertificateProfile', kind: 'scep', family: 'windowsPhone81' },
]

const byName = new Map(evaluated.map((type) => [type.name.toLowerCase(), type]))

/** The Trusted root or SCEP type of that name, in any case; undefined for every other type. */
export function profileTypeOf(name: string): ProfileType | undefined {
  return byName.get(name.toLowerCase())
}

/** A certificate type of Graph that certfleet knows and does not evaluate: PKCS and imported PFX profiles, states, blobs. */
export function isKnownType(name: string): boolean {
  return (
    /^(android\w*|aosp\w*|ios|macOS|windows\w+)(Pkcs|ImportedPFX|PFXImport)CertificateProfile$/i.test(name) ||
    otherTypes.has(name.toLowerCase())
  )
}

const otherTypes = new Set(
  [
    'deviceConfigurationAssignment',
    'deviceConfigurationGroupAssignment',
    'deviceManagementResourceAccessProfileAssignment',
    'deviceAndAppManagementAssignmentFilter',
    'managedDeviceCertificateState',
    'managedAllDeviceCertificateState',
    'userPFXCertificate',
    'deviceConfigurationDeviceStatus',
    'deviceConfigurationUserStatus',
    'deviceConfigurationDeviceOverview',
    'deviceConfigurationUserOverview',
    'settingStateDeviceSummary',
    'deviceConfigurationState',
    'ndesConnector',
    'certificateConnectorDetails',
  ].map((name) => name.toLowerCase()),
)

const every = [
  ...['id', 'displayName', 'description', 'version', 'createdDateTime', 'creationDateTime', 'lastModifiedDateTime', 'roleScopeTagIds'],
  ...['supportsScopeTags', 'assignments', 'groupAssignments', 'deviceSettingStateSummaries', 'deviceStatuses', 'deviceStatusOverview'],
  ...['userStatuses', 'userStatusOverview', 'deviceManagementApplicabilityRuleDeviceMode'],
  ...['deviceManagementApplicabilityRuleOsEdition', 'deviceManagementApplicabilityRuleOsVersion'],
]
const everyRoot = ['certFileName', 'trustedRootCertificate']
const everyScep = [
  ...['certificateValidityPeriodScale', 'certificateValidityPeriodValue', 'renewalThresholdPercentage', 'subjectNameFormatString'],
  ...['keySize', 'keyUsage', 'scepServerUrls', 'extendedKeyUsages', 'managedDeviceCertificateStates'],
]
const currentScep = ['subjectNameFormat', 'subjectAlternativeNameType', 'subjectAlternativeNameFormatString', 'rootCertificate']
const storeAndNames = ['certificateStore', 'customSubjectAlternativeNames']

const scepMembers: Readonly<Record<Family, readonly string[]>> = {
  ios: [...currentScep, ...storeAndNames],
  macos: [...currentScep, ...storeAndNames, 'hashAlgorithm', 'allowAllAppsAccess', 'deploymentChannel'],
  androidDeviceAdministrator: [...currentScep, 'hashAlgorithm'],
  androidDeviceOwner: [...currentScep, ...storeAndNames, 'hashAlgorithm', 'certificateAccessType', 'silentCertificateAccessDetails'],
  androidForWork: [...currentScep, ...storeAndNames, 'hashAlgorithm'],
  androidWorkProfile: [...currentScep, ...storeAndNames, 'hashAlgorithm'],
  aosp: [...currentScep, ...storeAndNames, 'hashAlgorithm'],
  windows10X: ['certificateStore', 'hashAlgorithm', 'keyStorageProvider', 'rootCertificateId', 'subjectAlternativeNameFormats'],
  windows81: [...currentScep, ...storeAndNames, 'hashAlgorithm', 'keyStorageProvider'],
  windowsPhone81: [...currentScep, 'hashAlgorithm', 'keyStorageProvider'],
}

const rootMembers: Partial<Record<Family, readonly string[]>> = {
  macos: ['deploymentChannel'],
  windows10X: ['destinationStore'],
  windows81: ['destinationStore'],
}

const membersByType = new Map(
  evaluated.map(({ name, kind, family }) => {
    const own = kind === 'scep' ? [...everyScep, ...scepMembers[family]] : [...everyRoot, ...(rootMembers[family] ?? [])]
    return [name, new Set([...every, ...own])] as const
  }),
)

/** Whether the published schema gives that type that member. Annotations (`@…`, `…@odata.…`, `#…`) are members of every type. */
export function hasMember(type: ProfileType, member: string): boolean {
  return member.includes('@') || member.startsWith('#') || membersByType.get(type.name)?.has(member) === true
}
