import { AgentError, type FailedProfile, type PolicyDocument, type Principal, type StoreName } from '@certfleet/agent-core'
import type { AssignedProfile, Intent } from './intent.ts'
import { families } from './profile-types.ts'
import { renderSubject } from './subject.ts'
import type { AssignmentTarget, Device, IntentProfile, ScepIntent, Tenant, TrustedRootIntent } from './types.ts'
import { resolveVariables, type Subscriber } from './variables.ts'

type WireRoot = PolicyDocument['trustedRoots'][number]
type WireScep = PolicyDocument['scepProfiles'][number]

/**
 * What one device is to have: the profiles of its platform, management and OS version that reach it or its user, with
 * every variable resolved. A profile that cannot be delivered is in `failedProfiles`; one that is not for this device is
 * nowhere (S12). Reads nothing but its arguments. Fails with `ERR_PROFILE_INVALID` for a device that the tenant lacks.
 */
export function renderPolicy(intent: Intent, tenant: Tenant, deviceId: string, { revision }: { revision: number }): PolicyDocument {
  const subscriber = subscriberOf(tenant, deviceId)
  const trustedRoots: WireRoot[] = []
  const scepProfiles: WireScep[] = []
  const failedProfiles: FailedProfile[] = []
  for (const { profile, targets } of applicable(intent, subscriber.device)) {
    const assignedTo = principalsReached(targets, intent, tenant, subscriber)
    if (assignedTo.length === 0) continue
    const rendered = attempt(profile, () => renderProfile(profile, assignedTo, intent, subscriber))
    if ('code' in rendered) failedProfiles.push(rendered)
    else if ('certificate' in rendered) trustedRoots.push(rendered)
    else scepProfiles.push(rendered)
  }
  return { schemaVersion: 1, revision, deviceId, trustedRoots, scepProfiles, failedProfiles }
}

/** Whether profiles of that type are for that device at all: platform, management mode, minimum OS (S2, S3, S12). */
export function isApplicable(profile: Pick<IntentProfile, 'family'>, device: Device): boolean {
  const { platform, modes, modeOptional, minimumOs } = families[profile.family]
  if (platform !== device.platform) return false
  const modeFits =
    device.management === undefined ? modeOptional : modes.length === 0 ? !isPhoneMode(device) : modes.includes(device.management)
  return modeFits && compareVersions(platform === 'windows' ? ntVersion(device.osVersion) : device.osVersion, minimumOs) >= 0
}

function subscriberOf(tenant: Tenant, deviceId: string): Subscriber {
  const device = tenant.devices.get(deviceId)
  if (device === undefined) throw new AgentError('ERR_PROFILE_INVALID', `${tenant.file}: no device has the id "${deviceId}"`)
  return { device, user: device.user === undefined ? undefined : tenant.users.get(device.user) }
}

function applicable(intent: Intent, device: Device): readonly AssignedProfile[] {
  return (intent.byPlatform.get(device.platform) ?? []).filter(({ profile }) => isApplicable(profile, device))
}

/** Windows 10X and Windows Phone 8.1 take no desktop profiles. */
function isPhoneMode({ management }: Device): boolean {
  return management === 'windowsPhone81' || management === 'windows10X'
}

const ntByName = new Map([
  ['7', '6.1'],
  ['8', '6.2'],
  ['8.0', '6.2'],
  ['8.1', '6.3'],
])

/** People write Windows 8.1 by its name; it calls itself 6.3. */
function ntVersion(version: string): string {
  return ntByName.get(version) ?? version
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.'), b.split('.')]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = Number(left[i] ?? 0) - Number(right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Through whom a profile reaches the device: its user, itself or both; nobody where an excluded group holds either. */
function principalsReached(
  targets: readonly AssignmentTarget[],
  intent: Intent,
  tenant: Tenant,
  { device, user }: Subscriber,
): Principal[] {
  const reached = new Set<Principal>()
  for (const target of targets) {
    const group = 'group' in target ? tenant.groups.get(intent.groupIds.get(target.group) ?? '') : undefined
    const byDevice = target.kind === 'allDevices' || group?.devices.has(device.id) === true
    const byUser = user !== undefined && (target.kind === 'allUsers' || group?.users.has(user.id) === true)
    if (target.kind === 'exclusionGroup' && (byDevice || byUser)) return []
    if (target.kind === 'exclusionGroup') continue
    if (byDevice) reached.add('device')
    if (byUser) reached.add('user')
  }
  return [...reached].sort()
}

function attempt<T>(profile: IntentProfile, render: () => T): T | FailedProfile {
  try {
    return render()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    const { id, displayName } = profile
    const principal = 'principal' in profile ? profile.principal : 'device'
    return { id, displayName, principal, code: failureCode(error), message: error.message.slice(0, maxMessageCharacters) }
  }
}

/** What a policy document takes. */
const maxMessageCharacters = 4096

function failureCode({ code }: AgentError): FailedProfile['code'] {
  return code === 'ERR_VARIABLE_UNRESOLVED' || code === 'ERR_UNSUPPORTED' ? code : 'ERR_PROFILE_INVALID'
}

function renderProfile(
  profile: IntentProfile,
  assignedTo: readonly Principal[],
  intent: Intent,
  subscriber: Subscriber,
): WireRoot | WireScep {
  if (profile.kind === 'trusted-root') return renderRoot(profile, assignedTo)
  if (profile.kind === 'scep') return renderScep(profile, assignedTo, intent, subscriber)
  throw new AgentError('ERR_PROFILE_INVALID', profile.message)
}

function renderRoot(profile: TrustedRootIntent, assignedTo: readonly Principal[]): WireRoot {
  const { id, displayName, certificate, selfSigned, destinationStore } = profile
  const ownStore: StoreName = selfSigned ? 'computer-root' : 'computer-intermediate'
  const base64 = Buffer.from(certificate.buffer, certificate.byteOffset, certificate.length).toString('base64')
  return { id, displayName, certificate: base64, destinationStore: destinationStore ?? ownStore, assignedTo: [...assignedTo] }
}

function renderScep(profile: ScepIntent, assignedTo: readonly Principal[], intent: Intent, subscriber: Subscriber): WireScep {
  const { id, displayName, principal, link, subjectTemplate } = profile
  if ('problem' in link) throw new AgentError('ERR_PROFILE_INVALID', link.problem)
  if (subjectTemplate === undefined) throw new AgentError('ERR_UNSUPPORTED', `no variable gives ${profile.subjectNameFormat} a value`)
  return {
    id,
    displayName,
    principal,
    assignedTo: [...assignedTo],
    scepUrls: [...profile.scepUrls],
    rootProfileId: link.rootProfileId,
    ...(profile.hash === undefined ? {} : { hash: profile.hash }),
    ...(intent.multiFactor.has(id) && { multiFactor: true }),
    renewalThresholdPercent: profile.renewalThresholdPercent,
    subject: renderSubject(subjectTemplate, (template) => resolveVariables(template, 'subject', profile, subscriber)),
    subjectAltNames: profile.subjectAltNames.map(({ type, value }) => ({
      type,
      value: resolveVariables(value, type, profile, subscriber),
    })),
    keyBits: profile.keyBits,
    keyStorage: profile.keyStorage,
    keyUsages: [...profile.keyUsages],
    extendedKeyUsages: [...profile.extendedKeyUsages],
    validity: profile.validity,
  }
}
