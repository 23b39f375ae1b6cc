import type { Identity, IdentityStore } from '@certfleet/agent-core'
import type { Test } from 'tap'

/** One to install. */
export const sampleIdentity: Identity = {
  profileId: 'wifi',
  principal: 'device',
  chain: [Uint8Array.of(1)],
  keyLabel: 'k1',
  placement: { protection: 'software', provider: 'software KSP', reason: 'tpm-absent' },
  requested: {
    subject: 'CN=dev',
    subjectAltNames: [],
    keySpec: { algorithm: 'rsa', bits: 2048 },
    keyStorage: 'useSoftwareKsp',
    keyUsages: [],
    extendedKeyUsages: [],
    validity: { value: 1, scale: 'years' },
    rootFingerprint: 'r1',
  },
  renewalJitterMs: 5,
}

/** What every `IdentityStore` promises (ports.ts). */
export async function identityStoreContract(t: Test, make: (t: Test) => Promise<IdentityStore>): Promise<void> {
  await t.test('what was installed is listed, whole', async (t) => {
    const store = await make(t)
    await store.install(sampleIdentity)
    t.same(await store.list(), [sampleIdentity])
    const released = { ...sampleIdentity, releasedBy: 'unassigned' } as const
    await store.install(released)
    t.same(await store.list(), [released], 'what a removal event left there is marked by it')
  })
  await t.test('one identity a profile and principal: the new one replaces the old', async (t) => {
    const store = await make(t)
    await store.install(sampleIdentity)
    await store.install({ ...sampleIdentity, keyLabel: 'k2' })
    t.same(
      (await store.list()).map(({ keyLabel }) => keyLabel),
      ['k2'],
    )
  })
  await t.test('the device and its user each have their own', async (t) => {
    const store = await make(t)
    await store.install(sampleIdentity)
    await store.install({ ...sampleIdentity, principal: 'user' })
    t.equal((await store.list()).length, 2)
  })
  await t.test('removing takes only that one; removing what is not there is not an error', async (t) => {
    const store = await make(t)
    await store.install(sampleIdentity)
    await store.install({ ...sampleIdentity, principal: 'user' })
    await store.remove('device/wifi')
    await store.remove('device/wifi')
    t.same(
      (await store.list()).map(({ principal }) => principal),
      ['user'],
    )
  })
}
