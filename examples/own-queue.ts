// A run over a queue of your own: put yours in the place of memoryQueue. Of what happens here `certfleet run --queue` does the first and the
// last part, and `certfleet worker` the middle, each on a machine of its own.
import { systemClock } from '@certfleet/agent-core'
import {
  type DeviceNews,
  followRun,
  memoryQueue,
  parseScenario,
  type RunSubmission,
  runManifestOf,
  type ShardQueue,
  startEmbeddedLab,
  workerFacts,
  workOff,
} from '@certfleet/emulator/fleet'
import { generateTenant, loadExport, retarget } from '@certfleet/emulator/tenant'

const queue: ShardQueue = memoryQueue({ clock: systemClock, leaseMs: 30_000 })
const folder = process.argv[2] ?? 'profiles'
const [clock, over] = [systemClock, new AbortController()]

// What is to be done: four devices in two shards.
const tenant = generateTenant({ counts: { ios: 2, android: 2 }, domain: 'contoso.example' })
const lab = await startEmbeddedLab({ tenant, devices: 4, legacyDes: false, legacySha1: false }, clock, false)
const { imported } = retarget(await loadExport(folder), lab)
await lab.deliver(imported)
const devices = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
const scenario = parseScenario('devices: { ios: 2, android: 2 }', 'own-queue')
const facts = { scenario, seed: 7, imported, tenant, devices, target: undefined, shards: 2, submittedAt: clock.now() }
const run: RunSubmission = {
  manifest: runManifestOf(facts),
  shared: {
    seed: 7,
    target: { kind: 'policy', policyUrl: lab.policyUrl, registrationToken: lab.registrationToken },
    keys: { mode: 'fresh' },
    legacyDes: false,
    legacySha1: false,
    hasSpans: false,
  },
  shards: [0, 1].map((shard) => ({
    name: `shard ${shard}`,
    devices: devices.flatMap((spec, index) => (index % 2 === shard ? [{ spec, index }] : [])),
    concurrency: 2,
  })),
}
await queue.submit(run)

// Who does it: one worker, until nothing was left for a second.
const working = workOff({ queue, worker: workerFacts(), clock, signal: over.signal, untilIdleMs: 1000, say: console.log })

// What was done, told as it is recorded, and once for each device, however often a worker was lost.
const through: DeviceNews[] = []
const follower = followRun({ queue, manifest: run.manifest })
await follower.follow({
  clock,
  signal: over.signal,
  onNews: (news) => void (news.kind === 'devices' && through.push(...news.devices)),
  onBegun: () => {},
  onWarning: console.warn,
})
for (const { outcome } of through) console.log(`${outcome.deviceId} has installed ${outcome.certificatesInstalled}`)
await follower.merge()?.complete()

await working
await queue.close()
await lab.close()
