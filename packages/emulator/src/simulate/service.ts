import { randomBytes } from 'node:crypto'
import { AgentError, type Clock, type HttpRequest, type HttpResponse, type Instant, type PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import type { FactOverrides } from '@certfleet/platforms'
import { createLab, type IssuedRecord, type Lab, type LabStore, type LabTables, type MakeRsaKey, memoryLabStore } from '../lab/index.ts'
import type { Seed } from '../scenario/schema.ts'
import type { PfxRequest } from '../tenant/index.ts'
import { authoritiesIn, type SimulatedAuthority } from './authorities.ts'
import { type Chance, chanceOf } from './chance.ts'
import { type Episode, episodeAt, type Fault } from './faults.ts'
import { forgetful } from './forgetting.ts'
import type { Timeline } from './timeline.ts'

export interface ServiceOptions {
  readonly seed: Seed
  readonly timeline: Timeline
  readonly templateValidityMs: number
  readonly episodes: readonly Episode[]
  policyFor(deviceId: string): PolicyDocument | undefined
  pfxRequestsFor(deviceId: string): readonly PfxRequest[]
  /** Where the lab's own keys come from. */
  readonly makeKey: MakeRsaKey
  /** A CA that was made before: making one costs four RSA keys. */
  readonly authority?: LabTables['authority'] | undefined
  readonly labStore: (store: LabStore) => LabStore
  readonly overrides?: FactOverrides | undefined
  isFaulty(): boolean
  onIssued(record: IssuedRecord): void
  onFault(fault: Fault, device: string | undefined): void
}

/** The lab, as devices meet it: with its outages. */
export interface SimulatedService {
  readonly lab: Lab
  /** A secret. */
  readonly registrationToken: string
  /** For the next simulation. */
  readonly authority: LabTables['authority']
  /** Oldest first. */
  authorities(): readonly SimulatedAuthority[]
  /** The CA that issues now. */
  presentAuthority(): SimulatedAuthority
  /** Makes the CA that takes over at that moment. */
  replaceCa(at: Instant): Promise<void>
  handle(request: HttpRequest): Promise<HttpResponse>
  /** When it was revoked, by serial number in lower-case hex; undefined where it was not. */
  revokedAt(serialNumber: string): Instant | undefined
  /** Of a certificate that was issued. What is forgotten has expired. */
  hasExpired(serialNumber: string): boolean
  /** Deletes what nobody can ask for any more. */
  forget(): Promise<void>
}

/** Of a thousand requests to the CA, how many have to wait for an approval. */
const pendingPerMille = 30

export async function simulatedService(options: ServiceOptions): Promise<SimulatedService> {
  const { seed, timeline, templateValidityMs, policyFor, pfxRequestsFor, makeKey, episodes, isFaulty, onFault } = options
  const chances = new Map<string, Chance>()
  const chanceFor = (deviceId: string): Chance => {
    const known = chances.get(deviceId) ?? chanceOf(seed, 'approval', deviceId)
    chances.set(deviceId, known)
    return known
  }
  const clock = clockOf(timeline)
  const memory = forgetful(memoryLabStore(), clock, templateValidityMs)
  const store = options.labStore(memory)
  const { authority } = options
  const revoked = new Map<string, Instant>()
  const registrationToken = randomBytes(32).toString('base64url')
  if (authority) await store.transaction((transaction) => transaction.put('authority', 'lab', authority))
  const lab = await createLab({
    store: watched(store, options.onIssued, (serialNumber) => revoked.set(serialNumber, timeline.now())),
    clock,
    policyFor,
    pfxRequestsFor,
    registrationToken,
    templateValidityMs,
    makeKey,
    overrides: options.overrides,
    approve({ deviceId = '' }) {
      if (!isFaulty() || !chanceFor(deviceId).happens(pendingPerMille)) return 'issue'
      onFault('pending', deviceId)
      return 'pending'
    },
  })
  let authorities = authoritiesIn(store)
  const during = (fault: Episode['fault']) => episodeAt(episodes, fault, timeline.now()) !== undefined
  return {
    lab,
    registrationToken,
    revokedAt: (serialNumber) => revoked.get(serialNumber),
    hasExpired(serialNumber) {
      const record = store.get('issued', serialNumber)
      return record === undefined || parseCertificate(record.certificate).notAfter < timeline.now()
    },
    forget: memory.forget,
    authority: store.get('authority', 'lab') as LabTables['authority'],
    authorities: () => authorities,
    presentAuthority: () => authorities.findLast(({ from }) => from <= timeline.now()) as SimulatedAuthority,
    async replaceCa(at) {
      await lab.prepareRollOver(at)
      // Those before keep their octets, by which policies are told apart.
      authorities = [...authorities, ...authoritiesIn(store).slice(authorities.length)]
    },
    async handle(request) {
      if (isScep(request) && during('ca-down')) throw new AgentError('ERR_NETWORK', 'the CA cannot be reached')
      if (asksCa(request) && (during('ca-in-trouble') || during('ca-down'))) return unavailable
      return lab.handle(request)
    },
  }
}

const isScep = ({ url }: HttpRequest): boolean => url.includes('/certsrv/')
/** The connector answers for a CA that it cannot reach. */
const asksCa = (request: HttpRequest): boolean => isScep(request) || request.url.endsWith('/device/pfx')
const unavailable: HttpResponse = { status: 503, headers: { 'retry-after': '120' }, body: new Uint8Array() }

/** The lab's clock is never wrong. */
function clockOf(timeline: Timeline): Clock {
  return {
    now: () => timeline.now(),
    sleep: (ms) => new Promise((resolve) => timeline.at(timeline.now() + ms, resolve)),
  }
}

/** The same store; `onIssued` is told of each certificate once it is committed, and `onRevoked` of each that is revoked. */
function watched(store: LabStore, onIssued: (record: IssuedRecord) => void, onRevoked: (serialNumber: string) => void): LabStore {
  return {
    ...store,
    async transaction(work) {
      const issued: IssuedRecord[] = []
      const result = await store.transaction((transaction) =>
        work({
          ...transaction,
          put(table, key, value) {
            if (table === 'issued') issued.push(value as IssuedRecord)
            if (table === 'revocations') onRevoked(key)
            transaction.put(table, key, value)
          },
        }),
      )
      for (const record of issued) onIssued(record)
      return result
    },
  }
}
