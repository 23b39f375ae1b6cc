import { AgentError, type DeliveredPfx, type PfxSource } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface PfxSourceUnderTest {
  /** The service has `delivered` for the profile `mail` and knows no other. */
  readonly source: PfxSource
  /** From now on the password that it sends is for another device. */
  readonly misdirect: () => void
  readonly cut: () => void
}

const signal = new AbortController().signal

/** What every `PfxSource` promises (ports.ts). */
export async function pfxSourceContract(t: Test, make: (t: Test, delivered: DeliveredPfx) => Promise<PfxSourceUnderTest>): Promise<void> {
  const delivered = { pfx: Uint8Array.of(0x30, 0x03, 0x02, 0x01, 0x03), password: '\ufeffp@ss "word" é' }
  await t.test('it brings the file and its password as they are', async (t) => {
    const { source } = await make(t, delivered)
    t.same(await source.pfxFor('mail', 'attempt-1', signal), delivered)
  })
  await t.test('a profile without one is ERR_PFX_UNAVAILABLE and named', async (t) => {
    const { source } = await make(t, delivered)
    await t.rejects(source.pfxFor('printer', 'attempt-1', signal), { code: 'ERR_PFX_UNAVAILABLE', message: /printer/ })
  })
  await t.test('a password for another device is ERR_CMS_DECRYPT', async (t) => {
    const { source, misdirect } = await make(t, delivered)
    misdirect()
    await t.rejects(source.pfxFor('mail', 'attempt-1', signal), { code: 'ERR_CMS_DECRYPT' })
  })
  await t.test('a service that is gone is ERR_PFX_UNAVAILABLE', async (t) => {
    const { source, cut } = await make(t, delivered)
    cut()
    await t.rejects(source.pfxFor('mail', 'attempt-1', signal), { code: 'ERR_PFX_UNAVAILABLE' })
  })
  await t.test('an aborted signal rejects with its reason', async (t) => {
    const { source } = await make(t, delivered)
    const reason = new AgentError('ERR_NETWORK', 'the agent stops')
    t.equal(await source.pfxFor('mail', 'attempt-1', AbortSignal.abort(reason)).catch((error) => error), reason)
  })
}
