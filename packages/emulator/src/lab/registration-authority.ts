import { AgentError } from '@certfleet/agent-core'
import { type CertificateRequest, importPublicKey, publicKeyOf, sameName } from '@certfleet/agent-core/pki'
import {
  buildCertRep,
  type CertRepAnswer,
  type FailInfo,
  type OpenedRequest,
  openPkiRequest,
  type PkiRequest,
  verifyPkiRequest,
} from '@certfleet/agent-core/scep/messages'
import { isOff, ndesFacts } from '@certfleet/platforms'
import type { Authority } from './authority.ts'
import { type Authorization, type AuthorizationOptions, authorize, issuedAs } from './authorization.ts'
import { ndesAccount } from './ca/accounts.ts'
import { sha256Hex } from './digest.ts'
import { hresultOf } from './hresult.ts'
import { answerInquiry, type InquiryAnswer } from './inquiry.ts'
import { type IssuanceOptions, type Settled, settle, transactionKey } from './issuance.ts'
import type { OneTimePasswords } from './ndes/passwords.ts'
import type { NdesRegistry } from './ndes/records.ts'
import { templateFor } from './ndes/registry.ts'
import type { AuditEntry, EnrollmentTransaction } from './records.ts'
import { readUnverifiedRequest } from './unverified-request.ts'

export interface RegistrationAuthorityOptions extends IssuanceOptions, AuthorizationOptions {
  readonly legacyDes: boolean
  readonly legacySha1: boolean
  /** Take CSRs whose version is not 0. */
  readonly allowBadCsrVersion: boolean
  /** Write failures as NDES does. */
  readonly ndesFailures: boolean
  /** Default: there are none. */
  readonly oneTimePasswords?: OneTimePasswords | undefined
  /** As NDES goes by it now. */
  readonly registry: () => NdesRegistry
}

type Enrolling = Extract<OpenedRequest, { messageType: 'PKCSReq' | 'RenewalReq' }>
type Polling = Extract<OpenedRequest, { messageType: 'CertPoll' }>
type Refusal = { readonly status: 'refused'; readonly failInfo: FailInfo; readonly hresult?: number } & Pick<
  AuditEntry,
  'code' | 'detail' | 'deviceId' | 'profileId'
>

/**
 * Answers a PKIOperation with a CertRep, as NDES's RA does: verify, decrypt, judge, and only then look anything up.
 * Whatever was wrong with signature or encryption is one and the same badMessageCheck; an algorithm that is refused is badAlg;
 * the rest is badRequest, and why is in the audit alone. Undefined: no message that could be answered.
 */
export async function answerPkiOperation(message: Uint8Array, options: RegistrationAuthorityOptions): Promise<Uint8Array | undefined> {
  const request = attempt(() => verifyPkiRequest(message, options))
  if (request instanceof AgentError) return answerUnverified(message, request, options)
  const { opened, authority } = await open(request, options)
  if (opened instanceof AgentError) return certRep(request, await refuse(request, cryptoRefusal(opened), options), authority)
  const settled = await judge(request, opened, options)
  return certRep(request, settled.status === 'refused' ? await refuse(request, settled, options) : answerOf(settled, opened), authority)
}

/** By the CA that it was encrypted to, which answers too: who asked just before a roll-over knows no other. */
async function open(
  request: PkiRequest,
  options: RegistrationAuthorityOptions,
): Promise<{ opened: OpenedRequest | AgentError; authority: Authority }> {
  const { authorities, legacyDes, legacySha1, allowBadCsrVersion: allowBadVersion } = options
  const attempts: { opened: OpenedRequest | AgentError; authority: Authority }[] = []
  for (const authority of authorities.sofar()) {
    const rules = { recipients: [authority.encryption], legacyDes, legacySha1, allowBadVersion }
    const opened = await openPkiRequest(request, rules).catch(foreseen)
    if (!(opened instanceof AgentError && opened.code === 'ERR_CMS_DECRYPT')) return { opened, authority }
    attempts.push({ opened, authority })
  }
  return attempts[0] as (typeof attempts)[number]
}

async function answerUnverified(
  message: Uint8Array,
  error: AgentError,
  options: RegistrationAuthorityOptions,
): Promise<Uint8Array | undefined> {
  const header = readUnverifiedRequest(message)
  if (header === undefined) return undefined
  // A failure is encrypted to nobody, so that whose certificate stands here does not matter.
  const authority = options.authorities.present()
  const request = { ...header, signer: authority.signing.certificate }
  return certRep(request, await refuse(header, cryptoRefusal(error), options), authority)
}

/** Below it the answer's key does not fit into the signer's. */
const minSignerKeyBits = 1024

type Verdict = Settled | InquiryAnswer | Refusal

async function judge(request: PkiRequest, opened: OpenedRequest, options: RegistrationAuthorityOptions): Promise<Verdict> {
  const { asymmetricKeyType, asymmetricKeyDetails } = publicKeyOf(request.signer)
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < minSignerKeyBits) {
    return { status: 'refused', failInfo: 'badAlg', detail: 'the answer cannot be encrypted to the key of the signer' }
  }
  if (!/^[\x20-\x7e]+$/.test(request.transactionId))
    return { status: 'refused', failInfo: 'badRequest', detail: 'its transactionID is not ASCII' }
  if (opened.messageType === 'CertPoll') return poll(request, opened, options)
  return 'csr' in opened ? enroll(request, opened, options) : answerInquiry(request, opened, options)
}

async function enroll(request: PkiRequest, { csr }: Enrolling, options: RegistrationAuthorityOptions): Promise<Settled | Refusal> {
  const { transactionId, signer } = request
  const publicKeyDigest = sha256Hex(csr.publicKey)
  const current = issuedAs(request, options.store)
  // Else an envelope that was overheard could be sent again under another signature, and spend its challenge. A key that cannot
  // decrypt (EC) has to be stood in for: there the challenge alone vouches, or the certificate to be renewed.
  if (!current && importPublicKey(csr.publicKey).asymmetricKeyType === 'rsa' && Buffer.compare(signer.publicKey, csr.publicKey) !== 0) {
    return {
      status: 'refused',
      failInfo: 'badRequest',
      code: 'RegisteredKeyMismatch',
      detail: 'it is signed neither by the requested key nor by a certificate in force',
    }
  }
  const known = options.store.get('transactions', transactionKey(transactionId))
  if (known && known.publicKeyDigest !== publicKeyDigest) {
    return {
      status: 'refused',
      failInfo: 'badRequest',
      code: 'RegisteredKeyMismatch',
      detail: 'its transactionID is in use for another key',
    }
  }
  // A renewal that keeps its key has the transactionID of the certificate that it is signed with.
  const replaces = current && known?.serialNumber === current.serialNumber ? current.serialNumber : undefined
  if (known && replaces === undefined) return settle(forNdes(known, options), options)
  const { authorization, passwordId } = authorizeByPassword(request, csr, options)
  if ('refused' in authorization) {
    const { refused: code, binding } = authorization
    return { status: 'refused', failInfo: 'badRequest', code, ...(binding && { deviceId: binding.deviceId, profileId: binding.profileId }) }
  }
  const { grant, challengeId = passwordId } = authorization
  const signerKeyDigest = sha256Hex(signer.publicKey)
  const transaction = { transactionId, publicKeyDigest, signerKeyDigest, grant }
  return settle({ ...forNdes(transaction, options), challengeId, replaces }, options)
}

/** A password of `mscep_admin` lets a request through as a static challenge does. */
function authorizeByPassword(
  request: PkiRequest,
  csr: CertificateRequest,
  options: RegistrationAuthorityOptions,
): { authorization: Authorization; passwordId?: string | undefined } {
  const { challenge } = csr
  const password = challenge ? options.oneTimePasswords?.read(challenge) : undefined
  if (password === undefined) return { authorization: authorize(request, csr, options) }
  return { authorization: authorize(request, csr, { ...options, staticChallenge: challenge }), passwordId: password.id }
}

/** A grant has the key usages of its request, and these name the template. */
function forNdes(transaction: EnrollmentTransaction, { registry }: RegistrationAuthorityOptions) {
  return { transaction, template: templateFor(transaction.grant.keyUsages, registry()), account: ndesAccount }
}

/** RFC 8894 3.3.3: by the same transactionID, for the same subject, signed by the requested key or by who signed the request. */
async function poll(request: PkiRequest, { subject }: Polling, options: RegistrationAuthorityOptions): Promise<Settled | Refusal> {
  const known = options.store.get('transactions', transactionKey(request.transactionId))
  const signerKeyDigest = sha256Hex(request.signer.publicKey)
  const mayAsk = known && (signerKeyDigest === known.publicKeyDigest || signerKeyDigest === known.signerKeyDigest)
  if (!mayAsk || !sameName(subject, known.grant.subject)) {
    return { status: 'refused', failInfo: 'badCertId', detail: 'no such transaction of this signer and subject' }
  }
  return settle(forNdes(known, options), options)
}

function cryptoRefusal(error: AgentError): Refusal {
  const failInfo = error.code === 'ERR_ALGORITHM_REFUSED' ? 'badAlg' : 'badMessageCheck'
  return { status: 'refused', failInfo, code: 'CertificateRequestDecodingFailed', detail: `${error.code}: ${error.message}` }
}

/** Enters the refusal in the audit, where the reason stays. */
async function refuse(
  { transactionId }: Pick<PkiRequest, 'transactionId'>,
  { status: _, hresult, ...why }: Refusal,
  { store, audit, ndesFailures, overrides }: RegistrationAuthorityOptions,
): Promise<CertRepAnswer> {
  await store.transaction((tx) => audit.add(tx, { event: 'refused', transactionId, ...why, ...(hresult !== undefined && { hresult }) }))
  const { failInfo, code } = why
  const likeNdes = ndesFailures && !isOff(ndesFacts.failure, { overrides })
  return { status: 'failure', failInfo, ...(likeNdes && { ndesHresult: hresult ?? hresultOf(failInfo, code, overrides) }) }
}

function answerOf(settled: Exclude<Verdict, { status: 'refused' }>, { cipher }: OpenedRequest): CertRepAnswer {
  if (settled.status === 'pending') return settled
  if (settled.status === 'listed') return { status: 'success', cipher, certificates: [], crls: [settled.crl] }
  // The leaf alone: many clients take the first certificate of what is a set.
  return { status: 'success', cipher, certificates: [settled.certificate], crls: [] }
}

/** In the request's digest; SHA-1 is read by its switch, and never written. */
function certRep(
  request: Pick<PkiRequest, 'transactionId' | 'senderNonce' | 'signer'> & { readonly hash?: PkiRequest['hash'] },
  answer: CertRepAnswer,
  authority: Authority,
): Promise<Uint8Array> {
  const { hash = 'sha256' } = request
  return buildCertRep({ request, answer, signer: authority.signing, hash: hash === 'sha1' ? 'sha256' : hash })
}

function attempt<T>(parse: () => T): T | AgentError {
  try {
    return parse()
  } catch (error) {
    return foreseen(error)
  }
}

function foreseen(error: unknown): AgentError {
  if (error instanceof AgentError) return error
  throw error
}
