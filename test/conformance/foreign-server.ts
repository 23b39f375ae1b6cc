import { type Clock, type HttpRequest, type HttpResponse, handlerTransport } from '@certfleet/agent-core'
import { buildSignedData, CmsOid, type CmsSigner, openSignedData, type SignedMessage } from '@certfleet/agent-core/cms'
import { printableString } from '@certfleet/agent-core/der'
import {
  authorityKeyIdentifierExtension,
  buildCertificate,
  type CertificateContents,
  type CertificateRequest,
  extendedKeyUsageExtension,
  keyIdentifierOf,
  keyUsageExtension,
  PurposeOid,
  readSubjectAltNames,
  subjectAltNameExtension,
} from '@certfleet/agent-core/pki'
import { buildCertRep, openPkiRequest, type PkiRequest, verifyPkiRequest } from '@certfleet/agent-core/scep/messages'
import { createLab, type Lab, type LabOptions } from '@certfleet/emulator/lab'
import type { ServerTarget } from '@certfleet/platforms/conformance'
import { movableClock } from '#emulator/conformance/clock.ts'
import { writtenChallenges } from '#emulator/conformance/index.ts'
import { type Authority, openAuthorities } from '#emulator/lab/authority.ts'
import { labStore } from '../fakes/lab-store.ts'

export const challenge = 'open-sesame-17'
export const url = 'https://scep.invalid/certsrv/mscep/mscep.dll'
const dayMs = 86_400_000
const startAt = Date.UTC(2026, 0, 15, 12)

export interface World {
  readonly lab: Lab
  readonly authority: Authority
  readonly clock: Clock
}

/** What stands between the run and the lab. */
export type Break = (request: HttpRequest, next: (request: HttpRequest) => Promise<HttpResponse>, world: World) => Promise<HttpResponse>

/** A lab that is somebody's SCEP server, with one thing wrong. */
export async function foreignServer(
  breaks: Break | undefined,
  options: Partial<LabOptions> = {},
): Promise<{ target: ServerTarget; world: World }> {
  const clock = movableClock(startAt)
  const store = await labStore(clock)
  const lab = await createLab({
    store,
    clock,
    policyFor: () => undefined,
    registrationToken: 'token',
    staticChallenge: challenge,
    ...options,
  })
  const authority = (await openAuthorities(store, clock, 2048)).present()
  const world = { lab, authority, clock }
  const transport = handlerTransport((request) => (breaks ? breaks(request, lab.handle, world) : lab.handle(request)))
  return {
    world,
    target: { url, transport, clock, trust: { root: lab.rootCertificate }, challenges: writtenChallenges([challenge]), parallel: 3 },
  }
}

export const operationOf = (request: HttpRequest): string => new URL(request.url).searchParams.get('operation') ?? ''

export function messageOf({ body, url: asked }: HttpRequest): Uint8Array {
  return body ?? Buffer.from(new URL(asked).searchParams.get('message') ?? '', 'base64')
}

export const empty = (status: number): HttpResponse => ({ status, headers: {}, body: new Uint8Array() })

/** Another answer to one operation. */
export const on =
  (
    operation: string,
    change: (response: HttpResponse, request: HttpRequest, world: World) => HttpResponse | Promise<HttpResponse>,
  ): Break =>
  async (request, next, world) => {
    const response = await next(request)
    return operationOf(request) === operation ? change(response, request, world) : response
  }

export const typed = (type: string) => (response: HttpResponse) => ({ ...response, headers: { 'content-type': type } })

/** GetCACaps without these words. */
export const without = (...words: string[]): Break =>
  on('GetCACaps', (response) => {
    const left = Buffer.from(response.body)
      .toString()
      .split('\n')
      .filter((word) => !words.includes(word))
    return { ...response, body: Buffer.from(left.join('\n')) }
  })

export interface Asked {
  readonly request: PkiRequest
  readonly reply: SignedMessage
  /** As on the wire: 0 success, 2 failure, 3 pending. */
  readonly status: string
  readonly response: HttpResponse
  readonly world: World
}

/** Another answer to PKIOperation messages of a type, where the lab answers with a CertRep. */
export const onMessage = (
  messageType: PkiRequest['messageType'],
  status: string,
  change: (asked: Asked) => HttpResponse | Uint8Array | Promise<HttpResponse | Uint8Array>,
): Break =>
  on('PKIOperation', async (response, http, world) => {
    const request = readable(http)
    if (response.status !== 200 || request?.messageType !== messageType) return response
    const reply = openSignedData(response.body, { signers: 'enclosed' })
    if (textIn(reply, Oid.pkiStatus) !== status) return response
    const changed = await change({ request, reply, status, response, world })
    return changed instanceof Uint8Array ? { ...response, body: changed } : changed
  })

export function readable(request: HttpRequest): PkiRequest | undefined {
  try {
    return verifyPkiRequest(messageOf(request), { legacySha1: true })
  } catch {
    return undefined
  }
}

export const Oid = {
  messageType: '2.16.840.1.113733.1.9.2',
  pkiStatus: '2.16.840.1.113733.1.9.3',
  failInfo: '2.16.840.1.113733.1.9.4',
  senderNonce: '2.16.840.1.113733.1.9.5',
  recipientNonce: '2.16.840.1.113733.1.9.6',
  transactionId: '2.16.840.1.113733.1.9.7',
} as const

export const textIn = (reply: SignedMessage, oid: string): string => Buffer.from(reply.attributes.get(oid)?.[0]?.value ?? []).toString()

export interface Resigned {
  /** By OID; undefined leaves one out. */
  readonly attributes?: Readonly<Record<string, Uint8Array | undefined>>
  readonly signer?: CmsSigner
  readonly hash?: 'sha1'
  readonly content?: Uint8Array
}

/** The reply once more, with something else in it and a good signature. */
export function resigned({ reply, world }: Pick<Asked, 'reply' | 'world'>, changed: Resigned): Promise<Uint8Array> {
  const { signer = world.authority.signing, hash = reply.hash, content = reply.content } = changed
  const present = [...reply.attributes].filter(([oid]) => oid !== CmsOid.ContentType && oid !== CmsOid.MessageDigest)
  const attributes = present.flatMap(([oid, [value]]) => {
    const other = changed.attributes && oid in changed.attributes ? changed.attributes[oid] : value?.raw
    return other === undefined ? [] : [{ oid, value: other }]
  })
  const added = Object.entries(changed.attributes ?? {}).flatMap(([oid, value]) =>
    reply.attributes.has(oid) || !value ? [] : [{ oid, value }],
  )
  return buildSignedData({ content, signer, hash, attributes: [...attributes, ...added], certificates: [signer.certificate.raw] })
}

export const failing = (failInfo: '2' | '4') => ({ [Oid.pkiStatus]: printableString('2'), [Oid.failInfo]: printableString(failInfo) })

/** A certificate of the lab's CA that the lab knows nothing of. */
export async function issue(
  { request, world }: Pick<Asked, 'request' | 'world'>,
  other: Partial<CertificateContents> = {},
): Promise<Uint8Array> {
  const { authority, clock } = world
  const csr = await csrOf(request, world)
  return buildCertificate({
    serialNumber: Uint8Array.of(0x11, ...Buffer.from(request.transactionId.slice(0, 16), 'hex')),
    issuer: authority.issuing.certificate.subject,
    subject: csr.subject,
    publicKey: csr.publicKey,
    notBefore: clock.now() - dayMs,
    notAfter: clock.now() + 30 * dayMs,
    extensions: [
      subjectAltNameExtension(readSubjectAltNames(csr), false),
      keyUsageExtension(['digitalSignature', 'keyEncipherment']),
      extendedKeyUsageExtension([PurposeOid.ClientAuth]),
      authorityKeyIdentifierExtension(keyIdentifierOf(authority.issuing.certificate.publicKey)),
    ],
    signer: authority.issuing.key,
    hash: 'sha256',
    ...other,
  })
}

export async function csrOf(request: PkiRequest, { authority }: World): Promise<CertificateRequest> {
  const opened = await openPkiRequest(request, { recipients: [authority.encryption], legacyDes: true, legacySha1: true })
  if (!('csr' in opened)) throw new Error(`a ${request.messageType} has no CSR`)
  return opened.csr
}

/** SUCCESS with these certificates. */
export function granting({ request, world }: Pick<Asked, 'request' | 'world'>, certificates: readonly Uint8Array[]): Promise<Uint8Array> {
  const answer = { status: 'success', cipher: 'aes-128-cbc', certificates, crls: [] } as const
  return buildCertRep({ request, answer, signer: world.authority.signing, hash: 'sha256' })
}

/** SUCCESS for a message that cannot be read. */
export function grantingBlindly({ authority }: World): Promise<Uint8Array> {
  const request = { transactionId: 'ANY', senderNonce: new Uint8Array(16), signer: authority.signing.certificate }
  return granting({ request: request as unknown as PkiRequest, world: { authority } as World }, [authority.root.raw])
}
