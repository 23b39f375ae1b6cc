import type { Report, Reporter } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface ReporterUnderTest {
  readonly reporter: Reporter
  /** What the service was told, as JSON gives it back. */
  readonly received: () => readonly unknown[]
  readonly cut: () => void
}

const report: Report = {
  revision: 3,
  at: 1_700_000_000_000,
  platform: 'fake',
  results: [],
  roots: [{ profileId: 'root', store: 'computer-root', fingerprint: 'f1', installed: true }],
  profiles: [{ profileId: 'wifi', displayName: 'Wi-Fi', principal: 'device', state: 'installed', notAfter: 1_800_000_000_000 }],
  keyStorage: [{ protection: 'tpm', name: 'TPM', code: 'ERR_KEY_STORAGE_BUSY', message: 'busy' }],
}

/** What every `Reporter` promises (ports.ts). */
export async function reporterContract(t: Test, make: (t: Test) => Promise<ReporterUnderTest>): Promise<void> {
  await t.test('the report arrives whole', async (t) => {
    const { reporter, received } = await make(t)
    await reporter.send(report, new AbortController().signal)
    t.same(received(), [report])
  })
  await t.test('a service that is gone is an error, not silence', async (t) => {
    const { reporter, cut } = await make(t)
    cut()
    await t.rejects(reporter.send(report, new AbortController().signal), { code: 'ERR_NETWORK' })
  })
  await t.test('an aborted signal rejects with its reason', async (t) => {
    const { reporter, received } = await make(t)
    const reason = new Error('stopped')
    t.equal(await reporter.send(report, AbortSignal.abort(reason)).catch((error) => error), reason)
    t.same(received(), [])
  })
}
