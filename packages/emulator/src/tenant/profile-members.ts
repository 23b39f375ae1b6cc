import { type ProfileType, profileTypes } from './profile-types.ts'
import type { Family } from './types.ts'

const every = [
  ...['id', 'displayName', 'description', 'version', 'createdDateTime', 'creationDateTime', 'lastModifiedDateTime', 'roleScopeTagIds'],
  ...['supportsScopeTags', 'assignments', 'groupAssignments', 'deviceSettingStateSummaries', 'deviceStatuses', 'deviceStatusOverview'],
  ...['userStatuses', 'userStatusOverview', 'deviceManagementApplicabilityRuleDeviceMode'],
  ...['deviceManagementApplicabilityRuleOsEdition', 'deviceManagementApplicabilityRuleOsVersion'],
]
const everyRoot = ['certFileName', 'trustedRootCertificate']
const lifetime = ['certificateValidityPeriodScale', 'certificateValidityPeriodValue', 'renewalThresholdPercentage']
const everyScep = [
  ...[...lifetime, 'subjectNameFormatString', 'keySize', 'keyUsage', 'scepServerUrls', 'extendedKeyUsages'],
  'managedDeviceCertificateStates',
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

const everyPkcs = [
  ...[...lifetime, 'subjectNameFormat', 'subjectAlternativeNameType', 'subjectAlternativeNameFormatString', 'certificateTemplateName'],
  ...['certificationAuthority', 'certificationAuthorityName', 'managedDeviceCertificateStates'],
]
const currentPkcs = ['subjectNameFormatString', ...storeAndNames]
/** What Android's types alone have, whose bases name them. */
const androidBase = ['extendedKeyUsages', 'rootCertificate']
const access = ['certificateAccessType', 'silentCertificateAccessDetails']

const pkcsMembers: Partial<Record<Family, readonly string[]>> = {
  ios: currentPkcs,
  macos: [...currentPkcs, 'allowAllAppsAccess', 'deploymentChannel'],
  androidDeviceAdministrator: androidBase,
  androidDeviceOwner: [...androidBase, ...currentPkcs, ...access, 'certificationAuthorityType'],
  androidForWork: androidBase,
  androidWorkProfile: [...androidBase, ...currentPkcs],
  aosp: [...androidBase, ...currentPkcs, 'certificationAuthorityType'],
  windows81: [...currentPkcs, 'extendedKeyUsages', 'keyStorageProvider'],
}

const everyImported = ['intendedPurpose', 'managedDeviceCertificateStates']
const importedBase = [...everyImported, ...lifetime, 'subjectNameFormat', 'subjectAlternativeNameType']

/** By type: two of one family differ. */
const importedMembers: Readonly<Record<string, readonly string[]>> = {
  iosImportedPFXCertificateProfile: everyImported,
  macOSImportedPFXCertificateProfile: [...importedBase, 'deploymentChannel'],
  androidImportedPFXCertificateProfile: [...importedBase, ...androidBase],
  androidDeviceOwnerImportedPFXCertificateProfile: [...importedBase, ...androidBase, ...access],
  androidForWorkImportedPFXCertificateProfile: [...importedBase, ...androidBase],
  windows10ImportedPFXCertificateProfile: [...importedBase, 'keyStorageProvider'],
  windows10PFXImportCertificateProfile: ['keyStorageProvider'],
  windowsPhone81ImportedPFXCertificateProfile: [...importedBase, 'keyStorageProvider'],
}

function ownMembers({ name, kind, family }: ProfileType): readonly string[] {
  switch (kind) {
    case 'trusted-root':
      return [...everyRoot, ...(rootMembers[family] ?? [])]
    case 'scep':
      return [...everyScep, ...scepMembers[family]]
    case 'pkcs':
      return [...everyPkcs, ...(pkcsMembers[family] ?? [])]
    case 'imported-pfx':
      return importedMembers[name] ?? []
  }
}

const membersByType = new Map(profileTypes.map((type) => [type.name, new Set([...every, ...ownMembers(type)])] as const))

/** Whether the published schema gives that type that member. Annotations (`@…`, `…@odata.…`, `#…`) are members of every type. */
export function hasMember(type: ProfileType, member: string): boolean {
  return member.includes('@') || member.startsWith('#') || membersByType.get(type.name)?.has(member) === true
}
