import { createHash } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import type { Hardware } from './hardware.ts'
import type { Device, Group, ManagementMode, Tenant, User } from './tenant-types.ts'
import type { Platform } from './types.ts'

/** Devices a platform. */
export type DeviceCounts = Readonly<Partial<Record<Platform, number>>>

/** What the devices of a platform are enrolled as. */
export type ManagementByPlatform = Readonly<Partial<Record<Platform, ManagementMode | undefined>>>

/** What devices run where nothing is said: certfleet's own population, for which any release that the platforms' rules are written for would do. */
export const usualOsVersions: Readonly<Record<Platform, string>> = { ios: '18.1', macos: '15.1', android: '15', windows: '10.0.26100' }
const platforms: readonly Platform[] = ['ios', 'macos', 'android', 'windows']
const maxDevices = 1_000_000

/** So many devices of one kind. */
export interface DeviceKind {
  readonly platform: Platform
  readonly count: number
  /** Default: a release of today. */
  readonly osVersion?: string
  /** Default: what all of the platform are enrolled as. */
  readonly management?: ManagementMode
  /** Default: what its OS has by itself. */
  readonly hardware?: Hardware
  /** So many have one user. Default 1. */
  readonly devicesPerUser?: number
  /** Names of groups that they and their users are in. Default none. */
  readonly groups?: readonly string[]
}

export interface GeneratedTenant {
  readonly counts?: DeviceCounts
  /** Beside those that are counted. Default none. */
  readonly kinds?: readonly DeviceKind[]
  readonly domain: string
  /** Default: unstated. */
  readonly management?: ManagementByPlatform
}

/**
 * A tenant of that many devices, each with a user and every attribute that its platform has. Every profile is assigned to all devices and
 * users, unless there are groups: then what the profiles themselves are assigned to counts. The n-th device of a platform has always the same
 * id and attributes, whatever the counts; so has the n-th user.
 * `management` is what its devices are enrolled as; `domain` ends the UPNs and email addresses. Fails with `ERR_LIMIT_EXCEEDED` for a count that is not 0 to 1,000,000.
 */
export function generateTenant({ counts = {}, kinds = [], domain, management = {} }: GeneratedTenant): Tenant {
  const users = new Map<string, User>()
  const devices = new Map<string, Device>()
  const groups = new Map<string, GroupMembers>()
  const all = [...platforms.map((platform): DeviceKind => ({ platform, count: counts[platform] ?? 0 })), ...kinds]
  for (const platform of platforms) {
    const next = { device: 0, user: 0 }
    for (const kind of all.filter((candidate) => candidate.platform === platform)) {
      const { devicesPerUser = 1 } = kind
      for (let index = 0; index < checked(kind.count, platform); index++) {
        const user = generateUser(platform, next.user + Math.floor(index / devicesPerUser), domain)
        const device = ofKind(generateDevice(platform, next.device + index, user, domain), kind, management[platform])
        users.set(user.id, user)
        devices.set(device.id, device)
        for (const name of kind.groups ?? []) join(groups, name, user, device)
      }
      next.device += kind.count
      next.user += Math.ceil(kind.count / devicesPerUser)
    }
  }
  const tenant = { file: 'generated tenant', users, devices, groups, assignments: [] }
  return groups.size > 0 ? tenant : { ...tenant, assign: 'all' }
}

function ofKind(device: Device, { osVersion, management, hardware }: DeviceKind, usual: ManagementMode | undefined): Device {
  const mode = management ?? usual
  return { ...device, ...(osVersion && { osVersion }), ...(mode && { management: mode }), ...(hardware && { hardware }) }
}

type GroupMembers = Group & { readonly users: Set<string>; readonly devices: Set<string> }

function join(groups: Map<string, GroupMembers>, name: string, user: User, device: Device): void {
  const group = groups.get(name) ?? { id: name, name, users: new Set(), devices: new Set() }
  groups.set(name, group)
  group.users.add(user.id)
  group.devices.add(device.id)
}

function checked(count: number, platform: Platform): number {
  if (Number.isInteger(count) && count >= 0 && count <= maxDevices) return count
  throw new AgentError('ERR_LIMIT_EXCEEDED', `counts.${platform}: expected a whole number from 0 to ${maxDevices}, found ${count}`)
}

function generateUser(platform: Platform, index: number, domain: string): User {
  const userName = `${platform}-user-${numbered(index)}`
  const address = `${userName}@${domain}`
  const suffix = domain.split('.').map((label) => `DC=${label}`)
  return {
    id: userName,
    upn: address,
    userName,
    email: address,
    onPremDistinguishedName: [`CN=${userName}`, 'OU=Users', ...suffix].join(','),
    onPremSamAccountName: userName,
    onPremUserPrincipalName: address,
    department: 'Fleet',
    sid: `S-1-5-21-1000000000-${platforms.indexOf(platform) + 1}-1-${1000 + index}`,
  }
}

function generateDevice(platform: Platform, index: number, user: User, domain: string): Device {
  const id = `${platform}-${numbered(index)}`
  const digest = createHash('sha256').update(id).digest('hex')
  const base = {
    id,
    platform,
    osVersion: usualOsVersions[platform],
    user: user.id,
    serial: digest.slice(0, 12).toUpperCase(),
    deviceName: id.toUpperCase(),
  }
  const network = { wifiMac: (`02${digest.slice(14, 24)}`.match(/../g) as string[]).join(':').toUpperCase(), aadDeviceId: uuidOf(digest) }
  if (platform === 'windows') return { ...base, ...network, fqdn: `${id}.${domain}`, sid: `S-1-5-21-1000000000-9-1-${1000 + index}` }
  if (platform === 'macos') return { ...base, ...network }
  return { ...base, ...network, imei: imei(platforms.indexOf(platform), index), meid: `A1${digest.slice(24, 36)}`.toUpperCase() }
}

function numbered(index: number): string {
  return String(index + 1).padStart(6, '0')
}

function uuidOf(digest: string): string {
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}

/** 3GPP TS 23.003 6.2.1: a type allocation of eight digits (00 is for test), six of serial, a Luhn check digit. */
function imei(platform: number, index: number): string {
  const body = `00${platform}${String(index).padStart(11, '0')}`
  let sum = 0
  for (const [i, digit] of [...body].entries()) {
    const weighted = Number(digit) * (i % 2 === 0 ? 1 : 2)
    sum += weighted > 9 ? weighted - 9 : weighted
  }
  return body + ((10 - (sum % 10)) % 10)
}
