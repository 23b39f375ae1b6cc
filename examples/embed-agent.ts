import {
  createAgent,
  httpTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  softwareKeys,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'

const [policyUrl = '', registrationToken = ''] = process.argv.slice(2) // `certfleet lab` prints both
const transport = httpTransport()
const system = { clock: systemClock, jitter: systemJitter, transport }
const { deviceId, credential } = await registerDevice({
  policyUrl,
  registrationToken,
  transport,
  deviceId: 'laptop-1',
  platform: 'windows',
  osVersion: '11',
})
const stores = { keyStorageProviders: [softwareKeys()], certificateStores: memoryStores(), identities: memoryIdentities() }
const platform = platformAdapter('windows', { ...system, ...stores, osVersion: '11' })
const service = policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() })
const agent = createAgent({ ...system, ...service, platform, state: memoryState() })
const { report } = await agent.runOnce()
for (const { displayName, state, serialNumber } of report.profiles) console.log(displayName, state, serialNumber)
await transport.close()
