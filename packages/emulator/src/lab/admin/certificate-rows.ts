import type { Instant } from '@certfleet/agent-core'
import type { AuditEntry } from '../records.ts'
import type { IssuedFacts, MonitoringIndex } from './monitored.ts'
import type { CertificateState, ReportedStatus } from './reported.ts'

/** Where one profile stands on one device. */
export interface CertificateRow {
  readonly deviceId: string
  readonly profileId: string
  readonly state: CertificateState
  /** When it came to stand so, by the lab's clock. */
  readonly at: Instant
  /** Of the device's report. */
  readonly displayName?: string | undefined
  /** Why it failed: an error code of the device's, or one of the validation API's. */
  readonly code?: string | undefined
  readonly message?: string | undefined
  /** What the device's OS shows for the code: an HRESULT, signed. */
  readonly errorCode?: number | undefined
  /** Of what the lab issued, or else of what the device says that it has. */
  readonly serialNumber?: string | undefined
  readonly notBefore?: Instant | undefined
  readonly notAfter?: Instant | undefined
  readonly keyBits?: number | undefined
  readonly isRevoked: boolean
}

export interface RowFilter {
  readonly deviceId?: string | undefined
  readonly profileId?: string | undefined
}

/** What the lab saw last, in Graph's words. */
const stateByEvent: Partial<Record<AuditEntry['event'], CertificateState>> = {
  'challenge-issued': 'challengeIssued',
  'challenge-refused': 'challengeIssueFailed',
  pending: 'issuePending',
  validated: 'challengeValidationSucceeded',
  issued: 'issued',
  'issued-elsewhere': 'issued',
  'failed-elsewhere': 'issueFailed',
}

/** The same of a device that has a certificate. */
const renewalStateByEvent: Partial<Record<AuditEntry['event'], CertificateState>> = {
  'challenge-issued': 'renewalRequested',
  pending: 'renewalRequested',
  validated: 'renewVerified',
}

export const failedStates: ReadonlySet<CertificateState> = new Set([
  ...(['challengeIssueFailed', 'requestCreationFailed', 'requestSubmitFailed', 'challengeValidationFailed'] as const),
  ...(['issueFailed', 'responseProcessingFailed'] as const),
])

/** Whether it needs somebody: it failed, or its renewal does. */
export function hasFailed({ state, code }: CertificateRow): boolean {
  return failedStates.has(state) || (code !== undefined && state !== 'deleted')
}

/** In force, and over within so long. */
export function expiresWithin({ notAfter, isRevoked, state }: CertificateRow, now: Instant, ms: number): boolean {
  return notAfter !== undefined && !isRevoked && state !== 'deleted' && notAfter > now && notAfter <= now + ms
}

interface Known {
  issued?: IssuedFacts
  event?: AuditEntry
  reported?: { readonly status: ReportedStatus; readonly at: Instant }
}

/**
 * A row for each device and profile that is in a device's last report, or that the lab issued to, or refused, lately: the newer of
 * what the device said and what the lab saw. Sorted by device and profile.
 */
export function certificateRows(index: MonitoringIndex, log: readonly AuditEntry[], filter: RowFilter = {}): CertificateRow[] {
  const devices = new Map<string, Map<string, Known>>()
  const at = (deviceId: string | undefined, profileId: string | undefined): Known | undefined => {
    if (deviceId === undefined || profileId === undefined) return undefined
    if ((filter.deviceId ?? deviceId) !== deviceId || (filter.profileId ?? profileId) !== profileId) return undefined
    return madeIn(
      madeIn(devices, deviceId, () => new Map<string, Known>()),
      profileId,
      (): Known => ({}),
    )
  }
  for (const [deviceId, report] of index.reports)
    for (const [profileId, status] of report.statuses) assign(at(deviceId, profileId), { reported: { status, at: report.at } })
  for (const facts of index.issued.values()) {
    const known = at(facts.deviceId, facts.profileId)
    if (known && isLater(facts, known.issued)) known.issued = facts
  }
  for (const event of log)
    if (event.event in stateByEvent || event.event === 'refused') assign(at(event.deviceId, event.profileId), { event })
  return sorted(devices).flatMap(([deviceId, profiles]) =>
    sorted(profiles).map(([profileId, known]) => rowOf(deviceId, profileId, known, index)),
  )
}

function madeIn<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))

/** At the same moment the higher serial number counts, whatever came first. */
function isLater(facts: IssuedFacts, than: IssuedFacts | undefined): boolean {
  return than === undefined || facts.at > than.at || (facts.at === than.at && facts.serialNumber > than.serialNumber)
}

function assign(known: Known | undefined, facts: Known): void {
  if (known) Object.assign(known, facts)
}

function rowOf(deviceId: string, profileId: string, { issued: latest, event, reported }: Known, index: MonitoringIndex): CertificateRow {
  const status = reported?.status
  const isDeviceNewer = reported !== undefined && reported.at >= (event?.at ?? latest?.at ?? 0)
  const told = index.issued.get(status?.serialNumber ?? '')
  const record = isDeviceNewer && status?.serialNumber !== undefined ? told : (latest ?? told)
  const serialNumber = record?.serialNumber ?? status?.serialNumber
  const fromDevice = record === undefined || record === told
  const isRevoked = serialNumber !== undefined && index.revocations.has(serialNumber)
  const said = isDeviceNewer ? deviceSays(reported.status, reported.at) : labSays(event, latest, status, index.reports.get(deviceId)?.at)
  return {
    deviceId,
    profileId,
    ...said,
    state: isRevoked && isInForce(said.state) ? 'revoked' : said.state,
    displayName: status?.displayName,
    keyBits: fromDevice ? status?.keyBits : undefined,
    serialNumber,
    notBefore: record?.notBefore ?? status?.notBefore,
    notAfter: record?.notAfter ?? status?.notAfter,
    isRevoked,
  }
}

/** What a revocation ends; of another request, or of what is gone, it says nothing. */
const isInForce = (state: CertificateState): boolean => state === 'issued' || state === 'installed'

type Standing = Pick<CertificateRow, 'state' | 'at' | 'code' | 'message' | 'errorCode'>

function deviceSays({ state, code, message, errorCode }: ReportedStatus, at: Instant): Standing {
  return { state, at, code, message, errorCode }
}

function labSays(
  event: AuditEntry | undefined,
  latest: IssuedFacts | undefined,
  status: ReportedStatus | undefined,
  lastReportAt: Instant | undefined,
): Standing {
  const at = event?.at ?? latest?.at ?? 0
  // Its later report names what it is to have, and this is not in it any more.
  if (status === undefined && lastReportAt !== undefined && lastReportAt > at && latest !== undefined)
    return { state: 'deleted', at: lastReportAt }
  if (event === undefined) return { state: 'issued', at }
  const renewing = status?.serialNumber === undefined ? undefined : renewalStateByEvent[event.event]
  const refused = event.code === undefined ? 'issueFailed' : 'challengeValidationFailed'
  const state = renewing ?? stateByEvent[event.event] ?? refused
  return { state, at, code: event.code ?? (failedStates.has(state) ? event.failInfo : undefined) }
}
