import type { ManagementMode } from './tenant-types.ts'
import type { Family, Platform } from './types.ts'

interface FamilyFacts {
  readonly platform: Platform
  /** The management modes it reaches. */
  readonly modes: readonly ManagementMode[]
  /** Reaches devices that state no mode. */
  readonly modeOptional: boolean
}

export const families: Readonly<Record<Family, FamilyFacts>> = {
  ios: { platform: 'ios', modes: [], modeOptional: true },
  macos: { platform: 'macos', modes: [], modeOptional: true },
  androidDeviceAdministrator: { platform: 'android', modes: ['deviceAdministrator', 'knox'], modeOptional: true },
  androidDeviceOwner: { platform: 'android', modes: ['deviceOwner'], modeOptional: true },
  androidForWork: { platform: 'android', modes: ['workProfile'], modeOptional: true },
  androidWorkProfile: { platform: 'android', modes: ['workProfile'], modeOptional: true },
  aosp: { platform: 'android', modes: ['aosp'], modeOptional: true },
  windows10X: { platform: 'windows', modes: ['windows10X'], modeOptional: false },
  windows81: { platform: 'windows', modes: [], modeOptional: true },
  windowsPhone81: { platform: 'windows', modes: ['windowsPhone81'], modeOptional: false },
}

export interface ProfileType {
  /** As Graph spells it, without `#microsoft.graph.`. */
  readonly name: string
  readonly kind: 'trusted-root' | 'scep' | 'pkcs' | 'imported-pfx'
  readonly family: Family
  /** Families whose Trusted profiles it may name. Default: its own. */
  readonly rootFamilies?: readonly Family[]
}

/** Those that certfleet evaluates. */
export const profileTypes: readonly ProfileType[] = [
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
  { name: 'iosPkcsCertificateProfile', kind: 'pkcs', family: 'ios' },
  { name: 'macOSPkcsCertificateProfile', kind: 'pkcs', family: 'macos' },
  { name: 'androidPkcsCertificateProfile', kind: 'pkcs', family: 'androidDeviceAdministrator' },
  { name: 'androidDeviceOwnerPkcsCertificateProfile', kind: 'pkcs', family: 'androidDeviceOwner' },
  { name: 'androidForWorkPkcsCertificateProfile', kind: 'pkcs', family: 'androidForWork' },
  { name: 'androidWorkProfilePkcsCertificateProfile', kind: 'pkcs', family: 'androidWorkProfile' },
  { name: 'aospDeviceOwnerPkcsCertificateProfile', kind: 'pkcs', family: 'aosp' },
  { name: 'windows10PkcsCertificateProfile', kind: 'pkcs', family: 'windows81' },
  { name: 'iosImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'ios' },
  { name: 'macOSImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'macos' },
  { name: 'androidImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'androidDeviceAdministrator' },
  { name: 'androidDeviceOwnerImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'androidDeviceOwner' },
  // The work profile's other types have a newer name.
  {
    name: 'androidForWorkImportedPFXCertificateProfile',
    kind: 'imported-pfx',
    family: 'androidForWork',
    rootFamilies: ['androidForWork', 'androidWorkProfile'],
  },
  { name: 'windows10ImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'windows81' },
  { name: 'windows10PFXImportCertificateProfile', kind: 'imported-pfx', family: 'windows81' },
  { name: 'windowsPhone81ImportedPFXCertificateProfile', kind: 'imported-pfx', family: 'windowsPhone81' },
]

const byName = new Map(profileTypes.map((type) => [type.name.toLowerCase(), type]))

/** The Trusted root, SCEP, PKCS or imported PFX type of that name, in any case; undefined for every other type. */
export function profileTypeOf(name: string): ProfileType | undefined {
  return byName.get(name.toLowerCase())
}

/** A type of Graph about certificates that certfleet knows and does not evaluate: states, blobs, assignments of other things. */
export function isKnownType(name: string): boolean {
  return otherTypes.has(name.toLowerCase())
}

/** Whether a type that certfleet does not know may be one that it should: of such, an admin wants to hear. */
export function concernsCertificates(name: string): boolean {
  return /certificate|scep|pkcs|pfx/i.test(name)
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
