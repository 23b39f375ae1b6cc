import type { EnrollmentProtocol, EnrollmentRequest } from '@certfleet/agent-core'
import type { Test } from 'tap'

/** What the CA behind a protocol does with the next request. */
export type CaMood = 'issues' | 'waits once' | 'refuses'

export interface ProtocolUnderTest {
  readonly protocol: EnrollmentProtocol
  readonly request: EnrollmentRequest
}

/** What every `EnrollmentProtocol` promises (ports.ts). `make` gives a CA in that mood and a request of a key of its own. */
export async function enrollmentProtocolContract(t: Test, make: (mood: CaMood) => Promise<ProtocolUnderTest>): Promise<void> {
  const signal = new AbortController().signal

  await t.test('issued: certificates, the one for the key among them', async (t) => {
    const { protocol, request } = await make('issues')
    const outcome = await protocol.request(request, signal)
    t.equal(outcome.status, 'issued')
    if (outcome.status !== 'issued') return
    t.ok(outcome.chain.some((der) => Buffer.from(der).includes(Buffer.from(request.key.publicKey))))
  })
  await t.test('a refusal is an answer, not an exception', async (t) => {
    const { protocol, request } = await make('refuses')
    t.match(await protocol.request(request, signal), { status: 'rejected', failInfo: String })
  })
  await t.test('pending is an answer, and a poll brings the outcome', async (t) => {
    const { protocol, request } = await make('waits once')
    t.match(await protocol.request(request, signal), { status: 'pending', transactionId: String })
    t.equal((await protocol.poll(request, signal)).status, 'issued')
  })
  await t.test('the same request again is the same transaction: one certificate', async (t) => {
    const { protocol, request } = await make('issues')
    const leaf = async () => {
      const outcome = await protocol.request(request, signal)
      return outcome.status === 'issued'
        ? outcome.chain.find((der) => Buffer.from(der).includes(Buffer.from(request.key.publicKey)))
        : undefined
    }
    const first = await leaf()
    t.ok(first)
    t.same(await leaf(), first)
  })
  await t.test('an aborted signal rejects with its reason', async (t) => {
    const { protocol, request } = await make('issues')
    const abort = new AbortController()
    abort.abort(new Error('stopped'))
    await t.rejects(protocol.request(request, abort.signal), { message: 'stopped' })
  })
}
