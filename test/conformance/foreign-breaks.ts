import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { buildCertificatesOnly, openSignedData, type SignedMessage } from '@certfleet/agent-core/cms'
import { isSelfSigned } from '@certfleet/agent-core/pki'
import { openPkiRequest } from '@certfleet/agent-core/scep/messages'
import type { LabOptions } from '@certfleet/emulator/lab'
import { desEnvelope } from '#platforms/conformance/server/forged.ts'
import {
  type Asked,
  type Break,
  csrOf,
  empty,
  failing,
  granting,
  issue,
  Oid,
  on,
  onMessage,
  readable,
  resigned,
  textIn,
} from './foreign-server.ts'

/** The first time it changes anything; after that nothing. */
export function once(breaks: Break): Break {
  let isDone = false
  return async (request, next, world) => {
    if (isDone) return next(request)
    const kind = await next(request)
    const changed = await breaks(request, async () => kind, world)
    isDone = changed !== kind
    return changed
  }
}

/** For what is asked again in the same transaction. */
export function again(change: (asked: Asked) => Promise<Uint8Array>): (asked: Asked) => Promise<Uint8Array> {
  const seen = new Set<string>()
  return async (asked) => {
    const { transactionId } = asked.request
    if (seen.has(transactionId)) return change(asked)
    seen.add(transactionId)
    return asked.response.body
  }
}

export function pendingTwice(): NonNullable<LabOptions['approve']> {
  let asked = 0
  return () => (asked++ < 2 ? 'pending' : 'issue')
}

export const overSha1 = (asked: Asked) => resigned(asked, { hash: 'sha1' })

export async function inDes(asked: Asked): Promise<Uint8Array> {
  const { request, world } = asked
  const known = [...world.lab.issued()].find(({ transactionId }) => transactionId === request.transactionId)
  const certificate = known?.certificate ?? new Uint8Array()
  return resigned(asked, { content: desEnvelope(buildCertificatesOnly({ certificates: [certificate], crls: [] }), request.signer) })
}

export const challengeIn = async ({ request, world }: Asked): Promise<string | undefined> => {
  const opened = await openPkiRequest(request, { recipients: [world.authority.encryption] }).catch(() => undefined)
  return opened && 'csr' in opened ? opened.csr.challenge : 'what cannot be read'
}

export const failInfoOf = (reply: SignedMessage): string => textIn(reply, Oid.failInfo)

/** A name that has a certificate gets no second one by a challenge. */
export function oneEachName(): Break {
  const names = new Map<string, string>()
  return onMessage('PKCSReq', '0', async (asked) => {
    const { request, world } = asked
    const { subject } = await csrOf(request, world)
    const name = Buffer.from(subject).toString('hex')
    const isOther = names.has(name) && names.get(name) !== request.transactionId && isSelfSigned(request.signer)
    if (!isOther) names.set(name, request.transactionId)
    return isOther ? resigned(asked, { attributes: failing('2') }) : asked.response
  })
}

export function onlyOnce(operation: string): Break {
  let count = 0
  return on(operation, (response) => (count++ === 0 ? response : empty(500)))
}

/** What the lab says no to, by one method. */
export const byMethod = (method: HttpRequest['method'], answer: () => HttpResponse): Break =>
  on('PKIOperation', (response, request) => {
    const isNo = readable(request)?.messageType === 'PKCSReq' && response.status === 200 && request.method === method
    return isNo && textIn(openSignedData(response.body, { signers: 'enclosed' }), Oid.failInfo) === '2' ? answer() : response
  })

export const longerThan =
  (characters: number, status: number): Break =>
  async (request, next) =>
    request.url.slice(new URL(request.url).origin.length).length > characters ? empty(status) : next(request)

/** Gone for good after a body of this length. */
export function afterBody(length: number): Break {
  let isGone = false
  return async (request, next) => {
    isGone ||= request.body?.length === length
    return isGone ? empty(503) : next(request)
  }
}

/** Requests that are under way together read the same counter. */
export function sameSerialAtOnce(): Break {
  let underWay = 0
  const broken = onMessage('PKCSReq', '0', async (asked) => granting(asked, [await issue(asked, { serialNumber: Uint8Array.of(7) })]))
  return async (request, next, world) => {
    underWay++
    await new Promise(setImmediate)
    const isAlone = underWay === 1
    const response = await (isAlone ? next(request) : broken(request, next, world))
    underWay--
    return response
  }
}
