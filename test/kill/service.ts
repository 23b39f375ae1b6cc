import { createPrivateKey, type KeyObject } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Clock,
  type HttpResponse,
  type Instant,
  type ManagementIdentity,
  managementIdentity,
  managementKeyLabel,
  openStateFolder,
  softwareKeys,
  systemClock,
} from '@certfleet/agent-core'
import { openEnvelopedData } from '@certfleet/agent-core/cms'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { createLab, type Lab, type LabStore, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { unlocked } from '../fakes/disk.ts'
import { jsonOf, post } from '../lab/surroundings.ts'
import { problemsOf, unverifiedIn } from '../reconcile/checks.ts'
import type { Kept } from '../reconcile/world.ts'
import { filesBelow, leaks } from '../security/leaks.ts'
import { givenKeys } from './given-keys.ts'
import {
  type DeviceStart,
  deviceId,
  folderSecret,
  type LifeRoots,
  type Order,
  patience,
  pfxRequestsOf,
  policyOf,
  type Stage,
  stages,
  start,
} from './life.ts'

const registrationToken = 'kill-only-registration-token'

/** What all lives share: making it takes longer than a life. */
export interface Shared {
  readonly authority: LabStore
  readonly roots: Omit<LifeRoots, 'lab'>
  readonly keys: readonly KeyObject[]
  /** What its passwords are encrypted to: every device has the same. */
  readonly management: ManagementIdentity & { readonly pkcs8: string }
}

export async function share([managementKey, ...keys]: readonly KeyObject[]): Promise<Shared> {
  const authority = memoryLabStore()
  await createLab({ store: authority, clock: clockAt(() => start), registrationToken, policyFor: () => undefined })
  const key = await testKey('root')
  const [old, next] = await Promise.all(['CN=Old', 'CN=New'].map((subject) => testCertificate({ subject, key, ca: true })))
  const given = pkcs8(managementKey as KeyObject)
  const management = await managementIdentity(givenKeys(softwareKeys(), () => given))
  return { authority, roots: { old: old as Uint8Array, new: next as Uint8Array }, keys, management: { ...management, pkcs8: given } }
}

/** The other side of one device's life, over loopback HTTP. */
export interface LifeService {
  enter(stage: Stage): void
  now(): Instant
  /** For the next process. */
  startOf(order: Order): DeviceStart
  /** What is wrong in the folder at any moment at which no process works on it. */
  problemsNow(): Promise<string[]>
  /** What is wrong in it once the device has settled. */
  problemsSettled(): Promise<string[]>
  close(): Promise<void>
}

export async function serveLife(folder: string, { authority, roots, keys, management }: Shared): Promise<LifeService> {
  let stage = stages[0] as Stage
  let at = start
  let keysTaken = 0
  const store = memoryLabStore()
  const record = authority.get('authority', 'lab')
  if (record) await store.transaction((transaction) => transaction.put('authority', 'lab', record))
  const approve = patience()
  const policy = () => policyOf(stage, { ...roots, lab: lab.rootCertificate }, served.scepUrl)
  const lab: Lab = await createLab({
    store,
    clock: clockAt(() => at),
    registrationToken,
    templateValidityMs: 100 * 86_400_000,
    policyFor: policy,
    pfxRequestsFor: () => pfxRequestsOf(stage),
    approve: (request) => approve(request, stage),
  })
  const given: string[] = []
  const served = await serveLab({
    ...lab,
    async handle(request) {
      const response = await lab.handle(request)
      given.push(...(await secretsIn(response, management)))
      if (request.url.endsWith('/device/pfx')) given.push(...(store.get('connectorKeys', deviceId) ?? []).flatMap(deliveredMembers))
      return response
    },
  })
  const managementCertificate = Buffer.from(management.certificate).toString('base64')
  const registered = { registrationToken, deviceId, platform: 'windows', osVersion: '11', managementCertificate }
  const { credential } = jsonOf(await post(lab, '/device/register', registered)) as { credential: string }
  mkdirSync(folder)
  const path = join(folder, 'agent')
  const members = keys.flatMap(secretMembers)
  const service = { lab, policy }

  const problemsNow = async (): Promise<string[]> => {
    const kept = await openKept(path)
    const identities = await kept.identities.list()
    await kept.cache.load()
    const unverified = await Promise.all(identities.map((identity) => unverifiedIn(identity, service, kept)))
    const shown = leaks([registrationToken, credential, ...given, ...members], filesBelow(path))
    return [...unverified.flat(), ...shown.map((leak) => `a secret shows: ${leak}`)]
  }
  return {
    enter(next) {
      stage = next
      at += next.afterMs
    },
    now: () => at,
    startOf: (order) => ({
      ...order,
      folder: path,
      policyUrl: served.policyUrl,
      credential,
      keys: take(4).map(pkcs8),
      managementKey: management.pkcs8,
    }),
    problemsNow,
    async problemsSettled() {
      const kept = await openKept(path)
      const problems = await problemsOf(service, kept, stage, [])
      const told = Object.entries(problems).flatMap(([name, texts]) => texts.map((text) => `${name}: ${text}`))
      const lost = (await kept.keys.open(managementKeyLabel)) ? [] : ['the management key is lost']
      return [...told, ...lost, ...(await problemsNow())]
    },
    close: () => served.close(),
  }

  /** None twice in a life: its transactionID would be an old one's. */
  function take(count: number): readonly KeyObject[] {
    keysTaken += count
    if (keysTaken > keys.length) throw new Error('the pool of keys is used up')
    return keys.slice(keysTaken - count, keysTaken)
  }
}

/** As the next process would find it. The management key is no profile's, and is there for good. */
async function openKept(path: string): Promise<Kept> {
  const { state, policyCache: cache, certificateStores: stores, identities, softwareKeys } = await openStateFolder(path, { lock: unlocked })
  const keys = await softwareKeys(folderSecret)
  const list = async () => (await keys.list()).filter((label) => label !== managementKeyLabel)
  return { state, cache, stores, identities, keys: { ...keys, list } }
}

/** What an answer gives the device to keep to itself: a challenge, or the password of a PFX. */
async function secretsIn({ body }: HttpResponse, { certificate, key }: ManagementIdentity): Promise<string[]> {
  const text = Buffer.from(body).toString('latin1')
  const challenge = /^{"challenge":"([^"]+)"/.exec(text)?.[1]
  if (challenge !== undefined) return [challenge]
  const envelope = /^{"pfx":"[^"]+","password":"([^"]+)"/.exec(text)?.[1]
  if (envelope === undefined) return []
  const recipients = [{ certificate: parseCertificate(certificate), key }]
  return [Buffer.from((await openEnvelopedData(Buffer.from(envelope, 'base64'), { recipients })).content).toString()]
}

function deliveredMembers({ privateKey }: { readonly privateKey: Uint8Array }): string[] {
  return secretMembers(createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' }))
}

/** Of a JWK. */
function secretMembers(key: KeyObject): string[] {
  const { d, p, q, dp, dq, qi } = key.export({ format: 'jwk' })
  return [d, p, q, dp, dq, qi].map(String)
}

const pkcs8 = (key: KeyObject): string => key.export({ format: 'der', type: 'pkcs8' }).toString('base64')

function clockAt(now: () => Instant): Clock {
  return { now, sleep: systemClock.sleep }
}
