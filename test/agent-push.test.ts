import {
  type Agent,
  connectPush,
  createAgent,
  httpTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type Pass,
  policyService,
  registerDevice,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { createLab, serveLab } from '@certfleet/emulator/lab'
import { platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { labStore } from './fakes/lab-store.ts'
import { policyDocument } from './fakes/policy-document.ts'
import { makeKeyPool, pooledKeys } from './fakes/pooled-keys.ts'

const nextPass = (agent: Agent): Promise<Pass> =>
  new Promise((resolve) => {
    const leave = agent.on('pass', (pass) => {
      leave()
      resolve(pass)
    })
  })

t.test('a policy that changes in the lab is on the device at once, by push', async (t) => {
  let assigned = false
  const registrationToken = 'test-only-token'
  const lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken,
    policyFor: (deviceId) => {
      const whole = policyDocument(deviceId, lab.rootCertificate)
      const scepProfiles = whole.scepProfiles.map((profile) => ({ ...profile, scepUrls: [served.scepUrl] }))
      return { ...whole, scepProfiles: assigned ? scepProfiles : [] }
    },
  })
  const served = await serveLab(lab)
  const transport = httpTransport({ allowLoopback: true })
  t.teardown(async () => {
    await transport.close()
    await served.close()
  })
  const { policyUrl } = served
  const device = { deviceId: 'dev-1', platform: 'windows', osVersion: '11' }
  const { deviceId, credential } = await registerDevice({ policyUrl, transport, registrationToken, ...device })
  const system = { clock: systemClock, jitter: systemJitter }
  const agent = createAgent({
    ...system,
    ...policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() }),
    platform: platformAdapter('windows', {
      ...system,
      osVersion: '11',
      transport,
      keyStorageProviders: [pooledKeys(await makeKeyPool(1))],
      certificateStores: memoryStores(),
      identities: memoryIdentities(),
    }),
    state: memoryState(),
    connectPush: (onWake) => connectPush({ ...system, policyUrl, credential, onWake }),
  })

  const connected = new Promise<void>((resolve) => {
    let passes = 0
    // The first pass is the start's, the second the connection's own wake-up.
    const leave = agent.on('pass', () => {
      if (++passes < 2) return
      leave()
      resolve()
    })
  })
  agent.start()
  await connected
  const pass = nextPass(agent)
  assigned = true
  t.equal(await lab.policiesChanged(), 1)
  const { report } = await pass
  t.match(report.profiles, [{ profileId: 'wifi', state: 'installed' }])
  await agent.stop()
})
