import { AssertionError } from 'node:assert'
import { randomBytes, randomUUID } from 'node:crypto'
import {
  AgentError,
  type HttpResponse,
  type KeyHandle,
  type ScepHabits,
  type ScepProtocolOptions,
  softwareKeys,
} from '@certfleet/agent-core'
import {
  type Certificate,
  fingerprintOf,
  formatName,
  isSelfSigned,
  type PathVerdict,
  parseCertificate,
  serialNumberHex,
  verifyPath,
} from '@certfleet/agent-core/pki'
import {
  type CaCertificates,
  chooseAlgorithms,
  isPinned,
  parseCaCertificates,
  parseCapabilities,
  type ScepAlgorithms,
  type ScepCapabilities,
} from '@certfleet/agent-core/scep/messages'
import type { Behaviour } from '../../behaviour.ts'
import type { Os } from '../../os.ts'
import { holdsTrue } from '../check.ts'
import { Skipped } from '../context.ts'
import type { ServerTarget } from './target.ts'

/** What a run remembers from platform to platform. */
export interface RunMemory {
  /** By fingerprint, oldest first. */
  readonly issued: Map<string, Certificate>
  /** Shown in a request that the server did not take, and good for the next such request. */
  spare?: string
  /** The one challenge there is was good once. */
  isSpent: boolean
}

/** One server as one platform's client meets it. What is asked of the server once is remembered. */
export interface ServerSession {
  readonly os: Os
  readonly behaviour: Behaviour
  readonly habits: ScepHabits
  readonly target: ServerTarget
  readonly memory: RunMemory
  readonly signal: AbortSignal
  /** GET with the parameters that the OS gives it. */
  ask(operation: string, url?: string): Promise<HttpResponse>
  capabilities(): Promise<{ readonly response: HttpResponse; readonly offered: ScepCapabilities }>
  /** What it talks to this server, `ERR_ALGORITHM_REFUSED` where it would not. */
  algorithms(): Promise<ScepAlgorithms>
  authorities(): Promise<{ readonly response: HttpResponse; readonly ca: CaCertificates }>
  /** What certificates have to lead to. */
  anchor(): Promise<Certificate>
  /** Makes the value the first time it is asked for. */
  once<T>(name: string, make: () => Promise<T>): Promise<T>
  newKey(): Promise<KeyHandle>
}

export interface SessionParts {
  readonly os: Os
  readonly behaviour: Behaviour
  readonly target: ServerTarget
  readonly memory: RunMemory
  readonly signal: AbortSignal
}

export function openSession({ os, behaviour, target, memory, signal }: SessionParts): ServerSession {
  const habits = behaviour.habits('certfleet')
  const made = new Map<string, Promise<unknown>>()
  const keys = (target.makeKeys ?? softwareKeys)()
  const once = <T>(name: string, make: () => Promise<T>): Promise<T> => {
    const known = made.get(name) ?? make()
    made.set(name, known)
    return known as Promise<T>
  }
  const session: ServerSession = {
    os,
    behaviour,
    habits,
    target,
    memory,
    signal,
    once,
    ask: (operation, url = target.url) => target.transport.send(question(operation, url, habits), signal),
    capabilities: () => once('GetCACaps', async () => withCapabilities(await session.ask('GetCACaps'))),
    algorithms: async () => chooseAlgorithms((await session.capabilities()).offered, { legacySha1: target.legacySha1 ?? false }),
    authorities: () => once('GetCACert', async () => withAuthorities(await session.ask('GetCACert'))),
    anchor: async () => anchorAmong((await session.authorities()).ca, target),
    newKey: () => keys.generate({ algorithm: 'rsa', bits: 2048 }, randomUUID()),
  }
  return session
}

/** For the agent's own questions. */
export function protocolOptions({ target, habits }: ServerSession): ScepProtocolOptions {
  const { url, transport, trust, clock, legacyDes = false, legacySha1 = false } = target
  const jitter = { between: (minMs: number) => minMs }
  return { urls: [url], habits: { ...habits, urlSuffix: '' }, transport, trust, clock, jitter, legacyDes, legacySha1 }
}

/** What requests may be encrypted to. Where it does not lead to what is trusted nothing is sent, a challenge least of all. */
export async function trustedAuthorities(session: ServerSession): Promise<CaCertificates> {
  const { ca } = await orSkipped(session.authorities)
  const verdict = await orSkipped(() => pathTo(session, ca.recipient))
  if (!verdict.ok) throw new Skipped(`requests are sent to no CA that is not trusted: ${verdict.reason}`)
  return ca
}

/** What a check needs and another one judges: where that failed, this one is skipped. */
export async function orSkipped<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof AssertionError || error instanceof AgentError) throw new Skipped(`it needs what failed before: ${error.message}`)
    throw error
  }
}

export async function pathTo(session: ServerSession, leaf: Certificate): Promise<PathVerdict> {
  const { authorities } = (await session.authorities()).ca
  const { clock, legacySha1 = false } = session.target
  return verifyPath({ leaf, intermediates: authorities, roots: [await session.anchor()], at: clock.now(), legacySha1 })
}

/** A good challenge that has been shown to nobody, or, where there is but one, that one. None, or no CA to show it to: the check is skipped. */
export async function goodChallenge(session: ServerSession): Promise<string> {
  const { target, memory } = session
  await trustedAuthorities(session)
  if (target.challenges === undefined) throw new Skipped('no challenge was given')
  if (memory.isSpent) throw new Skipped('the challenge that was given is good once, and was used: give one for each request')
  const challenge = await target.challenges.next()
  if (challenge === undefined) throw new Skipped('no challenge is left')
  return challenge
}

/** A good challenge for a request that is to be refused whatever its challenge; `keepSpare` puts it back if it was. */
export async function challengeToRefuse(session: ServerSession): Promise<string> {
  await trustedAuthorities(session)
  const challenge = session.memory.spare ?? (await goodChallenge(session))
  delete session.memory.spare
  return challenge
}

export function keepSpare({ memory, target }: ServerSession, challenge: string): void {
  if (target.challenges?.repeats === false) memory.spare = challenge
}

export const wrongChallenge = (): string => randomBytes(16).toString('hex').toUpperCase()

/** Enters what was issued; the same certificate again is not another one. */
export function remember({ memory: { issued }, target }: ServerSession, certificate: Certificate): void {
  const fingerprint = fingerprintOf(certificate.raw)
  if (issued.has(fingerprint)) return
  issued.set(fingerprint, certificate)
  target.onIssued?.({ serialNumber: serialNumberHex(certificate), subject: formatName(certificate.subject) })
}

function question(operation: string, url: string, { message, userAgent }: ScepHabits) {
  const parameter = message === undefined ? '' : `&message=${encodeURIComponent(message)}`
  return { method: 'GET', url: `${url}?operation=${operation}${parameter}`, headers: { 'user-agent': userAgent } } as const
}

function withCapabilities(response: HttpResponse) {
  return { response, offered: parseCapabilities(response.status === 200 ? Buffer.from(response.body).toString('latin1') : '') }
}

function withAuthorities(response: HttpResponse) {
  holdsTrue(response.status === 200, `GetCACert is answered with HTTP status ${response.status}`)
  return { response, ca: parseCaCertificates(response.body) }
}

function anchorAmong({ authorities, ca }: CaCertificates, { trust }: ServerTarget): Certificate {
  if (trust === 'first-use') return authorities.find(isSelfSigned) ?? ca
  if ('root' in trust) return parseCertificate(trust.root)
  const pinned = authorities.find(({ raw }) => isPinned(raw, trust))
  holdsTrue(pinned !== undefined, 'no CA certificate of GetCACert has the fingerprint that was given')
  return pinned
}
