import { writeSync } from 'node:fs'
import {
  type Device,
  type Disk,
  httpTransport,
  managementIdentity,
  managementKeyLabel,
  openStateFolder,
  type PfxSource,
  policyService,
  reconcile,
  systemClock,
} from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'
import { systemDisk } from '#agent-core/state/disk.ts'
import { stepping } from '../fakes/crashing.ts'
import { givenKeys } from './given-keys.ts'
import { type DeviceStart, deviceId, folderSecret, type Order, type Settled } from './life.ts'

// One process of a device: it names each step of each of its ports on stdout, and ends itself, without a word, at the step it is told.
const start = JSON.parse(process.argv[2] as string) as DeviceStart
let order: Order = start
let steps = 0
let passesMs = 0

const mostPasses = 12
const betweenPassesMs = 10 * 60_000
const signal = new AbortController().signal
const clock = { now: () => order.at + passesMs, sleep: systemClock.sleep }
const jitter = { between: (minMs: number) => minMs }

function onStep(call: string): void {
  writeSync(1, `${call}\n`)
  if (steps++ === order.killAt) process.kill(process.pid, 'SIGKILL')
}

const port = <T extends object>(port: T, name: string): T => stepping(port, name, onStep)

/** A write that a kill can fall into. */
const disk: Disk = {
  ...systemDisk,
  async write(path, bytes) {
    await systemDisk.write(path, bytes.subarray(0, bytes.length / 2))
    onStep('within disk write')
    await systemDisk.write(path, bytes)
  },
}

const folder = await openStateFolder(start.folder, { disk: port(disk, 'disk') })
const network = httpTransport({ allowLoopback: true })
const transport = port(network, 'transport')
const cache = port(folder.policyCache, 'policy cache')
const { policyUrl, credential, managementKey } = start
const fresh = start.keys.values()
const keyFor = (label: string) => (label === managementKeyLabel ? managementKey : fresh.next().value)
const keys = port(givenKeys(await folder.softwareKeys(folderSecret), keyFor), 'keys')
const management = await managementIdentity(keys)
const service = policyService({ policyUrl, deviceId, credential, transport, cache, management })
const device: Device = {
  clock,
  jitter,
  policySource: port(service.policySource, 'policy source'),
  challengeSource: port(service.challengeSource, 'challenge source'),
  pfxSource: port(service.pfxSource as PfxSource, 'PFX source'),
  reporter: port(service.reporter, 'reporter'),
  state: port(folder.state, 'state'),
  platform: platformAdapter('windows', {
    osVersion: '11',
    keyStorageProviders: [keys],
    certificateStores: port(folder.certificateStores, 'stores'),
    identities: port(folder.identities, 'identities'),
    transport,
    clock,
    jitter,
    allowHttp: true,
  }),
}

/** Passes until one has nothing to do and nothing to wait for. */
async function settle(): Promise<void> {
  for (let pass = 0; pass < mostPasses; pass++) {
    const { report } = await reconcile(device, signal)
    const { attempts } = await folder.state.load()
    if (report.results.length === 0 && attempts.size === 0) return
    passesMs += betweenPassesMs
  }
  throw new Error(`the device does not settle in ${mostPasses} passes`)
}

for (let next: Order | 'end' = order; next !== 'end'; ) {
  order = next
  await settle()
  next = await new Promise<Order | 'end'>((resolve) => {
    process.once('message', (message) => resolve(message as Order | 'end'))
    process.send?.({ steps } satisfies Settled)
  })
  steps = 0
  passesMs = 0
}
await folder.close()
await network.close()
process.disconnect()
