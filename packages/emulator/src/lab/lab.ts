import type { Clock, HttpRequest, HttpResponse, Instant } from '@certfleet/agent-core'
import { type CrlReason, fingerprintOf } from '@certfleet/agent-core/pki'
import { openAudit } from './audit.ts'
import { openAuthorities } from './authority.ts'
import { challenges } from './challenges.ts'
import { empty, type Handler, type Route, router } from './http.ts'
import type { Approval, ApprovalRequest } from './issuance.ts'
import { ndes, scepPaths } from './ndes.ts'
import { type PolicyFor, policies } from './policies.ts'
import { type PushListener, pushHub } from './push.ts'
import type { AuditEntry, DeviceReport, IssuedRecord } from './records.ts'
import { type Registrations, registrations } from './registrations.ts'
import { receiveReport } from './reports.ts'
import { currentCrl, revoke } from './revocation.ts'
import type { LabStore } from './store.ts'

export interface LabOptions {
  /** Holds the CA; an empty one gets a new CA. Closed by whoever opened it. */
  readonly store: LabStore
  readonly clock: Clock
  /** What the tenant rendered for a device. The lab keeps the revisions. */
  readonly policyFor: PolicyFor
  /** What entitles a device to register. A secret. */
  readonly registrationToken: string
  /** Every request that carries it is taken, within the template. A secret. Default: only challenges of the lab's own. */
  readonly staticChallenge?: string | undefined
  /** Read requests encrypted with single DES. Default false. */
  readonly legacyDes?: boolean | undefined
  /** Read requests signed with SHA-1. Default false. */
  readonly legacySha1?: boolean | undefined
  /** Read CSRs whose version is not 0, as some Apple clients send them. Default false. */
  readonly allowBadCsrVersion?: boolean | undefined
  /** Write a FAILURE as NDES does: an HRESULT, one zero byte for content, no certificates. Default false. */
  readonly ndesFailures?: boolean | undefined
  /** Lifetime of a device's certificate. Default 365 days. */
  readonly templateValidityMs?: number | undefined
  /** EDITF_ATTRIBUTEENDDATE: a shorter lifetime that a profile asks for is honoured (S50), except on iOS and macOS (S51). Default false. */
  readonly honourRequestedValidity?: boolean | undefined
  /** Asked for each new request, and again at each CertPoll while it says pending. Default: issue. */
  readonly approve?: ((request: ApprovalRequest) => Approval) | undefined
  /** Of the CA's and the RA's RSA keys, when the store is empty. Default 2048. */
  readonly keyBits?: number | undefined
}

/** The service side: CA, NDES, policy service, report inbox. */
export interface Lab {
  /** Answers one request by the path of its URL. */
  handle(request: HttpRequest): Promise<HttpResponse>
  /** Opens a push connection for whose credential the headers bear; undefined without one. Returns what ends it. */
  connectPush(headers: HttpRequest['headers'], listener: PushListener): (() => void) | undefined
  /** Wakes a device; returns how many connections it has. */
  wake(deviceId: string): number
  /** To be called when `policyFor` may answer differently: wakes each connected device whose revision rises by it. Returns how many. */
  policiesChanged(): Promise<number>
  /** Of the CA that issues now, DER. */
  readonly rootCertificate: Uint8Array
  /** Of the CA that issues now, DER. */
  readonly issuingCertificate: Uint8Array
  /** SHA-256 of the root certificate, lower-case hex. */
  readonly caFingerprint: string
  /**
   * Makes the CA that takes over at that moment, and tells of it by GetNextCACert until then (RFC 8894 2.5); its certificates begin
   * a day before. Returns its root, DER. While one is prepared another is refused: `ERR_UNSUPPORTED`.
   */
  prepareRollOver(at: Instant): Promise<Uint8Array>
  /** Revokes a certificate by its serial number, lower-case hex; revoking again changes nothing. One that is not on record: `ERR_UNSUPPORTED`. */
  revoke(serialNumber: string, reason?: CrlReason): Promise<void>
  /** The CRL of the CA that issues now, DER: at least half of its week is left, and all that is revoked is in it. */
  crl(): Promise<Uint8Array>
  /** Every certificate that was issued, by serial number. */
  issued(): Iterable<IssuedRecord>
  /** The last report of each device, by device id. */
  reports(): Iterable<DeviceReport>
  /** The latest 10,000 entries, oldest first. No secrets. */
  audit(): readonly AuditEntry[]
}

const dayMs = 86_400_000

/** Opens the lab on what the store holds. A CA that cannot be read from it: `ERR_STATE_INVALID`. */
export async function createLab(options: LabOptions): Promise<Lab> {
  const { store, clock, policyFor, registrationToken } = options
  const audit = openAudit(store, clock)
  const authorities = await openAuthorities(store, clock, options.keyBits ?? 2048)
  const surroundings = { store, clock, audit, authorities }
  const push = pushHub()
  const devices = registrations({ store, clock, audit, registrationToken, onRotated: push.drop })
  const policy = policies(store, policyFor)
  const challenge = challenges({ store, clock, audit, policyFor, secret: authorities.secret })
  const scep = ndes({
    ...surroundings,
    challenges: challenge,
    policyFor,
    staticChallenge: options.staticChallenge,
    honourRequestedValidity: options.honourRequestedValidity ?? false,
    approve: options.approve ?? (() => 'issue'),
    templateValidityMs: options.templateValidityMs ?? 365 * dayMs,
    legacyDes: options.legacyDes ?? false,
    legacySha1: options.legacySha1 ?? false,
    allowBadCsrVersion: options.allowBadCsrVersion ?? false,
    ndesFailures: options.ndesFailures ?? false,
  })
  const routes = new Map<string, Route>([
    ...scepPaths.map((path) => [path, scep] as const),
    ['/device/register', { POST: devices.register }],
    ['/device/policy', { GET: ofDevice(devices, policy.get) }],
    ['/device/challenge', { POST: ofDevice(devices, challenge.issue) }],
    ['/device/report', { POST: ofDevice(devices, (deviceId, request) => receiveReport(deviceId, request, store, clock)) }],
    ['/device/push', { GET: ofDevice(devices, () => empty(426, { upgrade: 'websocket' })) }],
  ])
  return {
    handle: router(routes),
    connectPush(headers, listener) {
      const registration = devices.authenticate(headers)
      return registration && push.subscribe(registration.deviceId, listener)
    },
    wake: push.wake,
    async policiesChanged() {
      const connected = push.connected()
      const rose = await Promise.all(connected.map((deviceId) => policy.refresh(deviceId)))
      const changed = connected.filter((_, i) => rose[i])
      for (const deviceId of changed) push.wake(deviceId)
      return changed.length
    },
    get rootCertificate() {
      return authorities.present().root.raw
    },
    get issuingCertificate() {
      return authorities.present().issuing.certificate.raw
    },
    get caFingerprint() {
      return fingerprintOf(authorities.present().root.raw)
    },
    async prepareRollOver(at) {
      const { root } = await authorities.prepareNext(at)
      await store.transaction((tx) => audit.add(tx, { event: 'roll-over-prepared', detail: `to ${fingerprintOf(root.raw)}` }))
      return root.raw
    },
    revoke: (serialNumber, reason = 'unspecified') => revoke(serialNumber, reason, surroundings),
    crl: () => currentCrl(authorities.present(), surroundings),
    issued: () => store.list('issued'),
    reports: () => store.list('reports'),
    audit: audit.entries,
  }
}

/** 401 without a credential that is good, and no word why. */
function ofDevice(
  devices: Registrations,
  handler: (deviceId: string, request: HttpRequest) => HttpResponse | Promise<HttpResponse>,
): Handler {
  return (request) => {
    const registration = devices.authenticate(request.headers)
    return registration ? handler(registration.deviceId, request) : empty(401, { 'www-authenticate': 'Bearer' })
  }
}
