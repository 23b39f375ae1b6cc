import * as certfleet from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'

const [policyUrl = '', registrationToken = '', path = 'agent-state'] = process.argv.slice(2) // `certfleet lab` prints the first two
const transport = certfleet.httpTransport({ allowLoopback: true }) // where `certfleet lab` listens
const system = { clock: certfleet.systemClock, jitter: certfleet.systemJitter, transport }
const folder = await certfleet.openStateFolder(path) // what the next process goes on from
const keys = await folder.softwareKeys({ passphrase: process.env.PASSPHRASE ?? 'for a try only' })
const laptop = { deviceId: 'laptop-1', platform: 'windows', osVersion: '11' }
const registration = await certfleet.registerDevice({ policyUrl, registrationToken, transport, ...laptop })
const { certificateStores, identities } = folder
const stores = { keyStorageProviders: [keys], certificateStores, identities }
const agent = certfleet.createAgent({
  ...system,
  ...certfleet.policyService({ policyUrl, ...registration, transport, cache: folder.policyCache }),
  platform: platformAdapter('windows', { ...system, ...stores, osVersion: '11' }),
  state: folder.state,
})
const { report } = await agent.runOnce()
for (const { displayName, state, serialNumber } of report.profiles) console.log(displayName, state, serialNumber)
await folder.close()
await transport.close()
