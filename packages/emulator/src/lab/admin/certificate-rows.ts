import type { Instant, ProfileStatus } from '@certfleet/agent-core'
import { type Certificate, parseCertificate } from '@certfleet/agent-core/pki'
import type { AuditEntry, DeviceReport, IssuedRecord, RevocationRecord } from '../records.ts'
import type { LabStore } from '../store.ts'

/** Graph's `certificateIssuanceStates`, those that device and lab can know between them; their order in time is certfleet's own. */
export type CertificateState =
  | 'unknown'
  | 'challengeIssued'
  | 'challengeIssueFailed'
  | 'requestCreationFailed'
  | 'requestSubmitFailed'
  | 'challengeValidationSucceeded'
  | 'challengeValidationFailed'
  | 'issueFailed'
  | 'issuePending'
  | 'issued'
  | 'responseProcessingFailed'
  | 'installed'
  | 'renewalRequested'
  | 'deleted'

/** Where one profile stands on one device. */
export interface CertificateRow {
  readonly deviceId: string
  readonly profileId: string
  readonly state: CertificateState
  /** When it came to stand so, by the lab's clock. */
  readonly at: Instant
  /** Of the device's report. */
  readonly displayName?: string
  /** Why it failed: an error code of the device's, or one of the validation API's. */
  readonly code?: string
  readonly message?: string
  readonly serialNumber?: string
  readonly notBefore?: Instant
  readonly notAfter?: Instant
  readonly keyBits?: number
  /** Where the lab issued it. */
  readonly certificate?: Certificate
  readonly revocation?: RevocationRecord
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

const reportedStates: ReadonlySet<string> = new Set<ProfileStatus['state']>([
  ...(['requestCreationFailed', 'requestSubmitFailed', 'issueFailed', 'issuePending', 'responseProcessingFailed'] as const),
  ...(['installed', 'renewalRequested'] as const),
])

export const failedStates: ReadonlySet<CertificateState> = new Set([
  ...(['challengeIssueFailed', 'requestCreationFailed', 'requestSubmitFailed', 'challengeValidationFailed'] as const),
  ...(['issueFailed', 'responseProcessingFailed'] as const),
])

/** Whether it needs somebody: it failed, or its renewal does. */
export function hasFailed({ state, code }: CertificateRow): boolean {
  return failedStates.has(state) || (code !== undefined && state !== 'deleted')
}

/** In force, and over within so long. */
export function expiresWithin({ notAfter, revocation, state }: CertificateRow, now: Instant, ms: number): boolean {
  return notAfter !== undefined && revocation === undefined && state !== 'deleted' && notAfter > now && notAfter <= now + ms
}

interface Known {
  issued?: IssuedRecord
  event?: AuditEntry
  reported?: { readonly status: ProfileStatus; readonly at: Instant }
}

/**
 * A row for each device and profile that is in a device's last report, or that the lab issued to, or refused, lately: the newer of
 * what the device said and what the lab saw. Sorted by device and profile.
 */
export function certificateRows(store: LabStore, log: readonly AuditEntry[], filter: RowFilter = {}): CertificateRow[] {
  const pairs = new Map<string, Known>()
  const at = (deviceId: string | undefined, profileId: string | undefined): Known | undefined => {
    if (deviceId === undefined || profileId === undefined) return undefined
    if ((filter.deviceId ?? deviceId) !== deviceId || (filter.profileId ?? profileId) !== profileId) return undefined
    const key = JSON.stringify([deviceId, profileId])
    const known = pairs.get(key) ?? {}
    pairs.set(key, known)
    return known
  }
  const reports = reportsOf(store, filter)
  for (const report of reports.values())
    for (const status of report.report.profiles)
      assign(at(report.deviceId, textIn(status.profileId)), { reported: { status, at: report.at } })
  for (const record of store.list('issued')) {
    const known = at(record.deviceId, record.profileId)
    if (known && record.at >= (known.issued?.at ?? 0)) known.issued = record
  }
  for (const event of log)
    if (event.event in stateByEvent || event.event === 'refused') assign(at(event.deviceId, event.profileId), { event })
  return [...pairs]
    .map(([key, known]) => rowOf(JSON.parse(key), known, reports, store))
    .sort((a, b) => (a.deviceId < b.deviceId ? -1 : a.deviceId > b.deviceId ? 1 : a.profileId < b.profileId ? -1 : 1))
}

function assign(known: Known | undefined, facts: Known): void {
  if (known) Object.assign(known, facts)
}

function reportsOf(store: LabStore, { deviceId }: RowFilter): ReadonlyMap<string, DeviceReport> {
  const reports = deviceId === undefined ? store.list('reports') : [store.get('reports', deviceId)]
  return new Map([...reports].flatMap((report) => (report ? [[report.deviceId, report] as const] : [])))
}

function rowOf(
  [deviceId, profileId]: [string, string],
  { issued: latest, event, reported }: Known,
  reports: ReadonlyMap<string, DeviceReport>,
  store: LabStore,
): CertificateRow {
  const status = reported && readStatus(reported.status)
  const isDeviceNewer = reported !== undefined && reported.at >= (event?.at ?? latest?.at ?? 0)
  const told = store.get('issued', status?.serialNumber ?? '')
  const record = isDeviceNewer && status?.serialNumber !== undefined ? told : (latest ?? told)
  const certificate = record && parseCertificate(record.certificate)
  const serialNumber = record?.serialNumber ?? status?.serialNumber
  const fromDevice = record === undefined || record === told
  const revocation = serialNumber === undefined ? undefined : store.get('revocations', serialNumber)
  return {
    deviceId,
    profileId,
    ...(isDeviceNewer ? deviceSays(status, reported.at) : labSays(event, latest, status, reports.get(deviceId))),
    ...pick({ displayName: status?.displayName, keyBits: fromDevice ? status?.keyBits : undefined, serialNumber, certificate, revocation }),
    ...pick({ notBefore: certificate?.notBefore ?? status?.notBefore, notAfter: certificate?.notAfter ?? status?.notAfter }),
  }
}

type Standing = Pick<CertificateRow, 'state' | 'at' | 'code' | 'message'>

function deviceSays(status: Status | undefined, at: Instant): Standing {
  return { state: status?.state ?? 'unknown', at, ...pick({ code: status?.code, message: status?.message }) }
}

function labSays(
  event: AuditEntry | undefined,
  latest: IssuedRecord | undefined,
  status: Status | undefined,
  report: DeviceReport | undefined,
): Standing {
  const at = event?.at ?? latest?.at ?? 0
  // Its later report names what it is to have, and this is not in it any more.
  if (status === undefined && report !== undefined && report.at > at && latest !== undefined) return { state: 'deleted', at: report.at }
  if (event === undefined) return { state: 'issued', at }
  const isRenewing = status?.serialNumber !== undefined && (event.event === 'challenge-issued' || event.event === 'pending')
  const refused = event.code === undefined ? 'issueFailed' : 'challengeValidationFailed'
  const state = isRenewing ? 'renewalRequested' : (stateByEvent[event.event] ?? refused)
  return { state, at, ...pick({ code: event.code ?? (failedStates.has(state) ? event.failInfo : undefined) }) }
}

type Status = Partial<Pick<CertificateRow, 'displayName' | 'code' | 'message' | 'serialNumber' | 'notBefore' | 'notAfter' | 'keyBits'>> &
  Pick<CertificateRow, 'state'>

/** A device wrote it: nothing of it is taken on trust. */
function readStatus(status: ProfileStatus): Status {
  const { state } = status
  return {
    state: reportedStates.has(state) ? (state as CertificateState) : 'unknown',
    ...pick({ displayName: textIn(status.displayName), code: textIn(status.code), message: textIn(status.message) }),
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

/** Without the members that are not there. */
function pick<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never
}
