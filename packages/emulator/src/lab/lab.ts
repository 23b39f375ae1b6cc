import type { Clock, HttpRequest, HttpResponse, Instant } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import type { FactOverrides } from '@certfleet/platforms'
import { type AdminPolicies, adminApi, monitored } from './admin/index.ts'
import { openAudit } from './audit.ts'
import { openAuthorities } from './authority.ts'
import { type CaAccount, openAccounts } from './ca/accounts.ts'
import { ocspPath, ocspResponder } from './ca/ocsp-responder.ts'
import { crlDistribution, crlPath, type Publication } from './ca/publication.ts'
import { openCaSettings } from './ca/settings.ts'
import { type CertificateTemplate, defaultTemplateName, openTemplates } from './ca/templates.ts'
import { challenges } from './challenges.ts'
import { connector, type PfxRequestsFor } from './connector/connector.ts'
import { type ImportedPfxes, importedPfxes, isForUser, telling } from './connector/imported.ts'
import type { AuthorityName } from './connector/issue-pfx.ts'
import { crlOf } from './gateway/issuer-crl.ts'
import { type Hostility, hesitant, hostile } from './hostility/hostile.ts'
import { empty, type Handler, type Route, router } from './http.ts'
import type { Approval, ApprovalRequest } from './issuance.ts'
import { defaultRaValidityMs, type NdesControl, type NdesOptions, openNdes } from './ndes/service.ts'
import { managedOnly, type PolicyFor, policies } from './policies.ts'
import { type PushListener, pushHub } from './push.ts'
import type { AuditEntry, CaSettingRecord, DeviceReport, IssuedRecord } from './records.ts'
import { type Registrations, registrations } from './registrations.ts'
import { receiveReport } from './reports.ts'
import { currentCrl, type RevocationReason, type RevokedBy, revoke } from './revocation.ts'
import { revokeOnRemoval } from './revoke-on-removal.ts'
import { freshRsaKey, type MakeRsaKey } from './rsa-keys.ts'
import type { LabStore } from './store.ts'
import type { TlsIdentity, TlsRequest } from './tls/certificate.ts'
import { issueTls } from './tls/issue.ts'
import { type ValidationApi, type ValidationApiOptions, validationApi } from './validation-api/api.ts'

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
  /** From `factOverrides`: what is taken instead of the facts about platforms and service. Default: all is as sourced. */
  readonly overrides?: FactOverrides | undefined
  /** Read requests encrypted with single DES. Default false. */
  readonly legacyDes?: boolean | undefined
  /** Read requests signed with SHA-1. Default false. */
  readonly legacySha1?: boolean | undefined
  /** Read CSRs whose version is not 0, as some Apple clients send them. Default false. */
  readonly allowBadCsrVersion?: boolean | undefined
  /** Write a FAILURE as NDES does: an HRESULT, one zero byte for content, no certificates. Default false. */
  readonly ndesFailures?: boolean | undefined
  /** Lifetime by the built-in template. Default 365 days. */
  readonly templateValidityMs?: number | undefined
  /**
   * EDITF_ATTRIBUTEENDDATE when the store is empty; later `configureCa` alone changes it. A shorter lifetime that a profile asks for is
   * honoured (S50), except on iOS and macOS (S51). Default false.
   */
  readonly honourRequestedValidity?: boolean | undefined
  /** Certificate templates beside the built-in `CertfleetDevice` (S48). One that cannot be, or a name twice: `ERR_POLICY_INVALID`. */
  readonly templates?: readonly CertificateTemplate[] | undefined
  /** Accounts of the CA beside `ndes` and `connector`, or in their stead; those two may request and revoke (S52, S53). */
  readonly accounts?: readonly CaAccount[] | undefined
  /** Where certificates say that their revocation is told of. Default: they do not say. */
  readonly publish?: Publication | undefined
  /** How NDES is set up. */
  readonly ndes?: NdesOptions | undefined
  /** The admin's API in Graph's shapes (docs/lab.md); its token is a secret of 16 characters or more. Default: no such paths. */
  readonly admin?: { readonly token: string; readonly policies: AdminPolicies } | undefined
  /** Lets somebody else's SCEP server use the lab as its service (docs/test-your-scep-server.md). Default: no such paths. */
  readonly validationApi?: ValidationApiOptions | undefined
  /** The user of a device: challenges for a user's profile are bound to them. Default: nobody is asked for. */
  readonly userFor?: ((deviceId: string) => string | undefined) | undefined
  /** See `Expectations.registeredKeysFor`. Default: any key, always. */
  readonly registeredKeysFor?: ((deviceId: string, profileId: string) => readonly string[] | undefined) | undefined
  /** What the connector delivers to a device (S4, S41-S47). Default: what the admin's side assigns, without one nothing. */
  readonly pfxRequestsFor?: PfxRequestsFor | undefined
  /** The CA as PFX profiles have to name it (S42, S43). Default: whatever they name is this one. */
  readonly authorityName?: AuthorityName | undefined
  /** Raising it rotates the key that challenges are encrypted with; those given out before are refused. Default 0. */
  readonly challengeKeyGeneration?: number | undefined
  /** Asked for each new request, and again at each CertPoll while it says pending. Default: issue. */
  readonly approve?: ((request: ApprovalRequest) => Approval) | undefined
  /** Answer unkindly, as chance has it by its seed. Default: kindly. */
  readonly hostility?: Hostility | undefined
  /** Of the CA's and the RA's RSA keys, when the store is empty. Default 2048. */
  readonly keyBits?: number | undefined
  /** Where its RSA keys come from: those of CA and RA, and the connector's. Default: each is made afresh. */
  readonly makeKey?: MakeRsaKey | undefined
}

/** The service side: CA, NDES, policy service, report inbox. */
export interface Lab {
  /** Answers one request by the path of its URL. */
  handle(request: HttpRequest): Promise<HttpResponse>
  /** Opens a push connection for whose credential the headers bear; undefined without one. Returns what ends it. */
  connectPush(headers: HttpRequest['headers'], listener: PushListener): (() => void) | undefined
  /** Wakes a device; returns how many connections it has. */
  wake(deviceId: string): number
  /**
   * To be called when `policyFor` may answer differently: revokes what no profile stands behind any more, and wakes each connected device
   * whose revision rises by it. Returns how many. `deviceIds`: nobody else is woken.
   */
  policiesChanged(deviceIds?: readonly string[]): Promise<number>
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
  /**
   * Revokes a certificate by its serial number, lower-case hex. Revoking again changes nothing, but a hold is made final, or lifted by
   * removeFromCRL. Not on record, or no hold: `ERR_UNSUPPORTED`; an account that may not (S52): `ERR_UNAUTHORIZED`. Default: by the
   * CA's administrator.
   */
  revoke(serialNumber: string, reason?: RevocationReason, by?: RevokedBy): Promise<void>
  /** The built-in template first. */
  templates(): readonly CertificateTemplate[]
  /** EDITF_ATTRIBUTEENDDATE: as it is set, and as the CA read it when it started (S50). */
  caSettings(): { readonly attributeEndDate: CaSettingRecord }
  /** Counts once the CA, or the lab, has started again (S50). */
  configureCa(settings: { readonly attributeEndDate: boolean }): Promise<void>
  restartCa(): Promise<void>
  /** What an operator does to NDES. */
  readonly ndes: NdesControl
  /** A TLS certificate of the lab's CA, with its key: on record, and revocable like any other (S58). */
  issueTls(request: TlsRequest): Promise<TlsIdentity>
  /** PFX that an admin imports for users; devices that are connected learn of a change. */
  readonly importedPfx: Omit<ImportedPfxes, 'newest'>
  /** What the validation API was asked and told; undefined where it is off. */
  readonly validationApi: Omit<ValidationApi, 'routes'> | undefined
  /** The CRL of the CA that issues now, DER: at least half of its week is left, and all that is revoked is in it. */
  crl(): Promise<Uint8Array>
  /** The same of the CA whose certificate has this SHA-256, lower-case hex: the present one or one before it; undefined for others. */
  crlOf(issuerFingerprint: string): Promise<Uint8Array | undefined>
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
  const { clock, registrationToken, userFor, registeredKeysFor, overrides } = options
  const policyFor = managedOnly(options.policyFor)
  const monitoring = options.admin && monitored(options.store)
  const store = monitoring?.store ?? options.store
  const templates = openTemplates(options.templates ?? [], options.templateValidityMs ?? 365 * dayMs)
  const accounts = openAccounts(options.accounts ?? [])
  const audit = openAudit(store, clock)
  const makeKey = options.makeKey ?? freshRsaKey
  const raValidityMs = options.ndes?.raValidityMs ?? defaultRaValidityMs
  const authorities = await openAuthorities(store, clock, options.keyBits ?? 2048, raValidityMs, makeKey)
  const settings = await openCaSettings(store, audit, { attributeEndDate: options.honourRequestedValidity ?? false })
  const surroundings = { store, clock, audit, authorities, accounts, overrides }
  const push = pushHub()
  const removal = revokeOnRemoval({ store, clock, policyFor, overrides, revoke: (...asked) => lab.revoke(...asked) })
  const devices = registrations({ store, clock, audit, registrationToken, onRotated: push.drop })
  const policy = policies(store, policyFor)
  const { secret } = authorities
  const keyGeneration = options.challengeKeyGeneration
  const challenge = challenges({ store, clock, audit, policyFor, userFor, registeredKeysFor, secret, keyGeneration })
  const reading = { legacySha1: options.legacySha1 ?? false, allowBadCsrVersion: options.allowBadCsrVersion ?? false }
  const validation =
    options.validationApi &&
    validationApi(options.validationApi, { store, clock, audit, secret, challenges: challenge, policyFor, userFor, ...reading })
  const approve = options.approve ?? (() => 'issue' as const)
  const ca = { templates, accounts, settings, publish: options.publish }
  const imported = importedPfxes({ store, clock, audit, makeKey })
  const requested = options.pfxRequestsFor ?? options.admin?.policies.pfxRequestsFor ?? (() => [])
  const pfxRequestsFor = (deviceId: string) => (policyFor(deviceId)?.lifecycle === undefined ? requested(deviceId) : [])
  const { authorityName } = options
  const pfx = connector({ ...surroundings, ca, approve, userFor, authorityName, pfxRequestsFor, imported, makeKey })
  const responder = ocspResponder(surroundings)
  const scep = openNdes({
    ...surroundings,
    ...reading,
    ca,
    ndes: options.ndes ?? {},
    defaultTemplate: defaultTemplateName,
    registeredKeysFor,
    challenges: challenge,
    policyFor,
    staticChallenge: options.staticChallenge,
    approve: options.hostility ? hesitant(approve, options.hostility) : approve,
    legacyDes: options.legacyDes ?? false,
    ndesFailures: options.ndesFailures ?? false,
  })
  const routes = new Map<string, Route>([
    ...scep.routes,
    ...[crlPath, `${crlPath}/`].map((path) => [path, crlDistribution(surroundings)] as const),
    ...[ocspPath, `${ocspPath}/`].map((path) => [path, responder] as const),
    ...(validation?.routes ?? []),
    ['/device/register', { POST: devices.register }],
    ['/device/policy', { GET: ofDevice(devices, policy.get) }],
    ['/device/challenge', { POST: ofDevice(devices, challenge.issue) }],
    ['/device/pfx', { POST: ofDevice(devices, pfx.deliver) }],
    ['/device/report', { POST: ofDevice(devices, report) }],
    ['/device/push', { GET: ofDevice(devices, () => empty(426, { upgrade: 'websocket' })) }],
  ])
  // Groups of devices count for a device once it has reported (S14).
  async function report(deviceId: string, request: HttpRequest): Promise<HttpResponse> {
    const response = await receiveReport(deviceId, request, store, clock)
    if (response.status !== 204) return response
    await removal.reported(deviceId)
    await pfx.reported(deviceId)
    if (options.admin && (await policy.refresh(deviceId))) push.wake(deviceId)
    return response
  }
  async function tell(deviceIds?: readonly string[]): Promise<number> {
    const connected = push.connected().filter((deviceId) => deviceIds?.includes(deviceId) ?? true)
    const rose = await Promise.all(connected.map((deviceId) => policy.refresh(deviceId)))
    const changed = connected.filter((_, i) => rose[i])
    for (const deviceId of changed) push.wake(deviceId)
    return changed.length
  }
  const { hostility } = options
  const kind = router(routes)
  const { signer, control } = scep
  const handle = hostility
    ? hostile(kind, { ...hostility, clock, signer, renewRegistrationAuthority: control.renewRegistrationAuthority })
    : kind
  const admin =
    options.admin &&
    monitoring &&
    adminApi({
      ...monitoring,
      clock,
      adminToken: options.admin.token,
      policies: options.admin.policies,
      audit: audit.entries,
      revoke: (...asked) => lab.revoke(...asked),
      importedPfx: imported,
      onChanged: () => lab.policiesChanged(),
    })
  const lab: Lab = {
    handle: (request) => (admin?.takes(request.url) ? admin.handle(request) : handle(request)),
    connectPush(headers, listener) {
      const registration = devices.authenticate(headers)
      return registration && push.subscribe(registration.deviceId, listener)
    },
    wake: push.wake,
    async policiesChanged(deviceIds) {
      await removal.settle()
      return tell(deviceIds)
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
    revoke: (serialNumber, reason = 'unspecified', by) => revoke(serialNumber, reason, surroundings, by),
    templates: templates.list,
    caSettings: () => ({ attributeEndDate: settings.attributeEndDate() }),
    configureCa: ({ attributeEndDate }) => settings.configureAttributeEndDate(attributeEndDate),
    restartCa: settings.restart,
    ndes: scep.control,
    issueTls: (request) => issueTls(request, surroundings),
    importedPfx: telling(imported, (user) => tell(push.connected().filter((deviceId) => isForUser(user, pfxRequestsFor(deviceId))))),
    validationApi: validation,
    crl: () => currentCrl(authorities.present(), surroundings),
    crlOf: (issuerFingerprint) => crlOf(issuerFingerprint, surroundings),
    issued: () => store.list('issued'),
    reports: () => store.list('reports'),
    audit: audit.entries,
  }
  return lab
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
