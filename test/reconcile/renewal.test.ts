import { type Agent, createAgent, type Pass, reconcile } from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { createLab, memoryLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, signal, start, type World, world } from './world.ts'

const pool = await makeKeyPool(4)
const authority = memoryLabStore()
await createLab({ store: authority, clock: new FakeClock(start), registrationToken: 'unused', policyFor: () => undefined })

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

for (const platform of ['ios', 'macos', 'android', 'windows'] as const) {
  t.test(`${platform} renews at its threshold: not a millisecond before, and then with a new key (S24)`, async (t) => {
    const device = await world({ pool, authority, platform })
    const agent = createAgent({ ...device.device(), checkInIntervalMs: 1000 * day })
    const first = nextPass(agent)
    agent.start()
    await first
    const before = await held(device)
    const thresholdAt = before.notAfter - Math.floor((before.notAfter - before.notBefore) * 0.2)

    await device.clock.advance(thresholdAt - device.clock.now() - 1)
    t.same((await held(device)).serialNumber, before.serialNumber, 'one millisecond before')
    t.equal([...device.lab.issued()].length, 1)

    const second = nextPass(agent)
    await device.clock.advance(1)
    const { report } = await second
    const after = await held(device)
    t.match(report.results, [
      { kind: 'renew', reason: 'RenewalDue', status: 'done' },
      { kind: 'destroy-key', reason: 'KeyUnreferenced' },
    ])
    t.not(Buffer.compare(after.serialNumber, before.serialNumber), 0, 'a new certificate')
    t.not(Buffer.compare(after.publicKey, before.publicKey), 0, 'a new key')
    t.same((await device.keys.list()).length, 1, 'the old key is gone')
    await agent.stop()
  })
}

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
