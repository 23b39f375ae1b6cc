import type { AgentErrorCode, Report } from '@certfleet/agent-core'
import type { DeviceOutcome } from '../fleet/outcome.ts'
import type { IntentProfile } from '../tenant/index.ts'
import { isReplaced } from './emulate-roots.ts'
import type { CheckedDevice, CheckFinding } from './types.ts'

/** A pair of which check and emulation say different things. */
export interface Disagreement {
  readonly device: string
  readonly profile: string
  readonly profileId: string
  /** In words: what the check says, and what became of it. */
  readonly predicted: string
  readonly emulated: string
}

export interface Judgement {
  readonly disagreements: readonly Disagreement[]
  /** Of the error findings that the emulation could show. */
  readonly marks: ReadonlyMap<CheckFinding, 'confirmed' | 'refuted'>
}

/** How one device ended. */
export interface EmulatedEnd {
  readonly outcome: DeviceOutcome
  /** Absent where it sent none. */
  readonly report: Report | undefined
}

/** What became of a profile on a device. */
type Fate =
  | { readonly kind: 'installed' | 'not-applicable' | 'absent' }
  | { readonly kind: 'failed'; readonly code?: AgentErrorCode; readonly why: string }

/** They hang on the tenant's own servers, in whose place the lab is. */
const onTheServer: ReadonlySet<string> = new Set(['url-refused', 'server-other-root', 'server-unreachable', 'validity-beyond-ca'])

/** Holds what the check says of one device against how it ended there. `findings`: those about that device. */
export function judgeDevice(device: CheckedDevice, findings: readonly CheckFinding[], end: EmulatedEnd): Judgement {
  const { id } = device.subscriber.device
  const marks = new Map<CheckFinding, 'confirmed' | 'refuted'>()
  const disagreements: Disagreement[] = []
  const fateOf = fatesOf(end)
  const disagree = (profile: Pick<IntentProfile, 'id' | 'displayName'>, predicted: string, fate: Fate) =>
    disagreements.push({ device: id, profile: profile.displayName, profileId: profile.id, predicted, emulated: wordsOf(fate) })
  for (const { profile } of device.pairs) {
    const fate = fateOf(profile.id)
    const coded = findings.filter((finding) => finding.profileId === profile.id && canBeShown(finding, device, findings))
    const shown = coded.filter(({ severity }) => severity === 'error')
    if (isPredicted(fate, shown, coded))
      for (const finding of coded) {
        // One that another keeps from showing is neither.
        if (isShownBy(fate, finding)) marks.set(finding, 'confirmed')
      }
    else {
      for (const finding of shown) marks.set(finding, 'refuted')
      disagree(profile, predictionOf(shown), fate)
    }
  }
  for (const profile of device.notApplicable) {
    const fate = fateOf(profile.id)
    if (fate.kind !== 'not-applicable') disagree(profile, 'it is not for the OS version of the device', fate)
  }
  return { disagreements, marks }
}

/** A root in whose place the lab's is: no store has anything against that. */
function canBeShown({ id, code, profileId }: CheckFinding, { policy }: CheckedDevice, findings: readonly CheckFinding[]): boolean {
  if (code === undefined || onTheServer.has(id)) return false
  if (code !== 'ERR_CERTIFICATE_REFUSED') return true
  const refused = new Set(findings.flatMap((other) => (other.code === code ? [other.profileId] : [])))
  const root = policy.trustedRoots.find((root) => root.id === profileId)
  return root === undefined || !isReplaced(root, policy, (rootId) => refused.has(rootId))
}

const isShownBy = (fate: Fate, { code }: CheckFinding): boolean => fate.kind === 'failed' && fate.code === code

/** An error says that it fails so, a warning with a code that it may. */
function isPredicted(fate: Fate, errors: readonly CheckFinding[], coded: readonly CheckFinding[]): boolean {
  return fate.kind === 'installed' ? errors.length === 0 : coded.some((finding) => isShownBy(fate, finding))
}

function predictionOf(errors: readonly CheckFinding[]): string {
  if (errors.length === 0) return 'it is installed'
  return errors.map(({ id, code }) => `it fails with ${code} (${id})`).join(', or ')
}

function wordsOf(fate: Fate): string {
  switch (fate.kind) {
    case 'failed':
      return `it failed${fate.code === undefined ? '' : ` with ${fate.code}`}: ${fate.why}`
    case 'installed':
      return 'it was installed'
    case 'not-applicable':
      return 'it was not for the OS version of the device'
    case 'absent':
      return 'the device never heard of it'
  }
}

/** By the device's own report. */
function fatesOf({ outcome, report }: EmulatedEnd): (profileId: string) => Fate {
  if (report === undefined) {
    const [failure] = outcome.failures
    return () => ({ kind: 'failed', why: failure?.message ?? 'the device sent no report', ...(failure && { code: failure.code }) })
  }
  const fates = new Map<string, Fate>()
  for (const { id } of report.notApplicable ?? []) fates.set(id, { kind: 'not-applicable' })
  for (const profile of report.profiles) fates.set(profile.profileId, profileFate(profile))
  for (const root of report.roots) fates.set(root.profileId, rootFate(root, report))
  return (profileId) => fates.get(profileId) ?? { kind: 'absent' }
}

function profileFate({ state, code, message = state }: Report['profiles'][number]): Fate {
  return state === 'installed' ? { kind: 'installed' } : { kind: 'failed', why: message, ...(code && { code }) }
}

function rootFate({ store, fingerprint, installed }: Report['roots'][number], { results }: Report): Fate {
  if (installed) return { kind: 'installed' }
  const failure = results.find(({ subject, status }) => status === 'failed' && subject === `${store}/${fingerprint}`)
  return { kind: 'failed', why: failure?.message ?? 'the root is not there', ...(failure?.code && { code: failure.code }) }
}
