import type { Clock } from '@certfleet/agent-core'
import { type CertificateRequest, fingerprintOf, nameDer, readSubjectAltNames, sameName, serialNumberHex } from '@certfleet/agent-core/pki'
import type { PkiRequest } from '@certfleet/agent-core/scep/messages'
import { type FactOverrides, parseOs, treatmentOf } from '@certfleet/platforms'
import { isApple } from './ca/templates.ts'
import type { Challenges } from './challenges.ts'
import { sameSecret } from './digest.ts'
import { type Expectations, expectedRequests } from './expected-requests.ts'
import type { Binding, CertificateGrant, ExpectedRequest, IssuedRecord } from './records.ts'
import type { LabStore } from './store.ts'
import { checkAgainstTemplate, compareRequest, type ValidationCode } from './validation.ts'

export interface AuthorizationOptions extends Expectations {
  readonly store: LabStore
  readonly clock: Clock
  readonly challenges: Challenges
  readonly staticChallenge?: string | undefined
  readonly overrides?: FactOverrides | undefined
}

/** A request may have what is granted, or why not. `challengeId`: the challenge that this spends. */
export type Authorization =
  | { readonly grant: CertificateGrant; readonly challengeId?: string }
  | { readonly refused: ValidationCode; readonly binding?: Binding }

/**
 * Decides what a request may have: by its challenge, static or bound; without one, by the certificate of this CA that signed it.
 * Behind a bound challenge and in the renewal of what came of one stands the profile, and the certificate is made from that.
 */
export function authorize(request: PkiRequest, csr: CertificateRequest, options: AuthorizationOptions): Authorization {
  const { staticChallenge, store } = options
  const { challenge } = csr
  if (!challenge) return authorizeRenewal(request, csr, options)
  if (staticChallenge !== undefined && sameSecret(challenge, staticChallenge)) return grantByTemplate(csr)
  const authorization = authorizeChallenge(csr, challenge, options)
  const signedBy = issuedAs(request, store)?.deviceId
  if ('refused' in authorization || signedBy === undefined || signedBy === authorization.grant.binding?.deviceId) return authorization
  return { refused: 'BadDeviceIdInChallenge', ...(authorization.grant.binding && { binding: authorization.grant.binding }) }
}

/** What a request may have by a challenge of the lab's own. */
export function authorizeChallenge(
  csr: CertificateRequest,
  challenge: string,
  options: Pick<AuthorizationOptions, 'challenges' | 'store' | 'overrides'>,
): Authorization {
  const contents = options.challenges.read(challenge)
  if ('refused' in contents) return contents
  const { id: challengeId, binding, expected } = contents
  const grant = grantAsExpected(csr, expected, binding, options)
  return 'refused' in grant ? grant : { ...grant, challengeId }
}

/** RFC 8894 3.3.1.2: signed by a current certificate of this CA, for the same subject. */
function authorizeRenewal(request: PkiRequest, csr: CertificateRequest, options: AuthorizationOptions): Authorization {
  const { signer } = request
  const current = issuedAs(request, options.store)
  if (current === undefined)
    return { refused: request.messageType === 'RenewalReq' ? 'SigningCertThumbprintMismatch' : 'ChallengePasswordMissing' }
  const { deviceId, profileId } = current
  const binding = deviceId !== undefined && profileId !== undefined ? { deviceId, profileId } : undefined
  const refuse = (refused: ValidationCode): Authorization => ({ refused, ...(binding && { binding }) })
  const now = options.clock.now()
  if (now < signer.notBefore || now > signer.notAfter) return refuse('SigningCertThumbprintMismatch')
  if (!sameName(csr.subject, signer.subject)) return refuse('SubjectNameMismatch')
  if (binding) {
    const expected = expectedRequests(binding.deviceId, binding.profileId, options)
    return expected.length === 0 ? refuse('ScepProfileNoLongerTargetedToTheClient') : grantAsExpected(csr, expected, binding, options)
  }
  const names = (of: Parameters<typeof readSubjectAltNames>[0]) =>
    JSON.stringify(
      readSubjectAltNames(of)
        .map(({ type, value }) => `${type}:${value}`)
        .sort(),
    )
  return names(csr) === names(signer) ? grantByTemplate(csr) : refuse('SubjectAltNameMismatch')
}

/** The record of the very certificate that signed the request, if this CA issued it, now or before a roll-over, and has not revoked it. */
export function issuedAs({ signer }: PkiRequest, store: LabStore): IssuedRecord | undefined {
  const serialNumber = serialNumberHex(signer)
  const record = store.get('issued', serialNumber)
  return record?.fingerprint === fingerprintOf(signer.raw) && !store.get('revocations', serialNumber) ? record : undefined
}

function grantAsExpected(
  csr: CertificateRequest,
  expected: readonly ExpectedRequest[],
  binding: Binding,
  { store, overrides }: Pick<AuthorizationOptions, 'store' | 'overrides'>,
): Authorization {
  const apple = isApple(store.get('registrations', binding.deviceId)?.platform ?? '')
  const purposesImplied = apple && treatmentOf('extendedKeyUsages', parseOs('ios', '0', overrides)) !== 'honoured'
  const verdicts = expected.map((row) => ({ row, code: compareRequest(csr, row, purposesImplied) }))
  const match = verdicts.find(({ code }) => code === undefined)?.row
  const [first] = verdicts
  if (match === undefined) return { refused: first?.code ?? 'ScepProfileNoLongerTargetedToTheClient', binding }
  const { subject, subjectAltNames, keyUsages, extendedKeyUsages, validity } = match
  return {
    grant: {
      subject: nameDer(subject),
      publicKey: csr.publicKey,
      subjectAltNames,
      keyUsages,
      extendedKeyUsages,
      // S51: iOS and macOS always get the template's lifetime.
      ...(!apple && { validity }),
      binding,
    },
  }
}

function grantByTemplate(csr: CertificateRequest): Authorization {
  const refused = checkAgainstTemplate(csr)
  if (refused) return { refused }
  const { subject, publicKey, keyUsages } = csr
  const usages = (['digitalSignature', 'keyEncipherment'] as const).filter((usage) => keyUsages.includes(usage))
  return { grant: { subject, publicKey, subjectAltNames: readSubjectAltNames(csr), keyUsages: usages, extendedKeyUsages: [] } }
}
