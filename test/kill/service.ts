import type { KeyObject } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, type Instant, openStateFolder, systemClock } from '@certfleet/agent-core'
import { createLab, type Lab, type LabStore, memoryLabStore, serveLab } from '@certfleet/emulator/lab'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { unlocked } from '../fakes/disk.ts'
import { jsonOf, post } from '../lab/surroundings.ts'
import { problemsOf, unverifiedIn } from '../reconcile/checks.ts'
import type { Kept } from '../reconcile/world.ts'
import { filesBelow, leaks } from '../security/leaks.ts'
import {
  type DeviceStart,
  deviceId,
  folderSecret,
  type LifeRoots,
  type Order,
  patience,
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
}

export async function share(keys: readonly KeyObject[]): Promise<Shared> {
  const authority = memoryLabStore()
  await createLab({ store: authority, clock: clockAt(() => start), registrationToken, policyFor: () => undefined })
  const key = await testKey('root')
  const [old, next] = await Promise.all(['CN=Old', 'CN=New'].map((subject) => testCertificate({ subject, key, ca: true })))
  return { authority, roots: { old: old as Uint8Array, new: next as Uint8Array }, keys }
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

export async function serveLife(folder: string, { authority, roots, keys }: Shared): Promise<LifeService> {
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
    approve: (request) => approve(request, stage),
  })
  const challenges: string[] = []
  const served = await serveLab({ ...lab, handle: async (request) => noting(challenges, await lab.handle(request)) })
  const registered = { registrationToken, deviceId, platform: 'windows', osVersion: '11' }
  const { credential } = jsonOf(await post(lab, '/device/register', registered)) as { credential: string }
  mkdirSync(folder)
  const path = join(folder, 'agent')
  const members = keys.flatMap(
    (key) => Object.values(key.export({ format: 'jwk' })).filter((member) => `${member}`.length > 100) as string[],
  )
  const publicMembers = new Set(keys.map((key) => key.export({ format: 'jwk' }).n))
  const secretMembers = members.filter((member) => !publicMembers.has(member))
  const service = { lab, policy }

  const problemsNow = async (): Promise<string[]> => {
    const kept = await openKept(path)
    const identities = await kept.identities.list()
    await kept.cache.load()
    const unverified = await Promise.all(identities.map((identity) => unverifiedIn(identity, service, kept)))
    const shown = leaks([registrationToken, credential, ...challenges, ...secretMembers], filesBelow(path))
    return [...unverified.flat(), ...shown.map((leak) => `a secret shows: ${leak}`)]
  }
  return {
    enter(next) {
      stage = next
      at += next.afterMs
    },
    now: () => at,
    startOf: (order) => ({ ...order, folder: path, policyUrl: served.policyUrl, credential, keys: take(4).map(pkcs8) }),
    problemsNow,
    async problemsSettled() {
      const problems = await problemsOf(service, await openKept(path), stage, [])
      const told = Object.entries(problems).flatMap(([name, texts]) => texts.map((text) => `${name}: ${text}`))
      return [...told, ...(await problemsNow())]
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

/** As the next process would find it. */
async function openKept(path: string): Promise<Kept> {
  const { state, policyCache: cache, certificateStores: stores, identities, softwareKeys } = await openStateFolder(path, { lock: unlocked })
  return { state, cache, stores, identities, keys: await softwareKeys(folderSecret) }
}

function noting<Response extends { readonly body: Uint8Array }>(challenges: string[], response: Response): Response {
  const challenge = /^{"challenge":"([^"]+)"/.exec(Buffer.from(response.body.subarray(0, 8192)).toString('latin1'))?.[1]
  if (challenge !== undefined) challenges.push(challenge)
  return response
}

const pkcs8 = (key: KeyObject): string => key.export({ format: 'der', type: 'pkcs8' }).toString('base64')

function clockAt(now: () => Instant): Clock {
  return { now, sleep: systemClock.sleep }
}
