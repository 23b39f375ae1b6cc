import { AgentError, type Clock, type HttpRequest, type HttpResponse } from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import type { Approval, ApprovalRequest } from '../issuance.ts'
import { scepPaths } from '../ndes.ts'
import { type Dice, diceFor } from './chance.ts'
import { lost, oddCapabilities, reordered, truncated, unavailable, wronglyTyped } from './distortions.ts'
import { forgeReply } from './forge.ts'
import { type AskedFor, drawUnkindness, type Unkindness } from './unkindness.ts'

/** How unkind the lab is. */
export interface Hostility {
  /** Percent of the requests that meet an unkindness, 0 to 100. */
  readonly level: number
  /** The nth request of a kind meets the same at the same seed, whatever is asked meanwhile. */
  readonly seed: string | number
  /** Of a late reply. Default 20 s. */
  readonly maxDelayMs?: number | undefined
  /** Told of each unkindness and what it met. */
  readonly onUnkindness?: ((unkindness: Unkindness | 'pending', asked: AskedFor) => void) | undefined
}

export interface HostileOptions extends Hostility {
  readonly clock: Clock
  /** The RA's, as it answers now. Default: no reply is forged. */
  readonly signer?: (() => CmsSigner) | undefined
  /** Default: the RA keeps its certificates. */
  readonly renewRegistrationAuthority?: (() => Promise<void>) | undefined
}

type Handle = (request: HttpRequest) => Promise<HttpResponse>

const defaultDelayMs = 20_000

/** The lab on a bad day: what `handle` answers, but for the requests that meet an unkindness. A level that is no percentage: `ERR_UNSUPPORTED`. */
export function hostile(handle: Handle, options: HostileOptions): Handle {
  checkLevel(options)
  const counts = new Map<AskedFor, number>()
  const previous = new Map<AskedFor, HttpResponse>()
  const isPossible = possible(options)
  const remembering = async (request: HttpRequest, asked: AskedFor) => {
    const response = await handle(request)
    previous.set(asked, response)
    return response
  }
  return async (request) => {
    const asked = askedFor(request)
    const count = counts.get(asked) ?? 0
    counts.set(asked, count + 1)
    const dice = diceFor(options.seed, asked, count)
    if (!dice.within(options.level)) return remembering(request, asked)
    const unkindness = drawUnkindness(asked, dice, isPossible)
    options.onUnkindness?.(unkindness, asked)
    const stale = previous.get(asked)
    return meet(unkindness, { ...options, dice, stale, answer: () => remembering(request, asked) })
  }
}

interface Meeting extends HostileOptions {
  readonly dice: Dice
  /** The reply to the request of the kind before this. */
  readonly stale: HttpResponse | undefined
  answer(): Promise<HttpResponse>
}

async function meet(unkindness: Unkindness, meeting: Meeting): Promise<HttpResponse> {
  const { dice, clock, stale } = meeting
  if (unkindness === 'unavailable') return unavailable(dice, clock.now())
  if (unkindness === 'renewed-ra') await meeting.renewRegistrationAuthority?.()
  const response = await meeting.answer()
  switch (unkindness) {
    case 'renewed-ra':
      return response
    case 'lost':
      return lost(dice)
    case 'late':
      await clock.sleep(dice.between(1, meeting.maxDelayMs ?? defaultDelayMs))
      return response
    case 'truncated':
      return truncated(response, dice)
    case 'wrong-type':
      return wronglyTyped(response, dice)
    case 'duplicate':
      return stale ?? response
    case 'odd-capabilities':
      return oddCapabilities(response, dice)
    case 'reordered':
      return reordered(response, dice)
    default:
      return { ...response, body: (meeting.signer && (await forgeReply(response.body, unkindness, meeting.signer()))) ?? response.body }
  }
}

/**
 * An approver that says pending to `level` percent of what is asked, polls included; otherwise what `approve` says.
 * By the same seed the nth question gets the same answer.
 */
export function hesitant(
  approve: (request: ApprovalRequest) => Approval,
  hostility: Pick<Hostility, 'level' | 'seed' | 'onUnkindness'>,
): (request: ApprovalRequest) => Approval {
  checkLevel(hostility)
  let count = 0
  return (request) => {
    if (!diceFor(hostility.seed, 'approval', count++).within(hostility.level)) return approve(request)
    hostility.onUnkindness?.('pending', 'PKIOperation')
    return 'pending'
  }
}

function checkLevel({ level }: Pick<Hostility, 'level'>): void {
  if (!(level >= 0 && level <= 100)) throw new AgentError('ERR_UNSUPPORTED', `hostility is a percentage from 0 to 100, not ${level}`)
}

/** A forged reply needs the RA's key, a renewal the RA itself. */
function possible({ signer, renewRegistrationAuthority }: HostileOptions): (unkindness: Unkindness) => boolean {
  return (unkindness) => {
    if (unkindness === 'renewed-ra') return renewRegistrationAuthority !== undefined
    return !unkindness.startsWith('wrong-') || unkindness === 'wrong-type' || signer !== undefined
  }
}

function askedFor({ url }: HttpRequest): AskedFor {
  const base = 'http://lab.invalid'
  if (!URL.canParse(url, base)) return 'other'
  const { pathname, searchParams } = new URL(url, base)
  if (!scepPaths.some((path) => path === pathname.toLowerCase())) return 'other'
  const operation = searchParams.get('operation')
  return operation === 'GetCACaps' || operation === 'GetCACert' || operation === 'PKIOperation' ? operation : 'other'
}
