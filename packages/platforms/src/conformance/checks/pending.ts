import { type Check, holdsTrue, type SystemUnderTest, same } from '../check.ts'
import type { ConformanceDevice } from '../device.ts'
import { assigned, statusOf } from '../documents.ts'
import { profile, scepMessage, scepPayload } from '../messages.ts'
import { operationOf, pkiMessages } from '../wire.ts'

interface Row extends Pick<Check, 'source'> {
  readonly on: readonly SystemUnderTest[]
  /** Of the requests after the first, in milliseconds since it. */
  readonly pollsAtMs: readonly number[]
  readonly inWords: string
  readonly facts: readonly string[]
}

const minuteMs = 60_000

const rows: readonly Row[] = [
  {
    on: ['ios', 'macos'],
    pollsAtMs: [0, 10_000, 20_000],
    inWords: 'three polls: at once, then ten seconds apart',
    source: 'A-DM com.apple.security.scep Retries, RetryDelay; A-SEC SecSCEP',
    facts: ['apple.pending.polls', 'apple.pending.first-delay', 'apple.pending.delay'],
  },
  {
    on: ['android'],
    pollsAtMs: [minuteMs, 2 * minuteMs, 3 * minuteMs],
    inWords: 'three polls, a minute apart',
    source: 'SA-DEP Android sample RetryCount, RetryDelay',
    facts: ['android.pending.polls', 'android.pending.delay'],
  },
  {
    on: ['windows', 'windows-8.1'],
    pollsAtMs: [5 * minuteMs, 10 * minuteMs, 15 * minuteMs],
    inWords: 'three polls, five minutes apart',
    source: 'W-DDF Install/RetryCount, RetryDelay',
    facts: ['windows.pending.polls', 'windows.pending.delay'],
  },
]

/** Checks in whenever the device wants to, until nothing is pending any more; returns the last state. */
async function whilePending(device: ConformanceDevice): Promise<{ state: string; code?: string | undefined }> {
  for (let passes = 0; passes < 40; passes++) {
    const { state, code } = statusOf(await device.checkIn())
    if (state !== 'issuePending') return { state, code }
    const wakeAt = device.wakeAt()
    holdsTrue(wakeAt !== undefined, 'the device does not want to ask again')
    await device.session.advance?.(Math.max(0, wakeAt - device.session.clock.now()))
  }
  return { state: 'issuePending' }
}

function requestTimes({ exchanges }: ConformanceDevice): readonly number[] {
  const times = exchanges.filter(({ request }) => operationOf(request) === 'PKIOperation').map(({ at }) => at)
  return times.map((at) => at - (times[0] ?? 0))
}

const always = 1_000_000

/** RetryCount and RetryDelay as the delivery says them. */
const counted = (
  id: string,
  on: Row['on'],
  text: string,
  polls: number,
  minutes: number,
  facts: readonly string[],
  source: string,
): Check => ({
  id: `pending.${id}`,
  on,
  given: `a CA that answers PENDING for ever, and a delivery that says ${id.replaceAll('.', ' ')}`,
  expect: `${polls} polls, ${minutes} minutes apart; then the request has failed`,
  source,
  facts,
  needs: ['advance'],
  async run(context) {
    const [request] = context.read(text).scep
    const device = await assigned(context, { setup: { pendingAnswers: always }, ...(request?.retries && { retries: request.retries }) })
    const { code } = await whilePending(device)
    const times = requestTimes(device)
    same(times.length - 1, polls, 'polls')
    same(
      times.slice(1).map((at) => at / minuteMs),
      Array.from({ length: polls }, (_, poll) => (poll + 1) * minutes),
      'minutes from the first request',
    )
    same(code, 'ERR_PENDING_TIMEOUT', 'the profile fails with')
  },
})

const onWindows = (count: number, polls: number, facts: readonly string[]): Check => {
  const text = scepMessage({ RetryCount: String(count), RetryDelay: '2' })
  return counted(`retry-count.${count}`, ['windows'], text, polls, 2, facts, 'W-DDF Install/RetryCount, RetryDelay')
}

const deliveries: readonly Check[] = [
  onWindows(0, 0, []),
  onWindows(3, 3, ['windows.csp.retry-delay-unit']),
  onWindows(99, 30, ['windows.pending.most-polls']),
  counted(
    'retry-delay.0',
    ['windows'],
    scepMessage({ RetryDelay: '0' }),
    3,
    1,
    ['windows.pending.least-delay'],
    'W-DDF Install/RetryDelay',
  ),
  {
    id: 'pending.retries.2',
    on: ['ios', 'macos'],
    given: 'a CA that answers PENDING for ever, and a payload with Retries 2 and RetryDelay 60',
    expect: 'two polls: at once, then after a minute; then the request has failed',
    source: 'A-DM com.apple.security.scep Retries, RetryDelay; A-SEC SecSCEP',
    facts: ['apple.scep-payload.retry-delay'],
    needs: ['advance'],
    async run(context) {
      const [request] = context.read(profile([scepPayload({ Retries: 2, RetryDelay: 60 })])).scep
      const device = await assigned(context, { setup: { pendingAnswers: always }, ...(request?.retries && { retries: request.retries }) })
      await whilePending(device)
      same(requestTimes(device), [0, 0, minuteMs], 'milliseconds from the first request')
    },
  },
]

const defaults: readonly Check[] = rows.flatMap(({ on, pollsAtMs, inWords, source, facts }): Check[] => [
  {
    id: 'pending.polls',
    on,
    given: 'a CA that answers PENDING for ever, and defaults',
    expect: `${inWords}; then the request has failed`,
    source,
    facts,
    needs: ['advance'],
    async run(context) {
      const device = await assigned(context, { setup: { pendingAnswers: always } })
      const { code } = await whilePending(device)
      same(requestTimes(device), [0, ...pollsAtMs], 'milliseconds from the first request')
      same(code, 'ERR_PENDING_TIMEOUT', 'the profile fails with')
    },
  },
  {
    id: 'pending.messages',
    on,
    given: 'a CA that answers PENDING twice',
    expect: 'CertPoll with the same transactionID, the same signer and a new nonce, until the certificate is there',
    source: 'A-SEC SecSCEP; RFC8894 4.4; W-CE',
    facts: ['scep.polling'],
    needs: ['advance'],
    async run(context) {
      const device = await assigned(context, { setup: { pendingAnswers: 2 } })
      same((await whilePending(device)).state, 'installed', 'the profile')
      const messages = pkiMessages(device)
      same(
        messages.map(({ messageType }) => messageType),
        ['PKCSReq', 'CertPoll', 'CertPoll'],
        'messages',
      )
      same(new Set(messages.map(({ transactionId }) => transactionId)).size, 1, 'transactionIDs')
      same(new Set(messages.map(({ signer }) => Buffer.from(signer.subject).toString('hex'))).size, 1, 'signers')
      same(new Set(messages.map(({ senderNonce }) => Buffer.from(senderNonce).toString('hex'))).size, 3, 'nonces')
    },
  },
])

/** What a device does while the CA waits for a person. */
export const pendingChecks: readonly Check[] = [...defaults, ...deliveries]
