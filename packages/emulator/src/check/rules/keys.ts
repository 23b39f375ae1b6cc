import type { AgentErrorCode, CertificateProfile } from '@certfleet/agent-core'
import { type Os, profileFacts, windowsFacts } from '@certfleet/platforms'
import type { Device } from '../../tenant/index.ts'
import { agentRequest, type Delivered, keyChoiceOf, type NoRequest } from '../agent-request.ts'
import type { RuleFindingId } from '../finding-ids.ts'
import { about, failure } from '../shown.ts'
import type { CheckContext, CheckedDevice, CheckFinding, DeviceRule, ProfileRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = []

export const deviceRules: readonly DeviceRule[] = [refusedRequests]

/** What the OS or the hardware makes of a profile, whosever the device is. */
interface Verdict extends Pick<CheckFinding, 'severity' | 'message' | 'action' | 'source'> {
  readonly id: RuleFindingId
  /** Of errors. */
  readonly code?: AgentErrorCode
}

function refusedRequests(device: CheckedDevice, context: CheckContext): readonly CheckFinding[] {
  const { scepProfiles, pfxProfiles = [] } = device.policy
  const known = knownFor(device, context)
  const findings: CheckFinding[] = []
  for (const delivered of scepProfiles) tell(delivered)
  for (const delivered of pfxProfiles) tell(delivered)
  return findings

  function tell(delivered: Delivered): void {
    const told = known.get(delivered.id) ?? findingsAbout(delivered, device, context)
    known.set(delivered.id, told)
    for (const finding of told) findings.push({ ...finding, device: device.subscriber.device.id })
  }
}

/** By profile, but for the device's id; the same for all devices of that release and hardware. */
type Known = Map<string, readonly CheckFinding[]>

const kept = new WeakMap<CheckContext, Map<string, Known>>()

function knownFor({ os, subscriber }: CheckedDevice, context: CheckContext): Known {
  const byKind = kept.get(context) ?? new Map<string, Known>()
  kept.set(context, byKind)
  const kind = `${os.system} ${os.version} ${os.management} ${subscriber.device.hardware}`
  const known = byKind.get(kind) ?? new Map<string, readonly CheckFinding[]>()
  byKind.set(kind, known)
  return known
}

function findingsAbout(delivered: Delivered, device: CheckedDevice, { profiles }: CheckContext): readonly CheckFinding[] {
  const profile = profiles.get(delivered.id)
  if (profile === undefined) throw new Error(`profile "${delivered.id}" was delivered and is not in the export`)
  return judge(delivered, device).map(({ code, ...verdict }) => ({
    ...verdict,
    ...about(profile),
    ...(code && failure(code, profile, device)),
  }))
}

/** The URL apart from the rest: a lab has another one. */
function judge(delivered: Delivered, { os, subscriber }: CheckedDevice): readonly Verdict[] {
  const nameless = 'scepUrls' in delivered ? { ...delivered, subject: '', subjectAltNames: [] } : delivered
  const asDelivered = agentRequest(nameless, os)
  const made = 'scepUrls' in nameless && 'code' in asDelivered ? agentRequest({ ...nameless, scepUrls: [plainUrl] }, os) : asDelivered
  const ofUrl = 'code' in asDelivered && !('code' in made && made.message === asDelivered.message) ? [refusedUrl(asDelivered)] : []
  return [...ofUrl, ...('code' in made ? [refused(made)] : placed(made, delivered, os, subscriber.device))]
}

/** No OS has anything against it. */
const plainUrl = 'https://scep.invalid/scep'

function refusedUrl({ code, message, factId }: NoRequest): Verdict {
  const action = 'give the profile a SCEP URL that this OS takes, or leave these devices out of its assignment'
  return { id: 'url-refused', severity: 'error', code, message: ends(message), action, source: factId ?? 'scep-url.honoured' }
}

function refused({ code, message, factId }: NoRequest): Verdict {
  const source = factId ?? profileFacts.mostElements.id
  const action = 'change the setting, or make a profile of its own for the devices that can do what it asks for'
  return { id: 'request-refused', severity: 'error', code, message: ends(message), action, source }
}

const ends = (message: string): string => `${message}; the device asks for no certificate`

function placed(profile: CertificateProfile, { keyStorage: asked }: Delivered, os: Os, device: Device): readonly Verdict[] {
  const choice = keyChoiceOf(profile, os, device)
  const { keyStorage: demanded } = profile.request
  if (choice.outcome === 'use') {
    if (choice.protection === 'passport' && 'multiFactor' in profile && profile.multiFactor) return [proofNeeded]
    return demanded === 'useTpmKspOtherwiseUseSoftwareKsp' && choice.protection === 'software' ? [inSoftware] : []
  }
  const { code, message } = choice
  if (code === 'ERR_UNSUPPORTED') {
    const action = 'ask for a key of 2048 bits, or choose the software provider'
    const source = windowsFacts.largestTpmKeyBits.id
    return [{ id: 'request-refused', severity: 'error', code, message: ends(message), action, source }]
  }
  const { phoneTpm, passportDemanded, tpmDemanded } = windowsFacts
  const demand = demanded === 'usePassportForWorkKspOtherwiseFail' ? passportDemanded : tpmDemanded
  const source = asked === demanded ? demand.id : phoneTpm.id
  const action = 'choose a key storage that these devices have, or leave them out of the assignment'
  return [{ id: 'key-storage-missing', severity: 'error', code, message: ends(message), action, source }]
}

/** Whether the user has is in no tenant file. */
const proofNeeded: Verdict = {
  id: 'multi-factor-needed',
  severity: 'warning',
  code: 'ERR_USER_ACTION_REQUIRED',
  message: 'its user has to have enrolled the device with multi-factor authentication; until then the device asks for no certificate',
  action: 'have users enrol with more than one factor, or leave the profile out of multiFactor',
  source: 'multi-factor.honoured',
}

const inSoftware: Verdict = {
  id: 'key-storage-missing',
  severity: 'info',
  message: 'the device has no TPM, so that the key is in software, as the profile allows',
  action: 'where that will not do, choose "TPM, otherwise fail"',
  source: windowsFacts.tpmPreferred.id,
}
