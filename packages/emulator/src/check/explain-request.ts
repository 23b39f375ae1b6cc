import { isRootDeployed, type KeyProtection, type KeyStorageReason } from '@certfleet/agent-core'
import { profileFacts, settingFactOf, treatmentOf } from '@certfleet/platforms'
import { agentRequest, keyChoiceOf } from './agent-request.ts'
import { type ExplainedStep, goesOn, reported, stops, told, type Walk } from './explain-walk.ts'
import { usagesText } from './words.ts'

/** Whether the OS takes the profile at all. */
export function accepted(walk: Walk): readonly ExplainedStep[] {
  const { delivered, device } = walk
  const refused = delivered && agentRequest(delivered, device.os)
  if (!refused || !('code' in refused)) return []
  return [stops('refused', refused.message, refused.factId), reported(refused.code, walk)]
}

/** The planner's own rule: both reach the device through a principal in common. */
export function root(walk: Walk): readonly ExplainedStep[] {
  const { delivered, device, context } = walk
  if (!delivered) return []
  const { rootProfileId, assignedTo } = delivered
  const name = `"${context.profiles.get(rootProfileId)?.displayName ?? rootProfileId}"`
  const there = device.policy.trustedRoots.find(({ id }) => id === rootProfileId)
  const source = profileFacts.linkIsNoDelivery.id
  if (isRootDeployed(delivered, device.policy)) {
    return [goesOn('root', `${name} is assigned to the ${there?.assignedTo.join(' and the ')} too, and is installed first`, source)]
  }
  const why = there
    ? `is assigned to the ${there.assignedTo.join(' and the ')}, and the certificate to the ${assignedTo.join(' and the ')}`
    : 'does not reach the device'
  return [stops('root', `${name} ${why}; assign both alike`, source), reported('ERR_ROOT_NOT_DEPLOYED', walk)]
}

const places = {
  software: 'software',
  tpm: 'the TPM',
  passport: 'Passport for Work',
  pkcs11: 'the PKCS#11 token',
} as const satisfies Record<KeyProtection, string>

const reasons: Partial<Record<KeyStorageReason, string>> = {
  'tpm-ready': 'the profile asks for a TPM, and the device has one',
  'tpm-absent': 'the profile prefers a TPM, and the device has none',
  'software-ready': 'the profile asks for no other place',
  'passport-ready': 'the profile asks for it; its user needs a PIN there first, and is asked for it at each use',
  'setting-ignored': 'a profile cannot choose on this OS',
}

/** Where the key goes, and why. */
export function keyStorage(walk: Walk): readonly ExplainedStep[] {
  const { delivered, device } = walk
  const profile = delivered && agentRequest(delivered, device.os)
  if (!profile || 'code' in profile) return []
  const { os, subscriber } = device
  const choice = keyChoiceOf(profile, os, subscriber.device)
  const fact = settingFactOf('keyStorage', os).id
  if (choice.outcome !== 'use') return [stops('key storage', choice.message, fact), reported(choice.code, walk)]
  const made = 'scepUrls' in profile ? 'made in' : 'imported into'
  const isAssumed = treatmentOf('keyStorage', os) === 'honoured' && subscriber.device.hardware === undefined
  const assumed = isAssumed ? '; nothing is said of its hardware, and a TPM 2.0 is taken' : ''
  return [goesOn('key storage', `${made} ${places[choice.protection]}: ${reasons[choice.reason] ?? choice.reason}${assumed}`, fact)]
}

/** What the device asks for, in words. */
export function request({ delivered, device: { os } }: Walk): readonly ExplainedStep[] {
  if (!delivered) return []
  if (!('scepUrls' in delivered)) {
    const maker = delivered.kind === 'pkcs' ? 'the connector makes key and certificate' : 'key and certificate are those that were imported'
    return [told('request', `none: ${maker}, and the device fetches them`, profileFacts.pfxKeyMadeBy.id)]
  }
  const { subject, subjectAltNames, keyBits, keyUsages, extendedKeyUsages, hash = 'sha256' } = delivered
  const names = subjectAltNames.map(({ type, value }) => `${type} ${value}`)
  const signedWith = treatmentOf('hash', os) === 'honoured' ? hash : 'sha256'
  const usages = keyUsages.length > 0 ? `key usage ${keyUsages.join(' and ')}` : 'no key usage'
  const isCarried = treatmentOf('extendedKeyUsages', os) === 'honoured' && extendedKeyUsages.length > 0
  const purposes = isCarried ? `extended key usage ${usagesText(extendedKeyUsages)}` : 'no extended key usage'
  return [
    goesOn('subject', subject === '' ? 'empty' : subject),
    goesOn('alternative names', names.length > 0 ? names.join(', ') : 'none'),
    goesOn('request', `RSA-${keyBits}, signed with ${signedWith}, ${usages}, ${purposes}`, profileFacts.keyMadeBy.id),
  ]
}
