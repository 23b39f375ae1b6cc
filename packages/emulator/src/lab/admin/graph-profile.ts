import type { AssignmentTarget, ImportedPfxIntent, IntentProfile, PkcsIntent, ScepIntent, TrustedRootIntent } from '../../tenant/index.ts'
import type { GraphObject } from './answers.ts'
import type { AdminAssignment } from './records.ts'

const stores = {
  'computer-root': 'computerCertStoreRoot',
  'computer-intermediate': 'computerCertStoreIntermediate',
  'user-intermediate': 'userCertStoreIntermediate',
} as const

const sanTypes = {
  dns: 'domainNameService',
  email: 'emailAddress',
  upn: 'userPrincipalName',
  uri: 'universalResourceIdentifier',
} as const

/** A profile that was read of a file, as Graph would show it: what is in force, the lab's own root and URL where it put them in. */
export function graphProfileOf(profile: IntentProfile): GraphObject {
  const { id, displayName, typeName } = profile
  return { '@odata.type': `#microsoft.graph.${typeName}`, id, displayName, ...membersOf(profile) }
}

function membersOf(profile: IntentProfile): GraphObject {
  switch (profile.kind) {
    case 'trusted-root':
      return rootMembers(profile)
    case 'scep':
      return scepMembers(profile)
    case 'pkcs':
      return pkcsMembers(profile)
    case 'imported-pfx':
      return importedPfxMembers(profile)
    case 'invalid':
      return {}
  }
}

/** A Trusted profile with its certificate, as another profile's link needs it. */
export function graphRootOf(profile: TrustedRootIntent): GraphObject {
  return graphProfileOf(profile)
}

function rootMembers({ certificate, destinationStore }: TrustedRootIntent): GraphObject {
  return {
    trustedRootCertificate: Buffer.from(certificate).toString('base64'),
    ...(destinationStore && { destinationStore: stores[destinationStore] }),
  }
}

function scepMembers(profile: ScepIntent): GraphObject {
  return {
    scepServerUrls: profile.scepUrls,
    ...namedMembers(profile),
    keySize: `size${profile.keyBits}`,
    keyUsage: profile.keyUsages.join(','),
    ...(profile.hash && { hashAlgorithm: 'sha2' }),
  }
}

function pkcsMembers(profile: PkcsIntent): GraphObject {
  const { certificateTemplateName, certificationAuthority, certificationAuthorityName } = profile
  return { certificateTemplateName, certificationAuthority, certificationAuthorityName, ...namedMembers(profile) }
}

function importedPfxMembers(profile: ImportedPfxIntent): GraphObject {
  return { intendedPurpose: profile.intendedPurpose, renewalThresholdPercentage: profile.renewalThresholdPercent, ...kspOf(profile) }
}

function namedMembers(profile: ScepIntent | PkcsIntent): GraphObject {
  return {
    certificateStore: profile.principal === 'device' ? 'machine' : 'user',
    renewalThresholdPercentage: profile.renewalThresholdPercent,
    subjectNameFormat: profile.subjectNameFormat,
    subjectNameFormatString: profile.subjectTemplate ?? null,
    customSubjectAlternativeNames: profile.subjectAltNames.map(({ type, value }) => ({ sanType: sanTypes[type], name: value })),
    extendedKeyUsages: profile.extendedKeyUsages.map((objectIdentifier) => ({ name: objectIdentifier, objectIdentifier })),
    certificateValidityPeriodValue: profile.validity.value,
    certificateValidityPeriodScale: profile.validity.scale,
    ...kspOf(profile),
  }
}

function kspOf({ platform, keyStorage }: ScepIntent | PkcsIntent | ImportedPfxIntent): GraphObject {
  return platform === 'windows' ? { keyStorageProvider: keyStorage } : {}
}

const targetTypes = {
  allDevices: 'allDevicesAssignmentTarget',
  allUsers: 'allLicensedUsersAssignmentTarget',
  group: 'groupAssignmentTarget',
  exclusionGroup: 'exclusionGroupAssignmentTarget',
} as const

/** The ids that Graph gives the two groups that everybody is in. */
const everybody = { allDevices: 'adadadad-808e-44e2-905a-0b7873a8a531', allUsers: 'acacacac-9df4-4c7d-9d50-4ef0226f57a9' } as const

/** `deviceConfigurationAssignment`; its id is `<profile>_<group>`. */
export function graphAssignmentOf(profileId: string, { intent, target }: AdminAssignment): GraphObject {
  const isGroup = 'group' in target
  return {
    id: `${profileId}_${isGroup ? target.group : everybody[target.kind]}`,
    source: 'direct',
    sourceId: profileId,
    intent,
    target: {
      '@odata.type': `#microsoft.graph.${targetTypes[target.kind]}`,
      deviceAndAppManagementAssignmentFilterId: null,
      deviceAndAppManagementAssignmentFilterType: 'none',
      ...(isGroup && { groupId: target.group }),
    },
  }
}

/** Tells two targets apart. */
export function targetKey(target: AssignmentTarget): string {
  return 'group' in target ? `group ${target.group}` : target.kind
}
