import type { Instant, ProfileStatus } from '@certfleet/agent-core'
import type { IssuanceStateOf } from '@certfleet/platforms'
import type { DeviceReport } from '../records.ts'

/** Graph's `certificateIssuanceStates`, those that device and lab can know between them. */
export type CertificateState = IssuanceStateOf<'device' | 'service'>

/** Where a profile stands, as its device says. */
export interface ReportedStatus {
  readonly state: CertificateState
  readonly displayName?: string
  readonly code?: string
  readonly message?: string
  /** What its OS shows for the code: an HRESULT, signed. */
  readonly errorCode?: number
  readonly serialNumber?: string
  readonly notBefore?: Instant
  readonly notAfter?: Instant
  readonly keyBits?: number
}

const reportedStates: ReadonlySet<CertificateState> = new Set<ProfileStatus['state']>([
  ...(['requestCreationFailed', 'requestSubmitFailed', 'issueFailed', 'issuePending', 'responseProcessingFailed'] as const),
  ...(['installed', 'renewalRequested'] as const),
])

/** By profile id. A device wrote it: nothing of it is taken on trust. */
export function statusesOf({ report }: DeviceReport): ReadonlyMap<string, ReportedStatus> {
  const statuses = new Map<string, ReportedStatus>()
  for (const status of report.profiles) {
    const profileId = textIn(status.profileId)
    if (profileId !== undefined) statuses.set(profileId, statusOf(status))
  }
  return statuses
}

function statusOf(status: ProfileStatus): ReportedStatus {
  const { state } = status
  return {
    state: reportedStates.has(state) ? state : 'unknown',
    ...pick({
      displayName: textIn(status.displayName),
      code: textIn(status.code),
      message: textIn(status.message),
      errorCode: errorCodeIn(status.os),
    }),
    ...pick({ serialNumber: textIn(status.serialNumber), keyBits: numberIn(status.keyBits, 65_536) }),
    ...pick({ notBefore: numberIn(status.notBefore, maxInstant), notAfter: numberIn(status.notAfter, maxInstant) }),
  }
}

/** What a date can hold. */
const maxInstant = 8.64e15
const maxTextCharacters = 500

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxTextCharacters) : undefined
}

function numberIn(value: unknown, max: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max ? value : undefined
}

/** As Windows tells it; other systems tell no number of 32 bits. */
function errorCodeIn(os: unknown): number | undefined {
  const code: unknown = os && typeof os === 'object' && 'ErrorCode' in os ? os.ErrorCode : undefined
  return typeof code === 'number' && code !== 0 && (code | 0) === code ? code : undefined
}

/** Without the members that are not there. */
function pick<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
