import type { KeyObject } from 'node:crypto'
import { cp } from 'node:fs/promises'
import {
  AgentError,
  createCsr,
  httpTransport,
  memoryPolicyCache,
  policyService,
  type ScepHabits,
  scepProtocol,
  softwareKeyHandle,
  systemClock,
  systemJitter,
  type Transport,
} from '@certfleet/agent-core'
import { fingerprintOf, parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { transactionIdFor } from '@certfleet/agent-core/scep/messages'
import { createLab, type Lab, lmdbLabStore } from '@certfleet/emulator/lab'
import { policyDocument } from '../fakes/policy-document.ts'
import { registrationToken } from './kill-process.ts'
import { jsonOf, post } from './surroundings.ts'

const habits: ScepHabits = {
  order: 'caps-first',
  urlSuffix: '',
  userAgent: 'certfleet-test',
  signerSubject: 'csr-subject',
  renewal: 'PKCSReq',
  urls: 'first',
}
const signal = () => new AbortController().signal

/** A folder with a lab in it that knows these devices. */
export interface Prepared {
  readonly root: Uint8Array
  /** By device. */
  readonly credentials: readonly { readonly deviceId: string; readonly credential: string }[]
  copyTo(folder: string): Promise<void>
}

export async function prepareLab(folder: string, deviceCount: number): Promise<Prepared> {
  const store = await lmdbLabStore(folder)
  const policyFor = (deviceId: string) => policyDocument(deviceId, lab.rootCertificate)
  const lab: Lab = await createLab({ store, clock: systemClock, registrationToken, policyFor })
  const credentials: { deviceId: string; credential: string }[] = []
  for (let i = 0; i < deviceCount; i++) {
    const asked = { registrationToken, deviceId: `dev-${i}`, platform: 'windows', osVersion: '11' }
    credentials.push({ deviceId: asked.deviceId, credential: jsonOf(await post(lab, '/device/register', asked)).credential })
  }
  const root = lab.rootCertificate
  await store.close()
  return { root, credentials, copyTo: (target) => cp(folder, target, { recursive: true }) }
}

export interface Enrolled {
  readonly deviceId: string
  readonly attemptId: string
  readonly transactionId: string
  readonly serialNumber: string
  readonly fingerprint: string
}

/** Where the lab is. */
export interface Whereabouts {
  url(): string
  /** Once somebody else serves than did at this URL. */
  after(url: string): Promise<string>
}

export interface Client {
  /** One enrolment, sent again by the same key when the lab goes away. */
  enroll(index: number): Promise<Enrolled>
  close(): Promise<void>
}

/** Real clients: challenge, CSR, GetCACaps, GetCACert, PKCSReq, each over its own socket. */
export function connectClients(prepared: Prepared, keys: readonly KeyObject[], lab: Whereabouts): Client {
  const transport = httpTransport({ allowLoopback: true })
  const handles = keys.map((key, index) => softwareKeyHandle(key, `key-${index}`))
  const once = async (index: number, url: string): Promise<Enrolled> => {
    const { deviceId, credential } = prepared.credentials[index % prepared.credentials.length] as Prepared['credentials'][number]
    const attemptId = `attempt-${index}`
    const key = handles[index] as (typeof handles)[number]
    const challenge = await challengeOver(transport, url, deviceId, credential, attemptId)
    const [wish] = policyDocument(deviceId, prepared.root).scepProfiles
    if (wish === undefined) throw new Error('there is no profile')
    const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = wish
    const csr = await createCsr({ subject, subjectAltNames, keyUsages, extendedKeyUsages, key, hash: 'sha256', challenge })
    const urls = [`${url}/certsrv/mscep/mscep.dll`]
    const trust = { root: prepared.root }
    const protocol = scepProtocol({ urls, habits, transport, trust, hash: 'sha256', clock: systemClock, jitter: systemJitter })
    const outcome = await protocol.request({ csr, key }, signal())
    if (outcome.status !== 'issued') throw new Error(`${attemptId}: ${JSON.stringify(outcome)}`)
    const leaf = parseCertificate(outcome.chain[0] as Uint8Array)
    if (Buffer.compare(leaf.publicKey, key.publicKey) !== 0) throw new Error(`${attemptId}: the certificate is for another key`)
    const transactionId = transactionIdFor(key.publicKey)
    return { deviceId, attemptId, transactionId, serialNumber: serialNumberHex(leaf), fingerprint: fingerprintOf(leaf.raw) }
  }
  return {
    async enroll(index) {
      for (let url = lab.url(); ; url = await lab.after(url)) {
        try {
          return await once(index, url)
        } catch (error) {
          if (!isDown(error)) throw error
        }
      }
    },
    close: () => transport.close(),
  }
}

function isDown(error: unknown): boolean {
  return error instanceof AgentError && (error.code === 'ERR_NETWORK' || error.code === 'ERR_CHALLENGE_UNAVAILABLE')
}

async function challengeOver(transport: Transport, url: string, deviceId: string, credential: string, attemptId: string): Promise<string> {
  const policyUrl = `${url}/device/policy`
  const { challengeSource } = policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() })
  return (await challengeSource.challengeFor('wifi', attemptId, signal())) ?? ''
}

/** What breaks a promise of the lab's, in the records of a folder after everybody has enrolled. */
export async function problemsIn(folder: string, received: readonly Enrolled[], count: number): Promise<string[]> {
  const store = await lmdbLabStore(folder)
  try {
    const issued = [...store.list('issued')]
    const uses = [...store.list('challenges')]
    const transactions = [...store.list('transactions')]
    const bySerial = new Map(issued.map((record) => [record.serialNumber, record]))
    const twice = (values: readonly (string | undefined)[]) => values.length !== new Set(values).size
    const lost = received.filter(({ serialNumber, fingerprint }) => bySerial.get(serialNumber)?.fingerprint !== fingerprint)
    const dangling = transactions.filter(({ serialNumber }) => serialNumber !== undefined && !bySerial.has(serialNumber))
    return [
      ...lost.map(({ attemptId }) => `the certificate that ${attemptId} received is not on record`),
      ...(issued.length === count ? [] : [`${issued.length} certificates on record for ${count} attempts`]),
      ...(twice(issued.map(({ transactionId }) => transactionId)) ? ['a transaction with two certificates'] : []),
      ...(twice(issued.map(({ attemptId }) => attemptId)) ? ['an attempt with two certificates'] : []),
      ...(twice(issued.map(({ certificate }) => serialNumberHex(parseCertificate(certificate)))) ? ['a serial number used twice'] : []),
      ...(twice(issued.map(({ fingerprint }) => fingerprint)) ? ['a certificate on record twice'] : []),
      ...(twice(uses.map(({ transactionId }) => transactionId)) ? ['a transaction that redeemed two challenges'] : []),
      ...(uses.length === count && transactions.length === count
        ? []
        : [`${uses.length} challenges redeemed, ${transactions.length} transactions`]),
      ...dangling.map(({ transactionId }) => `transaction ${transactionId} names a certificate that is not on record`),
    ]
  } finally {
    await store.close()
  }
}

/** How many certificates are on record. */
export async function issuedIn(folder: string): Promise<number> {
  const store = await lmdbLabStore(folder)
  try {
    return [...store.list('issued')].length
  } finally {
    await store.close()
  }
}
