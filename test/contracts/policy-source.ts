import { AgentError, type PolicyDocument, type PolicySource } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface PolicySourceUnderTest {
  readonly source: PolicySource
  /** From now on the service has this document. */
  readonly publish: (document: PolicyDocument) => void
  /** From now on the service cannot be reached. */
  readonly cut: () => void
}

const signal = new AbortController().signal

export const emptyPolicy: PolicyDocument = {
  schemaVersion: 1,
  revision: 3,
  deviceId: 'device-1',
  trustedRoots: [],
  scepProfiles: [],
  failedProfiles: [],
}

/** What every `PolicySource` promises (ports.ts), of a device named `device-1`. */
export async function policySourceContract(t: Test, make: (t: Test) => Promise<PolicySourceUnderTest>): Promise<void> {
  await t.test('it brings the policy, and the same again while nothing is newer', async (t) => {
    const { source, publish } = await make(t)
    publish(emptyPolicy)
    const first = await source.fetch(signal)
    t.same(first, { revision: 3, trustedRoots: [], scepProfiles: [], pfxProfiles: [], failedProfiles: [] })
    t.same(await source.fetch(signal), first)
  })
  await t.test('a higher revision replaces it', async (t) => {
    const { source, publish } = await make(t)
    publish(emptyPolicy)
    await source.fetch(signal)
    publish({ ...emptyPolicy, revision: 4 })
    t.equal((await source.fetch(signal)).revision, 4)
  })
  await t.test('a lower revision is ERR_POLICY_ROLLBACK', async (t) => {
    const { source, publish } = await make(t)
    publish(emptyPolicy)
    await source.fetch(signal)
    publish({ ...emptyPolicy, revision: 2 })
    await t.rejects(source.fetch(signal), { code: 'ERR_POLICY_ROLLBACK' })
  })
  await t.test('the last good policy stands in for a service that is gone', async (t) => {
    const { source, publish, cut } = await make(t)
    publish(emptyPolicy)
    await source.fetch(signal)
    cut()
    t.equal((await source.fetch(signal)).revision, 3)
  })
  await t.test('without a last good policy that is an error', async (t) => {
    const { source, cut } = await make(t)
    cut()
    await t.rejects(source.fetch(signal), { code: 'ERR_NETWORK' })
  })
  await t.test('an aborted signal rejects with its reason, last good policy or not', async (t) => {
    const { source, publish } = await make(t)
    publish(emptyPolicy)
    await source.fetch(signal)
    const reason = new AgentError('ERR_NETWORK', 'the agent stops')
    t.equal(await source.fetch(AbortSignal.abort(reason)).catch((error) => error), reason)
  })
}
