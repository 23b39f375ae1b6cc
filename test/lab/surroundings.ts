import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HttpResponse, KeyHandle, PolicyDocument, SubjectAltName } from '@certfleet/agent-core'
import { createCsr, type KeyUsageBit, PurposeOid } from '@certfleet/agent-core/pki'
import {
  buildPkiRequest,
  buildRequestSigner,
  type CaCertificates,
  type CertRep,
  parseCaCertificates,
  parseCertRep,
  transactionIdFor,
} from '@certfleet/agent-core/scep/messages'
import { createLab, type Lab, type LabOptions, type LabStore, memoryLabStore } from '@certfleet/emulator/lab'
import type { Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'

export const start = Date.UTC(2026, 5, 1, 12)
export const registrationToken = 'registration-token-canary'
export const scepUrl = 'http://lab.example/certsrv/mscep/mscep.dll'

type Profile = PolicyDocument['scepProfiles'][number]

export const wifi: Profile = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  assignedTo: ['device'],
  scepUrls: [scepUrl],
  rootProfileId: 'root',
  renewalThresholdPercent: 20,
  subject: 'CN=device-1,O=Example',
  subjectAltNames: [
    { type: 'dns', value: 'device-1.example' },
    { type: 'upn', value: 'ada@example' },
  ],
  keyBits: 2048,
  keyStorage: 'useSoftwareKsp',
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  extendedKeyUsages: [PurposeOid.ClientAuth],
  validity: { value: 30, scale: 'days' },
}

export const policyWith = (...scepProfiles: Profile[]): PolicyDocument => ({
  schemaVersion: 1,
  revision: 1,
  deviceId: 'device-1',
  trustedRoots: [],
  scepProfiles,
  failedProfiles: [],
})

export interface TestLab {
  readonly lab: Lab
  readonly clock: FakeClock
  readonly store: LabStore
  /** What each device is to get; change it at will. */
  readonly policies: Map<string, PolicyDocument>
}

const made = memoryLabStore()

/** A lab whose CA is made once a test file: four RSA keys are too dear for each test. */
export async function startLab({ store = memoryLabStore(), ...options }: Partial<LabOptions> = {}): Promise<TestLab> {
  const clock = new FakeClock(start)
  const policies = new Map([['device-1', policyWith(wifi)]])
  const all = { clock, policyFor: (deviceId: string) => policies.get(deviceId), registrationToken, ...options }
  if (made.get('authority', 'lab') === undefined) await createLab({ ...all, store: made })
  const authority = made.get('authority', 'lab')
  if (authority && store.get('authority', 'lab') === undefined) await store.transaction((tx) => tx.put('authority', 'lab', authority))
  return { lab: await createLab({ ...all, store }), clock, store, policies }
}

export const jsonOf = (response: HttpResponse) => JSON.parse(Buffer.from(response.body).toString() || 'null')

export function post(lab: Lab, path: string, body: unknown, credential?: string): Promise<HttpResponse> {
  const headers: Record<string, string> = credential === undefined ? {} : { authorization: `Bearer ${credential}` }
  return lab.handle({ method: 'POST', url: path, headers, body: Buffer.from(JSON.stringify(body)) })
}

export async function register(lab: Lab, deviceId = 'device-1', platform = 'windows'): Promise<string> {
  const response = await post(lab, '/device/register', { registrationToken, deviceId, platform, osVersion: '11' })
  return jsonOf(response).credential
}

export async function challengeFor(lab: Lab, credential: string, attemptId = 'attempt-1', profileId = 'wifi'): Promise<string> {
  return jsonOf(await post(lab, '/device/challenge', { profileId, attemptId }, credential)).challenge
}

export interface Asked {
  readonly key: KeyHandle
  readonly challenge?: string | undefined
  readonly subject?: string
  readonly subjectAltNames?: readonly SubjectAltName[]
  readonly keyUsages?: readonly KeyUsageBit[]
  readonly extendedKeyUsages?: readonly string[]
}

/** As the profile `wifi` wants it, but for what is said otherwise. */
export function csrFor({ key, challenge, ...other }: Asked): Promise<Uint8Array> {
  const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = wifi
  return createCsr({
    subject,
    subjectAltNames,
    keyUsages,
    extendedKeyUsages,
    key,
    hash: 'sha256',
    ...(challenge !== undefined && { challenge }),
    ...other,
  })
}

export async function caOf(lab: Lab): Promise<CaCertificates> {
  return parseCaCertificates((await lab.handle({ method: 'GET', url: `${scepUrl}?operation=GetCACert`, headers: {} })).body)
}

export type MessageOptions = Partial<Parameters<typeof buildPkiRequest>[0]> & { readonly key: KeyHandle; readonly content: Uint8Array }

/** A message and what is needed to read its answer; a PKCSReq signed by its own key unless said otherwise. */
export async function messageFor(lab: Lab, { key, ...options }: MessageOptions) {
  const ca = await caOf(lab)
  const signer = options.signer ?? (await buildRequestSigner({ subject: wifi.subject, key, hash: 'sha256', at: start }))
  const transactionId = options.transactionId ?? transactionIdFor(key.publicKey)
  const { message, senderNonce } = await buildPkiRequest({
    messageType: 'PKCSReq',
    recipient: ca.recipient,
    hash: 'sha256',
    cipher: 'aes-128-cbc',
    ...options,
    signer,
    transactionId,
  })
  return {
    message,
    read: (body: Uint8Array) => parseCertRep(body, { signers: ca.signers.slice(0, 1), transactionId, senderNonce, recipient: signer }),
  }
}

export function sendMessage(lab: Lab, message: Uint8Array): Promise<HttpResponse> {
  return lab.handle({ method: 'POST', url: `${scepUrl}?operation=PKIOperation`, headers: {}, body: message })
}

export async function exchange(lab: Lab, options: MessageOptions): Promise<CertRep> {
  const { message, read } = await messageFor(lab, options)
  return read((await sendMessage(lab, message)).body)
}

/** One PKCSReq; the certificate, or what the CertRep says instead. */
export async function enroll(lab: Lab, asked: Asked, options: Partial<MessageOptions> = {}): Promise<Uint8Array | string> {
  const reply = await exchange(lab, { key: asked.key, content: await csrFor(asked), ...options })
  if (reply.status === 'success') return reply.certificates[0] as Uint8Array
  return reply.status === 'failure' ? reply.failInfo : reply.status
}

export async function enrolled(lab: Lab, asked: Asked, options: Partial<MessageOptions> = {}): Promise<Uint8Array> {
  const answer = await enroll(lab, asked, options)
  if (typeof answer === 'string') throw new Error(`not enrolled: ${answer}; ${lab.audit().at(-1)?.code} ${lab.audit().at(-1)?.detail}`)
  return answer
}

export function pem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** `openssl verify` against the lab's root, at a moment. */
export function opensslVerify(t: Test, lab: Lab, certificate: Uint8Array, at: number): string {
  const folder = t.testdir({ 'leaf.pem': '', 'root.pem': '', 'issuing.pem': '' })
  const file = (name: string, der: Uint8Array) => {
    writeFileSync(join(folder, name), pem(der))
    return join(folder, name)
  }
  const attime = ['-attime', String(Math.floor(at / 1000))]
  const trust = ['-CAfile', file('root.pem', lab.rootCertificate), '-untrusted', file('issuing.pem', lab.issuingCertificate)]
  return execFileSync('openssl', ['verify', '-x509_strict', ...attime, ...trust, file('leaf.pem', certificate)], { encoding: 'utf8' })
}

export function opensslText(certificate: Uint8Array): string {
  return execFileSync('openssl', ['x509', '-inform', 'DER', '-noout', '-text'], { input: certificate, encoding: 'utf8' })
}
