import { systemClock } from '@certfleet/agent-core'
import { beginFleetRun, openFleetState } from '@certfleet/emulator/fleet'
import { sampleIdentity } from '../contracts/identity-store.ts'
import { testCertificate } from '../fakes/certificates.ts'
import { testEmulationKeys } from './emulated-keys.ts'
import { type StateStart, testDevices } from './state-devices.ts'

/** Fills the devices of a fleet one after the other, telling of each once it is full, until it is killed. */
const { folder, from, leads } = JSON.parse(process.argv[2] as string) as StateStart
if (leads) await beginFleetRun(folder, { seed: 1, devices: testDevices, keys: 'primes', target: 'the embedded lab', startedAt: 0 })
const keys = await testEmulationKeys({ devices: testDevices.length, keysPerDevice: 4 })
const state = openFleetState(folder, { clock: systemClock, keys })
for (let index = from; ; index += 2) {
  const spec = testDevices[index % testDevices.length] as (typeof testDevices)[number]
  const storage = await state.storageFor(spec, index % testDevices.length)
  const provider = storage.keyStorageProviders[1] as (typeof storage.keyStorageProviders)[number]
  await storage.saveRegistration({ deviceId: spec.id, credential: `credential of ${spec.id}` })
  const key = (await provider.open('k1')) ?? (await provider.generate({ algorithm: 'rsa', bits: 2048 }, 'k1'))
  const certificate = await testCertificate({ subject: `CN=${spec.id}`, key })
  await storage.policyCache.save({ etag: `"${index}"`, body: certificate })
  await storage.identities.install({ ...sampleIdentity, chain: [certificate] })
  await storage.close()
  console.log(JSON.stringify({ id: spec.id, certificate: Buffer.from(certificate).toString('base64') }))
}
