import { createPrivateKey } from 'node:crypto'
import { writeSync } from 'node:fs'
import {
  type Device,
  type Disk,
  httpTransport,
  type KeyStorageProvider,
  openStateFolder,
  policyService,
  reconcile,
  type StateFolder,
  systemClock,
} from '@certfleet/agent-core'
import { platformAdapter } from '@certfleet/platforms'
import { systemDisk } from '#agent-core/state/disk.ts'
import { stepping } from '../fakes/crashing.ts'
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

/** Keys go to the folder like any others; making them would take most of the time. */
async function keysOf(folder: StateFolder): Promise<KeyStorageProvider> {
  const keys = await folder.softwareKeys(folderSecret)
  const fresh = start.keys.values()
  return {
    ...keys,
    async generate(_spec, label) {
      const { value } = fresh.next()
      if (value === undefined || !keys.import) throw new Error('no key is left')
      return keys.import(createPrivateKey({ key: Buffer.from(value, 'base64'), format: 'der', type: 'pkcs8' }), label, {
        exportable: false,
      })
    },
  }
}

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
const { policyUrl, credential } = start
const { policySource, challengeSource, reporter } = policyService({ policyUrl, deviceId, credential, transport, cache })
const device: Device = {
  clock,
  jitter,
  policySource: port(policySource, 'policy source'),
  challengeSource: port(challengeSource, 'challenge source'),
  reporter: port(reporter, 'reporter'),
  state: port(folder.state, 'state'),
  platform: platformAdapter('windows', {
    osVersion: '11',
    keyStorageProviders: [port(await keysOf(folder), 'keys')],
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
