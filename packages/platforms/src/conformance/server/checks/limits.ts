import { randomBytes } from 'node:crypto'
import { AgentError, type HttpRequest } from '@certfleet/agent-core'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { describe, isFailure } from '../reply.ts'
import { exchanged, requested, sealed, type Wanted, want } from '../request.ts'
import { type ServerSession, wrongChallenge } from '../session.ts'
import { concurrencyCheck } from './concurrency.ts'

const oversizedBytes = 4 * 1024 * 1024
/** S56: of path and query together, as IIS and HTTP.sys are set for NDES. */
const longestUrl = 65_534

/** How much a server takes, by which method, and what becomes of it when it is given nonsense. */
export const limitChecks: readonly ServerCheck[] = [
  {
    id: 'server.method.post',
    on: everywhere,
    given: 'PKIOperation by POST, where GetCACaps lists POSTPKIOperation',
    expect: 'a CertRep, whatever it says',
    source: 'RFC8894 3.5.2, 4.1, 4.3',
    async run(session) {
      if (!(await session.capabilities()).offered.has('POSTPKIOperation')) throw new Skipped('GetCACaps does not list POSTPKIOperation')
      await assertAnswered(session, 'POST', 'GET')
    },
  },
  {
    id: 'server.method.get',
    on: everywhere,
    given: 'PKIOperation by GET, the message in base64 with its "+" and "/" escaped',
    expect: 'a CertRep, whatever it says: clients go on by GET where a proxy takes POST away, and iOS was seen to',
    source: 'RFC8894 4.1, 4.3; ID-NDES iOS log',
    async run(session) {
      await assertAnswered(session, 'GET', 'POST')
    },
  },
  {
    id: 'server.url-length',
    on: everywhere,
    given: 'PKIOperation by GET with 65534 characters of path and query, and with 65535',
    expect: 'at NDES the first passes the filter and the second is answered 414; of other servers it is told what they do',
    source: 'SEED S56; ID-NDES 414',
    async run(session) {
      const statuses = [await statusAt(session, longestUrl), await statusAt(session, longestUrl + 1)]
      const told = `a URL of ${longestUrl} characters is answered with ${statuses[0]}, one more with ${statuses[1]}`
      if (!/\/mscep\.dll(\/pkiclient\.exe)?$/i.test(new URL(session.target.url).pathname))
        throw new Skipped(`it is not the path of NDES; ${told}`)
      const isCut = [404, 413, 414, 431, 'no answer'].includes(statuses[0] ?? '')
      holdsTrue(!isCut && statuses[1] === 414, told)
    },
  },
  // What may harm the server comes last.
  concurrencyCheck,
  {
    id: 'server.message.garbage',
    on: everywhere,
    given: 'PKIOperation with octets that are no message',
    expect: 'it is refused, and the server goes on',
    source: 'RFC8894 3.2.1.4, 4.3',
    async run(session) {
      await assertSurvived(session, randomBytes(1024), 'a message of random octets')
    },
  },
  {
    id: 'server.message.oversized',
    on: everywhere,
    given: 'PKIOperation with a body of 4 MiB',
    expect: 'it is refused, or cut off, and the server goes on',
    source: 'RFC8894 4.3',
    async run(session) {
      const begins = Uint8Array.of(0x30, 0x83, 0x3f, 0xff, 0xfc)
      await assertSurvived(session, Buffer.concat([begins, Buffer.alloc(oversizedBytes - begins.length)]), 'a body of 4 MiB')
    },
  },
]

/** With a wrong challenge, so that nothing is issued by it. If the other method fares no better, it is not the method's fault. */
async function assertAnswered(session: ServerSession, method: HttpRequest['method'], other: HttpRequest['method']): Promise<void> {
  const wanted = await want(session, { challenge: wrongChallenge() })
  const { answer } = await exchanged(session, wanted, await awkward(session, wanted), method)
  if (answer.kind === 'reply') return
  const { answer: byOther } = await requested(session, { challenge: wrongChallenge() }, other)
  if (byOther.kind !== 'reply') throw new Skipped(`a request with a wrong challenge is answered with ${describe(answer)}, by ${other} too`)
  holdsTrue(false, `PKIOperation by ${method} is answered with ${describe(answer)}, and by ${other} with a CertRep`)
}

/** The base64 of the message has both characters that mean something else in a query. */
async function awkward(session: ServerSession, wanted: Wanted) {
  for (;;) {
    const made = await sealed(session, wanted)
    const text = Buffer.from(made.message).toString('base64')
    if (text.includes('+') && text.includes('/')) return made
  }
}

async function statusAt({ target, habits, signal }: ServerSession, length: number): Promise<number | 'no answer'> {
  const { origin } = new URL(target.url)
  const path = `${target.url.slice(origin.length)}?operation=PKIOperation&message=`
  const request = { method: 'GET', url: origin + path.padEnd(length, 'A'), headers: { 'user-agent': habits.userAgent } } as const
  return (await sent(() => target.transport.send(request, signal)))?.status ?? 'no answer'
}

async function assertSurvived(session: ServerSession, body: Uint8Array, what: string): Promise<void> {
  const nobody = await session.once('nobody', () => want(session))
  const answer = (await sent(() => exchanged(session, nobody, { message: body, senderNonce: new Uint8Array() }, 'POST')))?.answer
  const isRefused = answer === undefined || isFailure(answer) || (answer.kind === 'http' && answer.status >= 400)
  holdsTrue(isRefused, `${what} is answered with ${answer && describe(answer)}, expected a refusal`)
  const { status } = await session.ask('GetCACaps')
  holdsTrue(status === 200, `after ${what} GetCACaps is answered with HTTP status ${status}`)
}

/** Undefined where the connection was cut. */
async function sent<T>(send: () => Promise<T>): Promise<T | undefined> {
  try {
    return await send()
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ERR_NETWORK') return undefined
    throw error
  }
}
