import { join } from 'node:path'
import { systemClock, type Transport } from '@certfleet/agent-core'
import { type EmbeddedLab, startEmbeddedLab } from '@certfleet/emulator/fleet'
import { generateTenant, type Import, loadExport, loadTenant, retarget, type Tenant } from '@certfleet/emulator/tenant'
import type { Test } from 'tap'
import { deviceSpecOf } from '#emulator/fleet/device-spec.ts'
import type { ShardRecord, StepCounts } from '#emulator/fleet/queue/shard-queue.ts'
import type { FleetDevice } from '#emulator/fleet/run.ts'
import type { DeviceNews, ShardOrders } from '#emulator/fleet/shard.ts'
import { invariantLedger } from '#emulator/invariants/ledger.ts'
import { measurementsTotal } from '#emulator/measure/add.ts'
import { loadNumbers } from '#emulator/measure/numbers.ts'
import { stepOf } from '#emulator/measure/timed-ports.ts'
import type { Step } from '#emulator/measure/types.ts'
import { exampleProfiles } from '../commands/example.ts'
import { primesFolder } from '../fleet/emulated-keys.ts'
import { root } from '../tooling/root.ts'

/** A lab in this process, with devices for many runs: in each there are some that no other has. */
export interface CarryFleet {
  readonly lab: EmbeddedLab
  readonly transport: Transport
  ordersOf(run: number, more?: Partial<ShardOrders>): ShardOrders
}

/** Of each platform. */
const devicesPerRun = 1
const platforms = ['ios', 'windows', 'android'] as const

/** Each device has two profiles of SCEP. */
export async function carryFleet(t: Test, runs: number, inProcess = true): Promise<CarryFleet> {
  const count = runs * devicesPerRun
  const tenant = generateTenant({ counts: { ios: count, windows: count, android: count }, domain: 'contoso.example' })
  const lab = await labFor(t, tenant, inProcess)
  await lab.deliver(doubled(retarget(await loadExport(exampleProfiles), lab).imported))
  const specs = [...tenant.devices.values()].map(deviceSpecOf)
  const orders = await ordersFor(t, lab, specs.length)
  const ofRun = (run: number): FleetDevice[] =>
    platforms.flatMap((platform) =>
      specs
        .flatMap((spec, index) => (spec.platform === platform ? [{ spec, index }] : []))
        .slice(run * devicesPerRun, (run + 1) * devicesPerRun),
    )
  return {
    lab,
    transport: lab.transport ?? never,
    ordersOf: (run, more = {}) => ({ ...orders, devices: ofRun(run), ...more }),
  }
}

/** The example with PKCS #12: each of its devices has a certificate by SCEP and one that comes with its key. Each run is one of Jane's or Omar's. */
export async function pfxFleet(t: Test): Promise<CarryFleet> {
  const example = join(root, 'examples', 'pkcs12')
  const tenant = await loadTenant(join(example, 'tenant.yaml'))
  const lab = await labFor(t, tenant, true)
  await lab.deliver(retarget(await loadExport(join(example, 'graph')), lab).imported)
  const specs = [...tenant.devices.values()].map((device) => ({ ...deviceSpecOf(device), receivesPfx: true }))
  const orders = await ordersFor(t, lab, specs.length)
  const ofRun = (run: number): FleetDevice[] => [{ spec: specs[run] as FleetDevice['spec'], index: run }]
  return { lab, transport: lab.transport ?? never, ordersOf: (run, more = {}) => ({ ...orders, devices: ofRun(run), ...more }) }
}

async function labFor(t: Test, tenant: Tenant, inProcess: boolean): Promise<EmbeddedLab> {
  const lab = await startEmbeddedLab({ tenant, devices: tenant.devices.size, legacyDes: false, legacySha1: false }, systemClock, inProcess)
  t.teardown(() => lab.close())
  return lab
}

async function ordersFor(t: Test, lab: EmbeddedLab, devices: number): Promise<Omit<ShardOrders, 'devices'>> {
  return {
    name: 'shard',
    seed: 1,
    concurrency: 2,
    target: { kind: 'policy', policyUrl: lab.policyUrl, registrationToken: lab.registrationToken },
    keys: { mode: 'primes', folder: await primesFolder(t.testdir()), devices, keysPerDevice: 4 },
    legacyDes: false,
    legacySha1: false,
    hasSpans: false,
  }
}

const never: Transport = { send: () => Promise.reject(new Error('it is reached by sockets')) }

function doubled(imported: Import): Import {
  const seconds = imported.profiles.flatMap((profile) =>
    profile.kind === 'scep' ? [{ ...profile, id: `${profile.id}-2`, displayName: `${profile.displayName} 2` }] : [],
  )
  const assignments = imported.assignments.flatMap((one) =>
    seconds.some(({ id }) => id === `${one.profileId}-2`) ? [{ ...one, profileId: `${one.profileId}-2` }] : [],
  )
  return { ...imported, profiles: [...imported.profiles, ...seconds], assignments: [...imported.assignments, ...assignments] }
}

/** Calls at each request that is a step, before it is sent and after its answer came, and waits for that. */
export function watched(transport: Transport, at: (step: Step, moment: 'before' | 'after', signal?: AbortSignal) => unknown): Transport {
  return {
    async send(request, signal) {
      const step = stepOf(request.url)
      if (step) await at(step, 'before', signal)
      signal?.throwIfAborted()
      const response = await transport.send(request, signal)
      if (step) await at(step, 'after', signal)
      signal?.throwIfAborted()
      return response
    },
  }
}

/** What a seed decides of a run, by its records and what the lab issued to its devices. */
export async function countsOf(records: readonly ShardRecord[], { lab }: CarryFleet, orders: ShardOrders) {
  const total = measurementsTotal()
  const ledger = invariantLedger()
  const devices: DeviceNews[] = []
  for (const { news } of records) {
    for (const one of news) {
      if (one.kind === 'measured') total.add(one.measurements, 'worker')
      if (one.kind === 'devices') devices.push(...one.devices)
    }
  }
  for (const { findings } of devices) if (findings) ledger.add(findings)
  const { steps, arrivals, timeline, errors } = loadNumbers(total, 1)
  const ids = new Set(orders.devices.map(({ spec }) => spec.id))
  const labIssued = (await lab.issued()).filter(({ deviceId = '' }) => ids.has(deviceId))
  const sum = (count: (bin: (typeof timeline.bins)[number]) => number) => timeline.bins.reduce((all, bin) => all + count(bin), 0)
  return {
    steps: steps.filter(({ step }) => step !== 'connect').map(({ step, platform, count }) => [step, platform, count]),
    begun: [arrivals.started, sum(({ due }) => due), sum(({ started }) => started)],
    ended: [sum(({ completed }) => completed), sum(({ failed }) => failed), sum(({ enrolled }) => enrolled)],
    errors: errors.map(({ code, step, count }) => [code, step, count]),
    pending: total.sums.pending,
    connected: timeline.bins.at(-1)?.connected,
    outcomes: devices
      .sort((a, b) => a.index - b.index)
      .map(({ outcome: { deviceId: _, profiles, keys, ...outcome } }) => ({
        ...outcome,
        keys: keys.length,
        states: profiles.map(({ state }) => state),
      })),
    answered: ledger.results().map(({ name, checked, violations }) => [name, checked, violations]),
    invariants: ledger.results({ labIssued }).map(({ name, checked, violations }) => [name, checked, violations]),
    issued: labIssued.length,
  }
}

/** Of each holder. */
export const takings = (records: readonly ShardRecord[]) => records.flatMap(({ news }) => news.filter((one) => one.kind === 'taken'))

/** Over all records, what was made again. */
export function repeatedIn(records: readonly ShardRecord[]): StepCounts {
  const all: Partial<Record<Step, number>> = {}
  for (const news of records.flatMap((record) => record.news)) {
    if (news.kind !== 'repeated') continue
    for (const [step, count] of Object.entries(news.steps)) all[step as Step] = (all[step as Step] ?? 0) + count
  }
  return all
}
