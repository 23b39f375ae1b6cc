import * as certfleet from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'

const [policyUrl = '', registrationToken = ''] = process.argv.slice(2) // `certfleet lab` prints both
const transport = certfleet.httpTransport({ allowLoopback: true }) // where `certfleet lab` listens
const system = { clock: certfleet.systemClock, jitter: certfleet.systemJitter, transport }
const laptop = { deviceId: 'laptop-1', platform: 'windows', osVersion: '11' }
const registration = await certfleet.registerDevice({ policyUrl, registrationToken, transport, ...laptop })
const keyStorageProviders = [certfleet.softwareKeys()]
const stores = { keyStorageProviders, certificateStores: certfleet.memoryStores(), identities: certfleet.memoryIdentities() }
const agent = certfleet.createAgent({
  ...system,
  ...certfleet.policyService({ policyUrl, ...registration, transport, cache: certfleet.memoryPolicyCache() }),
  platform: platformAdapter('windows', { ...system, ...stores, osVersion: '11' }),
  state: certfleet.memoryState(),
})
const { report } = await agent.runOnce()
for (const { displayName, state, serialNumber } of report.profiles) console.log(displayName, state, serialNumber)
await transport.close()
