import { AgentError, type PlatformAdapter, type ScepProfile, type TrustedRootProfile } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface SampleProfiles {
  /** Carries a self-signed certificate. */
  readonly root: TrustedRootProfile
  /** Asks for nothing that any OS refuses. */
  readonly scep: ScepProfile
}

/** What every `PlatformAdapter` promises (ports.ts). */
export async function platformAdapterContract(t: Test, adapter: PlatformAdapter, { root, scep }: SampleProfiles): Promise<void> {
  await t.test('a trusted profile has one store, whatever destination it names, and its certificate is taken there', async (t) => {
    for (const destinationStore of ['computer-root', 'computer-intermediate', 'user-intermediate'] as const) {
      const store = adapter.storeFor({ ...root, destinationStore })
      await adapter.certificateStores.install(store, root.certificate)
      t.ok(
        (await adapter.certificateStores.list()).some(
          (installed) => installed.store === store && installed.fingerprint === root.fingerprint,
        ),
      )
    }
  })
  await t.test('a request is the same at every look, and still for the same subject under the same root', async (t) => {
    const request = adapter.requestFor(scep)
    t.same(adapter.requestFor(scep), request)
    t.match(request, { subject: scep.request.subject, rootFingerprint: scep.request.rootFingerprint })
  })
  await t.test('what has no effect on its OS is named, without an error', async (t) => {
    t.same(adapter.ignoredSettings(scep), [])
    const asksForTpm = { ...scep, request: { ...scep.request, keyStorage: 'useTpmKspOtherwiseUseSoftwareKsp' } } as const
    const isIgnored = adapter.requestFor(asksForTpm).keyStorage === 'useSoftwareKsp'
    t.same(adapter.ignoredSettings(asksForTpm), isIgnored ? ['keyStorage'] : [])
  })
  await t.test('what its OS refuses is ERR_UNSUPPORTED with a reason, never another error', async (t) => {
    const impossible = { ...scep, request: { ...scep.request, keySpec: { algorithm: 'rsa', bits: 512 } } } as const
    const judge = () => adapter.requestFor(impossible)
    t.throws(judge, AgentError)
    t.throws(judge, { code: 'ERR_UNSUPPORTED', message: /512/ })
  })
  await t.test('a protocol client has a name', async (t) => {
    t.equal(adapter.protocolFor(scep, root.certificate).name, 'scep')
  })
  await t.test('PENDING is polled a bounded number of times', async (t) => {
    const { polls, firstDelayMs, delayMs } = adapter.pendingSchedule
    t.ok(polls > 0 && polls <= 30 && firstDelayMs >= 0 && delayMs > 0)
  })
  await t.test('it knows whether it is locked', async (t) => {
    t.type(await adapter.isLocked(), 'boolean')
  })
}
