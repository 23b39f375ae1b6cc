import { createHmac, createPublicKey, type KeyObject } from 'node:crypto'
import { fingerprintOf, nameDer, parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import type { PfxRequest } from '../../tenant/index.ts'
import { connectorAccount } from '../ca/accounts.ts'
import { isApple } from '../ca/templates.ts'
import { sha256Hex } from '../digest.ts'
import { type IssuanceOptions, type Settled, type Settlement, settle, transactionKey } from '../issuance.ts'
import type { CertificateGrant, IssuedRecord, Registration } from '../records.ts'
import type { MakeRsaKey } from '../rsa-keys.ts'
import { type Delivery, keyFor } from './open-deliveries.ts'
import type { Deliverable } from './wrap.ts'

export type PkcsRequest = Extract<PfxRequest, { readonly kind: 'pkcs' }>

/** The CA as a profile names it. */
export interface AuthorityName {
  /** FQDN of its host (S42). */
  readonly host: string
  /** Its logical name (S43). */
  readonly name: string
}

export interface PfxIssuanceOptions extends IssuanceOptions {
  readonly makeKey: MakeRsaKey
  /** Default: whatever a profile names is this CA. */
  readonly authorityName?: AuthorityName | undefined
  readonly userFor?: ((deviceId: string) => string | undefined) | undefined
}

/** `over`: the device has reported what it got by this attempt, or has begun another. */
export type NotIssued = Exclude<Settled, { readonly status: 'issued' }> | { readonly status: 'over' }

/**
 * Has the CA issue for one attempt, by the connector's account (S53). One attempt gets one key and one certificate, however often and however
 * many at once ask; the key is on record before the CA is asked. Over a certificate that has expired meanwhile another is issued.
 */
export async function issuePfx(
  request: PkcsRequest,
  attemptId: string,
  registration: Registration,
  options: PfxIssuanceOptions,
): Promise<Deliverable | NotIssued> {
  const foreign = otherAuthority(request, options)
  if (foreign !== undefined) return { status: 'refused', failInfo: 'badRequest', detail: foreign }
  const delivery = deliveryOf(request, attemptId, registration, options)
  const privateKey = await keyFor(delivery, options.store, options.makeKey)
  if (privateKey === 'over') return { status: 'over' }
  const settled = await settle(settlementOf(request, delivery, privateKey, registration, options), options)
  if (settled.status !== 'issued') return settled
  return { privateKey, certificates: [settled.certificate, ...issuersOf(settled.certificate, options)] }
}

function otherAuthority(request: PkcsRequest, { authorityName }: PfxIssuanceOptions): string | undefined {
  if (authorityName === undefined) return undefined
  const named = `${request.certificationAuthority}\\${request.certificationAuthorityName}`
  const own = `${authorityName.host}\\${authorityName.name}`
  return named.toLowerCase() === own.toLowerCase() ? undefined : `the profile names the CA "${named}", this one is "${own}"`
}

/** Nobody else can tell the transactionID, and so take it before. */
function deliveryOf(
  { profileId, principal, keyBits }: PkcsRequest,
  attemptId: string,
  { deviceId }: Registration,
  { authorities }: PfxIssuanceOptions,
): Delivery {
  const named = JSON.stringify(['pfx', deviceId, profileId, attemptId])
  const transactionId = createHmac('sha256', authorities.secret).update(named).digest('hex')
  return { deviceId, profileId, principal, attemptId, keyBits, transactionId }
}

function settlementOf(
  request: PkcsRequest,
  { transactionId, attemptId }: Delivery,
  privateKey: KeyObject,
  registration: Registration,
  { store, clock, userFor }: PfxIssuanceOptions,
): Settlement {
  const by = { template: request.certificateTemplateName, account: connectorAccount }
  const known = store.get('transactions', transactionKey(transactionId))
  const issued = known?.serialNumber === undefined ? undefined : (store.get('issued', known.serialNumber) as IssuedRecord)
  const hasExpired = issued !== undefined && parseCertificate(issued.certificate).notAfter < clock.now()
  if (known && !hasExpired) return { ...by, transaction: known }
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const userId = request.principal === 'user' ? userFor?.(registration.deviceId) : undefined
  const binding = { deviceId: registration.deviceId, profileId: request.profileId, attemptId, ...(userId !== undefined && { userId }) }
  const digest = sha256Hex(publicKey)
  const grant = { ...grantOf(request, registration), publicKey, binding }
  return { ...by, replaces: issued?.serialNumber, transaction: { transactionId, publicKeyDigest: digest, signerKeyDigest: digest, grant } }
}

function grantOf(request: PkcsRequest, { platform }: Registration): Omit<CertificateGrant, 'publicKey'> {
  const { subject, subjectAltNames, extendedKeyUsages, validity } = request
  // S47: the template says for what the key is. S51: iOS and macOS always get the template's lifetime.
  return { subject: nameDer(subject), subjectAltNames, keyUsages: [], extendedKeyUsages, ...(!isApple(platform) && { validity }) }
}

/** Of the CA that issued it, which a roll-over may have replaced meanwhile. */
function issuersOf(certificate: Uint8Array, { store, authorities }: PfxIssuanceOptions): readonly Uint8Array[] {
  const issuer = store.get('issued', serialNumberHex(parseCertificate(certificate)))?.issuer
  return authorities.sofar().flatMap(({ issuing }) => (fingerprintOf(issuing.certificate.raw) === issuer ? [issuing.certificate.raw] : []))
}
