import { AgentError, type Clock, type HttpResponse } from '@certfleet/agent-core'
import { type CertificateRequest, formatName, parseCsr, verifyCsr } from '@certfleet/agent-core/pki'
import { says, validationFacts } from '@certfleet/platforms'
import { z } from 'zod'
import type { Audit } from '../audit.ts'
import { type Authorization, authorizeChallenge } from '../authorization.ts'
import { type Challenges, type ChallengesOptions, noLongerBound, spend } from '../challenges.ts'
import { sha256Hex } from '../digest.ts'
import { json, type Route } from '../http.ts'
import type { Binding } from '../records.ts'
import type { LabStore, LabTransaction } from '../store.ts'
import type { ValidationCode } from '../validation.ts'
import { explanations } from './explanations.ts'
import type { ForeignCertificate, ForeignEnrollment, ForeignFailure } from './records.ts'
import { action, type ServiceOptions } from './service.ts'

export interface ScepActionsOptions extends Pick<ChallengesOptions, 'policyFor' | 'userFor'> {
  readonly store: LabStore
  readonly clock: Clock
  readonly audit: Audit
  readonly challenges: Challenges
  readonly legacySha1: boolean
  readonly allowBadCsrVersion: boolean
}

const maxRequestCharacters = 128 * 1024
const line = (max: number) => z.string().regex(new RegExp(`^[^\\p{Cc}]{1,${max}}$`, 'u'))
const hex = (max: number) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{1,${max}}$`, 'i'))
    .toLowerCase()
const asked = {
  transactionId: z.string().regex(/^[\x20-\x7e]{1,255}$/),
  certificateRequest: z.string().min(1).max(maxRequestCharacters),
  callerInfo: line(255),
}
const validationSchema = z.object({ request: z.object(asked) })
const successSchema = z.object({
  notification: z.object({
    ...asked,
    certificateThumbprint: hex(40).length(40),
    certificateSerialNumber: hex(64),
    certificateExpirationDateUtc: z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
    issuingCertificateAuthority: line(1024),
    caConfiguration: line(1024).nullish(),
    certificateAuthority: line(1024).nullish(),
  }),
})
const failureSchema = z.object({
  notification: z.object({ ...asked, hResult: z.int(), errorDescription: line(says(validationFacts.descriptionCharacters, {})) }),
})

type Asked = z.output<typeof validationSchema>['request']
type Success = z.output<typeof successSchema>['notification']
type Failure = z.output<typeof failureSchema>['notification']

/** ScepActions of the validation API (IRA): by them another's SCEP server asks whether it may issue, and tells what came of it. */
export function scepActions(service: ServiceOptions, options: ScepActionsOptions): Readonly<Record<string, Route>> {
  return {
    validateRequest: action(service, validationSchema, async ({ request }) => verdict(await validate(request, options))),
    successNotification: action(service, successSchema, async ({ notification }) =>
      verdict(await recordOutcome(notification, issued(notification, options), options)),
    ),
    failureNotification: action(service, failureSchema, async ({ notification }) =>
      verdict(await recordOutcome(notification, failed(notification, options), options)),
    ),
  }
}

function verdict(code: ValidationCode | undefined): HttpResponse {
  return json(
    200,
    code ? { code, errorDescription: explanations[code] } : { code: says(validationFacts.onlySuccess, {}), errorDescription: '' },
  )
}

/** Lets a request through for this transaction and key alone, from now on: the certificate counts once success was notified. */
async function validate(request: Asked, options: ScepActionsOptions): Promise<ValidationCode | undefined> {
  const { store, clock, audit } = options
  const { transactionId, callerInfo } = request
  const csr = readRequest(request, options)
  const authorization = authorizationFor(csr, options)
  return store.transaction((tx) => {
    const code = 'refused' in authorization ? authorization.refused : claim(tx, transactionId, csr as CertificateRequest, authorization)
    const binding = 'refused' in authorization ? authorization.binding : authorization.grant.binding
    audit.add(tx, { event: code ? 'refused' : 'validated', transactionId, ...named(binding), ...(code && { code }) })
    if (code || csr === undefined || binding === undefined) return code
    const key = sha256Hex(transactionId)
    const known = tx.get('foreignEnrollments', key)
    const [publicKeyDigest, subject] = [sha256Hex(csr.publicKey), formatName(csr.subject)]
    if (!known)
      tx.put('foreignEnrollments', key, { transactionId, publicKeyDigest, binding, subject, callerInfo, validatedAt: clock.now() })
    return undefined
  })
}

function authorizationFor(csr: CertificateRequest | undefined, options: ScepActionsOptions): Authorization {
  if (csr === undefined) return { refused: 'CertificateRequestDecodingFailed' }
  if (!csr.challenge) return { refused: 'ChallengePasswordMissing' }
  return authorizeChallenge(csr, csr.challenge, options)
}

function claim(
  tx: LabTransaction,
  transactionId: string,
  { publicKey }: CertificateRequest,
  { challengeId }: { readonly challengeId?: string },
): ValidationCode | undefined {
  const publicKeyDigest = sha256Hex(publicKey)
  const known = tx.get('foreignEnrollments', sha256Hex(transactionId))
  if (known && known.publicKeyDigest !== publicKeyDigest) return 'RegisteredKeyMismatch'
  const claimed = challengeId !== undefined && spend(tx, challengeId, { transactionId, publicKeyDigest, through: 'validation-api' })
  return claimed ? undefined : 'BadCertificateRequestIdInChallenge'
}

/** What was told of a transaction that was validated; telling it again changes nothing, and a certificate is never replaced. */
async function recordOutcome(
  notification: Asked,
  outcome: ForeignCertificate | ForeignFailure,
  options: ScepActionsOptions,
): Promise<ValidationCode | undefined> {
  const { store, audit } = options
  const { transactionId } = notification
  const key = sha256Hex(transactionId)
  const csr = readRequest(notification, options)
  const validated = store.get('foreignEnrollments', key)
  const unbound = outcome.status === 'issued' && validated ? noLongerBound(validated.binding, options) : undefined
  return store.transaction((tx) => {
    const known = tx.get('foreignEnrollments', key)
    const code = objection(known, csr, outcome) ?? unbound
    const told = outcome.status === 'issued' ? { serialNumber: outcome.serialNumber } : { detail: `hResult ${outcome.hResult}` }
    const event = code ? 'refused' : outcome.status === 'issued' ? 'issued-elsewhere' : 'failed-elsewhere'
    audit.add(tx, { event, transactionId, ...named(known?.binding), ...told, ...(code && { code }) })
    if (!code && known && known.outcome?.status !== 'issued') tx.put('foreignEnrollments', key, { ...known, outcome })
    return code
  })
}

function objection(
  known: ForeignEnrollment | undefined,
  csr: CertificateRequest | undefined,
  outcome: ForeignCertificate | ForeignFailure,
): ValidationCode | undefined {
  if (csr === undefined) return 'CertificateRequestDecodingFailed'
  if (known === undefined) return 'BadCertificateRequestIdInChallenge'
  if (known.publicKeyDigest !== sha256Hex(csr.publicKey)) return 'RegisteredKeyMismatch'
  const present = known.outcome
  if (present?.status !== 'issued') return undefined
  const isSame = outcome.status === 'issued' && outcome.thumbprint === present.thumbprint && outcome.serialNumber === present.serialNumber
  return isSame ? undefined : 'BadCertificateRequestIdInChallenge'
}

function issued(notification: Success, { clock }: ScepActionsOptions): ForeignCertificate {
  const { caConfiguration, certificateAuthority } = notification
  return {
    status: 'issued',
    thumbprint: notification.certificateThumbprint,
    serialNumber: notification.certificateSerialNumber,
    notAfter: notification.certificateExpirationDateUtc,
    issuerName: notification.issuingCertificateAuthority,
    ...(caConfiguration && { caConfiguration }),
    ...(certificateAuthority && { certificateAuthority }),
    at: clock.now(),
  }
}

function failed({ hResult, errorDescription }: Failure, { clock }: ScepActionsOptions): ForeignFailure {
  return { status: 'failed', hResult, errorDescription, at: clock.now() }
}

/** Base64, broken into lines or not, of a PKCS#10 request that the key in it has signed. */
function readRequest({ certificateRequest }: Asked, options: ScepActionsOptions): CertificateRequest | undefined {
  const text = certificateRequest.replace(/[\r\n]/g, '')
  const der = Buffer.from(text, 'base64')
  if (der.toString('base64') !== text) return undefined
  try {
    const csr = parseCsr(der, { allowBadVersion: options.allowBadCsrVersion })
    verifyCsr(csr, options)
    return csr
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

function named(binding: Binding | undefined): { deviceId?: string; profileId?: string } {
  return binding ? { deviceId: binding.deviceId, profileId: binding.profileId } : {}
}
