import {
  AgentError,
  type Clock,
  type EnrollmentOutcome,
  type EnrollmentProtocol,
  type EnrollmentRequest,
  type HashName,
  type KeyHandle,
  type KeyUsage,
  type PendingSchedule,
  type ScepTrust,
  type SubjectAltName,
  scepProtocol,
  type Transport,
} from '@certfleet/agent-core'
import { type Certificate, createCsr, verifyIssued } from '@certfleet/agent-core/pki'
import { systemJitter } from '@certfleet/agent-core/system'
import { behaviourOf, type FactOverrides, pendingScheduleOf, type Retries } from '@certfleet/platforms'
import type { FleetPlatform } from '../scenario/schema.ts'
import { witnessCa } from './ca-witness.ts'
import { osOf } from './enroll-os.ts'

export interface EnrollmentWish {
  readonly urls: readonly string[]
  /** What the OS would call it on the wire. */
  readonly displayName: string
  readonly transport: Transport
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
  /** Absent: what the key can do. */
  readonly keyUsages?: readonly KeyUsage[]
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
  /** Absent: the strongest that the CA offers. */
  readonly hash?: Exclude<HashName, 'sha1'>
  /** Absent: the platform's. */
  readonly retries?: Retries
  readonly challenge?: string
  readonly key: KeyHandle
  readonly platform: FleetPlatform
  readonly trust: ScepTrust
  /** From `factOverrides`. Default: all is as sourced. */
  readonly overrides?: FactOverrides | undefined
  readonly legacyDes: boolean
  readonly legacySha1: boolean
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Told of the certificate that is trusted before the request goes out. */
  readonly onAnchor: (anchor: Uint8Array) => void
  /** Told before each wait for a CA that has not decided. */
  readonly onPending: (delayMs: number) => void
}

export interface Enrolled {
  /** Leaf first, root last, DER. */
  readonly chain: readonly Uint8Array[]
  readonly leaf: Certificate
  /** The request, signed again by its key without the challenge: DER. */
  readonly csr: Uint8Array
}

export interface Rejection {
  readonly failInfo: string
  readonly text?: string
}

/**
 * One SCEP enrolment as the platform's client does it: CSR, request, polls by the platform's schedule, and the certificate
 * verified as the agent verifies it. Fails with the protocol's errors, and with `ERR_PENDING_TIMEOUT` when the time is up.
 */
export async function enrollOnce(wish: EnrollmentWish): Promise<Enrolled | Rejection> {
  const { subject, subjectAltNames, challenge, key, clock } = wish
  const behaviour = behaviourOf(wish.platform, osOf(wish.platform).version, wish.overrides)
  const witness = witnessCa(wish.transport, wish.trust, wish.onAnchor)
  const contents = { subject, subjectAltNames, keyUsages: keyUsagesOf(wish), extendedKeyUsages: wish.extendedKeyUsages }
  const shown = await createCsr({ ...contents, key, hash: 'sha256' })
  const csr = challenge === undefined ? shown : await createCsr({ ...contents, key, hash: 'sha256', challenge })
  const { urls, trust, hash, legacyDes, legacySha1 } = wish
  const protocol = scepProtocol({
    urls,
    habits: behaviour.habits(wish.displayName),
    ...(hash && { hash }),
    transport: witness.transport,
    trust,
    legacyDes,
    legacySha1,
    clock,
    jitter: systemJitter,
  })
  const outcome = await withDeadline(wish, (signal) =>
    untilDecided(protocol, { csr, key }, pendingScheduleOf(osOf(wish.platform, wish.overrides), wish.retries), wish, signal),
  )
  if (outcome.status === 'rejected') return outcome
  const root = witness.anchor() as Uint8Array
  const { chain, leaf } = verifyIssued({
    issued: outcome.chain,
    request: { subject, subjectAltNames, keySpec: key.spec },
    key,
    root,
    at: clock.now(),
  })
  return { chain, leaf, csr: shown }
}

/** A key that cannot encrypt asks for no keyEncipherment (RFC 8813 3). */
function keyUsagesOf({ key, keyUsages = ['digitalSignature', 'keyEncipherment'] }: EnrollmentWish): readonly KeyUsage[] {
  return key.spec.algorithm === 'rsa' ? keyUsages : keyUsages.filter((usage) => usage !== 'keyEncipherment')
}

type Decision = Exclude<EnrollmentOutcome, { status: 'pending' }>

async function untilDecided(
  protocol: EnrollmentProtocol,
  request: EnrollmentRequest,
  { polls, firstDelayMs, delayMs }: PendingSchedule,
  { clock, onPending }: EnrollmentWish,
  signal: AbortSignal,
): Promise<Decision> {
  let outcome = await protocol.request(request, signal)
  for (let poll = 0; outcome.status === 'pending' && poll < polls; poll++) {
    const waitMs = poll === 0 ? firstDelayMs : delayMs
    onPending(waitMs)
    await clock.sleep(waitMs, signal)
    outcome = await protocol.poll(request, signal)
  }
  if (outcome.status !== 'pending') return outcome
  throw new AgentError('ERR_PENDING_TIMEOUT', `the CA left the request pending through ${polls} polls`)
}

async function withDeadline<T>({ clock, timeoutMs, signal }: EnrollmentWish, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController()
  const done = new AbortController()
  const timer = clock.sleep(timeoutMs, done.signal).then(
    () => deadline.abort(new AgentError('ERR_PENDING_TIMEOUT', `no certificate within ${timeoutMs / 1000} s`)),
    () => undefined,
  )
  try {
    return await work(AbortSignal.any([signal, deadline.signal]))
  } finally {
    done.abort()
    await timer
  }
}
