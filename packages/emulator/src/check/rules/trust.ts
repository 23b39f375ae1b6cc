import { AgentError, admit, isRootDeployed, type PolicyDocument, type Principal } from '@certfleet/agent-core'
import { holds, installationOf, oneGroupKind } from '@certfleet/platforms'
import type { IntentProfile } from '../../tenant/index.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

type WireRoot = PolicyDocument['trustedRoots'][number]
type WireCertificate = PolicyDocument['scepProfiles'][number] | NonNullable<PolicyDocument['pfxProfiles']>[number]

/** A certificate profile that a device is sent, and the name of the Trusted profile that it needs. */
interface Delivered {
  readonly profile: IntentProfile
  readonly wire: WireCertificate
  readonly rootName: string
  readonly device: CheckedDevice
}

/** What is not delivered at all is another rule's. */
const rootOfEach: DeviceRule = (device, context) => {
  const { scepProfiles, pfxProfiles = [] } = device.policy
  const findings: CheckFinding[] = []
  for (const wire of scepProfiles) findings.push(...judge(wire, device, context))
  for (const wire of pfxProfiles) findings.push(...judge(wire, device, context))
  return findings
}

function judge(wire: WireCertificate, device: CheckedDevice, context: CheckContext): readonly CheckFinding[] {
  const { profiles } = context
  const profile = profiles.get(wire.id)
  if (profile === undefined) return []
  const rootName = profiles.get(wire.rootProfileId)?.displayName ?? wire.rootProfileId
  const delivered = { profile, wire, rootName, device }
  const root = device.policy.trustedRoots.find(({ id }) => id === wire.rootProfileId)
  if (root === undefined) return [notAssigned(delivered)]
  if (!isRootDeployed(wire, device.policy)) return [notDeployed(delivered, root)]
  return notInstalled(delivered, root, context) ?? groupMismatch(delivered, root)
}

function notAssigned({ profile, wire, rootName, device }: Delivered): CheckFinding {
  return {
    ...{ id: 'root-not-assigned', severity: 'error', ...about(profile, device) },
    message: `nothing is requested: its Trusted profile "${rootName}" ${whyRootIsNotSent(wire.rootProfileId, device)}`,
    action: `have "${rootName}" reach the same users or devices`,
    source: 'trust.both-deployed',
    ...failure('ERR_ROOT_NOT_DEPLOYED', profile, device),
  }
}

function whyRootIsNotSent(rootId: string, { policy, notApplicable }: CheckedDevice): string {
  const failed = policy.failedProfiles.find(({ id }) => id === rootId)
  if (failed) return `cannot be delivered (${failed.message})`
  const beyond = notApplicable.find(({ id }) => id === rootId)
  return beyond ? `is not for its OS version (${beyond.reason})` : 'reaches neither the device nor its user'
}

function notDeployed({ profile, wire, rootName, device }: Delivered, root: WireRoot): CheckFinding {
  return {
    ...{ id: 'root-not-deployed', severity: 'error', ...about(profile, device) },
    message: `nothing is requested: the profile is assigned to ${whom(wire.assignedTo)}, and its Trusted profile "${rootName}" to ${whom(root.assignedTo)}`,
    action: `assign "${rootName}" and this profile to the same groups`,
    source: 'kind' in wire ? 'trust.assignment-pfx' : 'trust.assignment',
    ...failure('ERR_ROOT_NOT_DEPLOYED', profile, device),
  }
}

const names = { user: 'its user', device: 'the device' } as const satisfies Record<Principal, string>
const whom = (principals: readonly Principal[]): string => principals.map((principal) => names[principal]).join(' and ')

/** A root that is sent and does not get into the device's store. Undefined: it does. */
function notInstalled(delivered: Delivered, root: WireRoot, context: CheckContext): readonly CheckFinding[] | undefined {
  const { profile, rootName, device } = delivered
  const missing = missingConsent(delivered)
  if (missing) return [missing]
  const refusal = refusalOf(root, context)
  // The same certificate may come by another profile to a store that takes it.
  const isThere = () =>
    device.policy.trustedRoots.some((other) => other.certificate === root.certificate && refusalOf(other, context) === '')
  if (refusal === '' || isThere()) return undefined
  return [
    {
      ...{ id: 'root-refused', severity: 'error', ...about(profile, device) },
      message: `nothing is requested: its Trusted profile "${rootName}" is not installed, ${refusal}`,
      action: `change the certificate or the destination store of "${rootName}"`,
      source: root.destinationStore === 'computer-root' ? 'windows.store.root-self-signed' : 'profile.root-kind',
      ...failure('ERR_ROOT_NOT_INSTALLED', profile, device),
    },
  ]
}

function missingConsent({ profile, rootName, device }: Delivered): CheckFinding | undefined {
  const { userConsent = 'granted' } = device.subscriber.device
  if (userConsent === 'granted') return undefined
  const { root, identity } = installationOf(device.os)
  if (root === 'silent' && identity === 'silent') return undefined
  const asked = root === 'silent' ? 'that the certificate is installed' : `that "${rootName}" is installed`
  return {
    ...{ id: 'user-action-missing', severity: 'error', ...about(profile, device) },
    message: `its user has to agree ${asked}, and has ${userConsent === 'refused' ? 'refused' : 'not answered'}`,
    action: root === 'by-hand' ? `have the user install the root by hand as "${rootName}"` : 'have the user agree',
    source: consentFacts[root],
    ...failure('ERR_USER_ACTION_REQUIRED', profile, device),
  }
}

/** By who installs the root; where that is silent, the certificate is not. */
const consentFacts = { 'by-hand': 'android.root.by-hand', prompt: 'android.root.prompt', silent: 'android.identity.prompt' } as const

/** By profile: every device is sent the same few, and none of them changes. */
const refusals = new WeakMap<IntentProfile, string>()

/** A root is a profile of its own, whether a certificate needs it or not. */
const rootItself: DeviceRule = (device, context) => {
  const findings: CheckFinding[] = []
  for (const root of device.policy.trustedRoots) {
    const profile = context.profiles.get(root.id)
    const found = profile && notTaken(profile, root, device, context)
    if (found) findings.push(found)
  }
  return findings
}

function notTaken(profile: IntentProfile, root: WireRoot, device: CheckedDevice, context: CheckContext): CheckFinding | undefined {
  const { userConsent = 'granted' } = device.subscriber.device
  const { root: installed } = installationOf(device.os)
  if (userConsent !== 'granted' && installed !== 'silent') {
    return {
      ...{ id: 'user-action-missing', severity: 'error', ...about(profile, device) },
      message: `its user has to agree that it is installed, and has ${userConsent === 'refused' ? 'refused' : 'not answered'}`,
      action: installed === 'by-hand' ? 'have the user install it by hand under the name of the profile' : 'have the user agree',
      source: consentFacts[installed],
      ...failure('ERR_USER_ACTION_REQUIRED', profile, device),
    }
  }
  const refusal = refusalOf(root, context)
  if (refusal === '') return undefined
  return {
    ...{ id: 'root-refused', severity: 'error', ...about(profile, device) },
    message: `it is not installed: ${refusal}`,
    action: 'change the certificate or the destination store of the profile',
    source: root.destinationStore === 'computer-root' ? 'windows.store.root-self-signed' : 'profile.root-kind',
    ...failure('ERR_CERTIFICATE_REFUSED', profile, device),
  }
}

/** Why the store that a root is for does not take it; empty where it does. */
function refusalOf({ id, certificate, destinationStore }: WireRoot, { profiles }: CheckContext): string {
  const profile = profiles.get(id)
  const known = profile && refusals.get(profile)
  if (known !== undefined) return known
  const refusal = refusalBy(() => admit(destinationStore, Buffer.from(certificate, 'base64')))
  if (profile) refusals.set(profile, refusal)
  return refusal
}

function refusalBy(attempt: () => unknown): string {
  try {
    attempt()
    return ''
  } catch (error) {
    if (error instanceof AgentError) return error.message
    throw error
  }
}

/** What the matrix lets pass and is reported to wait for ever. */
function groupMismatch({ profile, wire, rootName, device }: Delivered, root: WireRoot): readonly CheckFinding[] {
  if (wire.assignedTo.join() === root.assignedTo.join() || !holds(oneGroupKind, device.os)) return []
  return [
    {
      ...{ id: 'android-group-mismatch', severity: 'warning', ...about(profile, device) },
      message: `it can stay pending: the profile is assigned to ${whom(wire.assignedTo)}, and its Trusted profile "${rootName}" to ${whom(root.assignedTo)}`,
      action: `assign this profile, "${rootName}" and what uses the certificate to groups of users alone or of devices alone`,
      source: oneGroupKind.id,
    },
  ]
}

const linksTheRoot: ProfileRule = (profile, { profiles }) => {
  if (profile.kind !== 'scep' || 'problem' in profile.link) return []
  const root = profiles.get(profile.link.rootProfileId)
  if (root?.kind !== 'trusted-root' || root.selfSigned) return []
  return [
    {
      ...{ id: 'link-intermediate', severity: 'warning', ...about(profile) },
      message: `it links "${root.displayName}", which holds an intermediate CA: a client that looks for the root by its thumbprint fails`,
      action: 'link the Trusted profile of the topmost root, and deploy that of the intermediate beside it',
      source: 'profile.root-choice',
    },
  ]
}

export const profileRules: readonly ProfileRule[] = [linksTheRoot]

export const deviceRules: readonly DeviceRule[] = [rootItself, rootOfEach]
