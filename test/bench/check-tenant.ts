import { seededJitter } from '@certfleet/agent-core'
import { type DeviceCounts, type Group, generateTenant, type Tenant } from '#emulator/tenant/index.ts'
import { type Json, scep, trustedRoot } from '../tenant/graph.ts'

const platforms = [
  { platform: 'ios', root: 'iosTrustedRootCertificate', scep: 'iosScepCertificateProfile' },
  { platform: 'macos', root: 'macOSTrustedRootCertificate', scep: 'macOSScepCertificateProfile' },
  { platform: 'android', root: 'androidDeviceOwnerTrustedRootCertificate', scep: 'androidDeviceOwnerScepCertificateProfile' },
  { platform: 'windows', root: 'windows81TrustedRootCertificate', scep: 'windows81SCEPCertificateProfile' },
] as const

const groupsPerPlatform = 100
const scepsPerGroup = 4
const groupsPerDevice = 2

/** Each group brings a root and so many certificates. */
export const pairsPerDevice: number = groupsPerDevice * (1 + scepsPerGroup)

/** 2,000 profiles of all platforms, each assigned to one of 400 groups; every other group is of users. */
export function checkedExport(): Json[] {
  return platforms.flatMap((types) =>
    Array.from({ length: groupsPerPlatform }, (_, i) => profilesOf(types, `${types.platform}-${i}`)).flat(),
  )
}

function profilesOf(types: (typeof platforms)[number], group: string): Json[] {
  const assignments = [{ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId: group } }]
  const id = `${group}-root`
  const root = trustedRoot({ '@odata.type': `#microsoft.graph.${types.root}`, id, displayName: id, assignments })
  const sceps = Array.from({ length: scepsPerGroup }, (_, i) =>
    scep({
      ...{ '@odata.type': `#microsoft.graph.${types.scep}`, id: `${group}-scep-${i}`, displayName: `${group}-scep-${i}`, assignments },
      ...{ scepServerUrls: [`https://ndes-${i}.example/certsrv/mscep/mscep.dll`], 'rootCertificate@odata.bind': id },
      ...{ certificateStore: i % 2 === 0 ? 'user' : 'machine' },
      subjectNameFormatString: i % 2 === 0 ? 'CN={{UserName}},E={{EmailAddress}},OU=Staff' : 'CN={{AAD_Device_ID}},O=Contoso',
      subjectAlternativeNameType: 'none',
      ...(i % 2 === 0 && { subjectAlternativeNameType: 'userPrincipalName,emailAddress' }),
    }),
  )
  return [root, ...sceps]
}

/** The same for the same seed. Each device is in two groups of its platform, itself or by its user. */
export function checkedTenant(devices: number, seed: string): Tenant {
  const counts: DeviceCounts = Object.fromEntries(platforms.map(({ platform }) => [platform, devices / platforms.length]))
  const tenant = generateTenant({ counts, domain: 'contoso.example', management: { android: 'deviceOwner' } })
  const chance = seededJitter(seed)
  const groups = new Map<string, Group & { users: Set<string>; devices: Set<string> }>()
  for (const { platform } of platforms)
    for (let i = 0; i < groupsPerPlatform; i++) {
      const id = `${platform}-${i}`
      groups.set(id, { id, name: id, users: new Set(), devices: new Set() })
    }
  for (const device of tenant.devices.values()) {
    const first = chance.between(0, groupsPerPlatform - 1)
    for (const i of [first, (first + chance.between(1, groupsPerPlatform - 1)) % groupsPerPlatform]) {
      const group = groups.get(`${device.platform}-${i}`)
      if (i % 2 === 0) group?.devices.add(device.id)
      else group?.users.add(device.user as string)
    }
  }
  const { assign: _, ...rest } = tenant
  return { ...rest, groups }
}

/** As `--tenant` reads it: JSON is YAML. */
export function tenantFile({ users, devices, groups }: Tenant): string {
  const lists = [...groups.values()].map((group) => ({ ...group, users: [...group.users], devices: [...group.devices] }))
  return JSON.stringify({
    users: [...users.values()].map(({ onPremUserPrincipalName: _, ...user }) => user),
    devices: [...devices.values()],
    groups: lists,
  })
}
