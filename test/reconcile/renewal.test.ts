import { type Agent, createAgent, type Pass, reconcile } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import t, { type Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, signal, start, type World, world } from './world.ts'

const pool = await makeKeyPool(4)
const authority = await labStore(new FakeClock(start))

async function held({ identities }: World) {
  const [identity] = await identities.list()
  if (!identity) throw new Error('nothing is installed')
  return parseCertificate(identity.chain[0] as Uint8Array)
}

const nextPass = (agent: Agent): Promise<Pass> =>
  new Promise((resolve) => {
    const leave = agent.on('pass', (pass) => {
      leave()
      resolve(pass)
    })
  })

const thresholdOf = ({ notBefore, notAfter }: { notBefore: number; notAfter: number }) =>
  notAfter - Math.floor((notAfter - notBefore) * 0.2)

async function assertRenewed(t: Test, device: World, before: Awaited<ReturnType<typeof held>>, { report }: Pass): Promise<void> {
  const after = await held(device)
  t.match(report.results, [
    { kind: 'renew', reason: 'RenewalDue', status: 'done' },
    { kind: 'destroy-key', reason: 'KeyUnreferenced' },
  ])
  t.not(Buffer.compare(after.serialNumber, before.serialNumber), 0, 'a new certificate')
  t.not(Buffer.compare(after.publicKey, before.publicKey), 0, 'a new key')
  t.same((await device.keys.list()).length, 1, 'the old key is gone')
}

for (const platform of ['android', 'windows'] as const) {
  t.test(`renewal.new-key: ${platform} renews at its threshold: not a millisecond before, and then with a new key (S24)`, async (t) => {
    const device = await world({ pool, authority, platform })
    const agent = createAgent({ ...device.device(), checkInIntervalMs: 1000 * day })
    const first = nextPass(agent)
    agent.start()
    await first
    const before = await held(device)

    await device.clock.advance(thresholdOf(before) - device.clock.now() - 1)
    t.same((await held(device)).serialNumber, before.serialNumber, 'one millisecond before')
    t.equal([...device.lab.issued()].length, 1)

    const second = nextPass(agent)
    await device.clock.advance(1)
    await assertRenewed(t, device, before, await second)
    await agent.stop()
  })
}

for (const platform of ['ios', 'macos'] as const) {
  t.test(`${platform} renews at the first check-in from its threshold on, and by no timer of its own`, async (t) => {
    const device = await world({ pool, authority, platform })
    const agent = createAgent({ ...device.device(), checkInIntervalMs: day })
    const first = nextPass(agent)
    agent.start()
    await first
    const before = await held(device)
    // The certificate is backdated, so that its threshold falls between two check-ins.
    const lastBefore = Math.floor((thresholdOf(before) - start) / day) * day
    await device.clock.advance(start + lastBefore - device.clock.now())
    await device.clock.advance(day - 1)
    t.ok(device.clock.now() > thresholdOf(before), 'it is due')
    t.equal([...device.lab.issued()].length, 1, 'and waits')

    const second = nextPass(agent)
    await device.clock.advance(1)
    await assertRenewed(t, device, before, await second)
    await agent.stop()
  })
}

t.test('ios: locked through the whole window it is stuck, until the profile went and came back', async (t) => {
  let locked = true
  const device = await world({ pool, authority, platform: 'ios', isLocked: async () => locked })
  await reconcile(device.device(), signal)
  const before = await held(device)
  await device.clock.advance(before.notAfter - device.clock.now() - 1)
  const { report: waiting } = await reconcile(device.device(), signal)
  t.match(waiting, { results: [], profiles: [{ state: 'installed', code: 'ERR_DEVICE_LOCKED', message: /unlock it/ }] })

  locked = false
  await device.clock.advance(1)
  for (const pause of [0, 30 * day]) {
    await device.clock.advance(pause)
    const { report, wakeAt } = await reconcile(device.device(), signal)
    t.match(report.results, [{ kind: 'fail', reason: 'RenewalMissed', code: 'ERR_RENEWAL_MISSED' }])
    t.match(report.profiles, [{ state: 'installed', notAfter: before.notAfter, code: 'ERR_RENEWAL_MISSED', message: /assign it again/ }])
    t.equal(wakeAt, undefined)
  }
  t.equal([...device.lab.issued()].length, 1)

  device.edit((document) => ({ ...document, scepProfiles: [] }))
  t.match((await reconcile(device.device(), signal)).report.results, [{ kind: 'remove-identity' }, { kind: 'destroy-key' }])
  device.edit((document) => document)
  t.match((await reconcile(device.device(), signal)).report.profiles, [{ state: 'installed', code: undefined }])
  t.ok((await held(device)).notAfter > device.clock.now())
})

t.test('the old certificate stays until the new one is installed', async (t) => {
  let refuse = false
  const device = await world({ pool, authority, approve: () => (refuse ? { failInfo: 'badRequest' } : 'issue') })
  await reconcile(device.device(), signal)
  const before = await held(device)
  await device.clock.advance(85 * day)
  refuse = true
  const { report } = await reconcile(device.device(), signal)
  t.match(report.profiles, [{ state: 'installed', code: 'ERR_ENROLLMENT_REJECTED' }])
  t.same((await held(device)).serialNumber, before.serialNumber)
  t.equal((await device.keys.list()).length, 1, 'the key of the refused attempt is gone')
})
