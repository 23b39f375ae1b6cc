import { AgentError, type ChallengeSource } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface ChallengeSourceUnderTest {
  /** The service has `challenge` for the profile `wifi`, needs none for `vpn` and knows no other. */
  readonly source: ChallengeSource
  readonly cut: () => void
}

const signal = new AbortController().signal

/** What every `ChallengeSource` promises (ports.ts). */
export async function challengeSourceContract(
  t: Test,
  make: (t: Test, challenge: string) => Promise<ChallengeSourceUnderTest>,
): Promise<void> {
  await t.test('it brings the challenge of the profile', async (t) => {
    const { source } = await make(t, 'p@ss "word" é')
    t.equal(await source.challengeFor('wifi', 'attempt-1', signal), 'p@ss "word" é')
  })
  await t.test('undefined says that none is needed', async (t) => {
    const { source } = await make(t, 'x')
    t.equal(await source.challengeFor('vpn', 'attempt-1', signal), undefined)
  })
  await t.test('a profile without one is ERR_CHALLENGE_UNAVAILABLE and named', async (t) => {
    const { source } = await make(t, 'x')
    await t.rejects(source.challengeFor('printer', 'attempt-1', signal), { code: 'ERR_CHALLENGE_UNAVAILABLE', message: /printer/ })
  })
  await t.test('a service that is gone is ERR_CHALLENGE_UNAVAILABLE', async (t) => {
    const { source, cut } = await make(t, 'x')
    cut()
    const error = await source.challengeFor('wifi', 'attempt-1', signal).catch((error) => error)
    t.ok(error instanceof AgentError)
    t.equal(error.code, 'ERR_CHALLENGE_UNAVAILABLE')
  })
  await t.test('an aborted signal rejects with its reason', async (t) => {
    const { source } = await make(t, 'x')
    const reason = new AgentError('ERR_NETWORK', 'the agent stops')
    t.equal(await source.challengeFor('wifi', 'attempt-1', AbortSignal.abort(reason)).catch((error) => error), reason)
  })
}
