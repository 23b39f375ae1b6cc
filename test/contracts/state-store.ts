import type { EnrollmentAttempt, Failure, PendingEnrollment, StateStore } from '@certfleet/agent-core'
import type { Test } from 'tap'

/** One to begin. */
export const sampleAttempt: EnrollmentAttempt = {
  id: 'a1',
  keyLabel: 'k1',
  placement: { protection: 'tpm', provider: 'TPM "é"', reason: 'tpm-ready' },
  requested: {
    subject: 'CN=dév,O="A, B"',
    subjectAltNames: [{ type: 'upn', value: 'user@example.com' }],
    keySpec: { algorithm: 'rsa', bits: 2048 },
    keyStorage: 'useSoftwareKsp',
    keyUsages: ['digitalSignature', 'keyEncipherment'],
    extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
    validity: { value: 1, scale: 'years' },
    rootFingerprint: 'r1',
  },
}
const pending: PendingEnrollment = { transactionId: 't1', pollAt: 1_700_000_000_000, pollsLeft: 3 }
const failure: Failure = { code: 'ERR_NETWORK', retry: 'backoff', count: 2, lastAt: 5, retryAt: 7.5, revision: 3, digest: 'd1' }

export interface StateStoreUnderTest {
  readonly store: StateStore
  /** The store as the next process finds it; the same one where there is no next process. */
  readonly restart: () => Promise<StateStore>
}

/** What every `StateStore` promises (ports.ts). */
export async function stateStoreContract(t: Test, make: (t: Test) => Promise<StateStoreUnderTest>): Promise<void> {
  await t.test('a new store is empty', async (t) => {
    const { store } = await make(t)
    t.same(await store.load(), { attempts: new Map(), pending: new Map(), failures: new Map() })
  })
  await t.test('all that was recorded is there, and after a restart', async (t) => {
    const { store, restart } = await make(t)
    await store.beginAttempt('device/wifi', sampleAttempt)
    await store.recordPending('device/wifi', pending)
    await store.recordFailure('user/vpn', failure)
    const expected = {
      attempts: new Map([['device/wifi', sampleAttempt]]),
      pending: new Map([['device/wifi', pending]]),
      failures: new Map([['user/vpn', failure]]),
    }
    t.same(await store.load(), expected)
    t.same(await (await restart()).load(), expected)
  })
  await t.test('an attempt for a PFX is kept as it is', async (t) => {
    const { store, restart } = await make(t)
    const requested = {
      kind: 'imported',
      certificateRevision: 'é1',
      keyStorage: 'useSoftwareKsp',
      exportable: true,
      rootFingerprint: 'r1',
    } as const
    await store.beginAttempt('user/mail', { ...sampleAttempt, requested })
    t.same((await (await restart()).load()).attempts.get('user/mail'), { ...sampleAttempt, requested })
  })
  await t.test('beginning an attempt while one is unfinished gives the unfinished one, after a restart too', async (t) => {
    const { store, restart } = await make(t)
    t.same(await store.beginAttempt('device/wifi', sampleAttempt), sampleAttempt)
    t.same(await store.beginAttempt('device/wifi', { ...sampleAttempt, id: 'a2' }), sampleAttempt)
    t.same(await (await restart()).beginAttempt('device/wifi', { ...sampleAttempt, id: 'a3' }), sampleAttempt)
  })
  await t.test('of two that begin at once, both get the same attempt', async (t) => {
    const { store } = await make(t)
    const [first, second] = await Promise.all([
      store.beginAttempt('device/wifi', sampleAttempt),
      store.beginAttempt('device/wifi', { ...sampleAttempt, id: 'a2' }),
    ])
    t.same(second, first)
  })
  await t.test(
    'what was issued is kept with its attempt and ends its poll, after a restart too; without an attempt it is not kept',
    async (t) => {
      const { store, restart } = await make(t)
      const issued = [new Uint8Array([0x30, 0x00]), new Uint8Array([0x30, 0x01, 0xff])]
      await store.beginAttempt('device/wifi', sampleAttempt)
      await store.recordPending('device/wifi', pending)
      await store.recordIssued('device/wifi', issued)
      await store.recordIssued('user/vpn', issued)
      const expected = { attempts: new Map([['device/wifi', { ...sampleAttempt, issued }]]), pending: new Map(), failures: new Map() }
      t.same(await store.load(), expected)
      const next = await restart()
      t.same(await next.load(), expected)
      await next.endAttempt('device/wifi', { clearFailure: false })
      t.same((await next.load()).attempts, new Map())
    },
  )
  await t.test('the device and its user have attempts of their own', async (t) => {
    const { store } = await make(t)
    await store.beginAttempt('device/wifi', sampleAttempt)
    t.equal((await store.beginAttempt('user/wifi', { ...sampleAttempt, id: 'a2' })).id, 'a2')
  })
  await t.test('the end of an attempt forgets it and its poll, and leaves the others', async (t) => {
    const { store, restart } = await make(t)
    for (const key of ['device/wifi', 'device/vpn'] as const) {
      await store.beginAttempt(key, sampleAttempt)
      await store.recordPending(key, pending)
      await store.recordFailure(key, failure)
    }
    await store.endAttempt('device/wifi', { clearFailure: false })
    const left = await (await restart()).load()
    t.same([...left.attempts.keys()], ['device/vpn'])
    t.same([...left.pending.keys()], ['device/vpn'])
    t.same([...left.failures.keys()], ['device/wifi', 'device/vpn'])
  })
  await t.test('clearFailure forgets the failure too', async (t) => {
    const { store, restart } = await make(t)
    await store.recordFailure('device/wifi', failure)
    await store.endAttempt('device/wifi', { clearFailure: true })
    t.equal((await (await restart()).load()).failures.size, 0)
  })
  await t.test('a later failure and a later poll replace the earlier', async (t) => {
    const { store } = await make(t)
    await store.recordFailure('device/wifi', failure)
    await store.recordFailure('device/wifi', { ...failure, count: 3 })
    await store.recordPending('device/wifi', pending)
    await store.recordPending('device/wifi', { ...pending, pollsLeft: 2 })
    const { failures, pending: polls } = await store.load()
    t.equal(failures.get('device/wifi')?.count, 3)
    t.equal(polls.get('device/wifi')?.pollsLeft, 2)
  })
  await t.test('ending what never began is not an error', async (t) => {
    const { store } = await make(t)
    await store.endAttempt('device/wifi', { clearFailure: true })
    t.same(await store.load(), { attempts: new Map(), pending: new Map(), failures: new Map() })
  })
  await t.test('what was loaded is not changed by what comes later', async (t) => {
    const { store } = await make(t)
    const before = await store.load()
    await store.beginAttempt('device/wifi', sampleAttempt)
    t.equal(before.attempts.size, 0)
  })
  await t.test('ids that name members of every object are ids like others', async (t) => {
    const { store, restart } = await make(t)
    for (const key of ['device/__proto__', 'device/constructor'] as const) await store.beginAttempt(key, sampleAttempt)
    t.same([...(await (await restart()).load()).attempts.keys()], ['device/__proto__', 'device/constructor'])
  })
}
