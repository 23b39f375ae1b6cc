import { join } from 'node:path'
import { httpTransport, systemClock } from '@certfleet/agent-core'
import { policyServiceTarget, runFleet } from '@certfleet/emulator/fleet'
import { generateTenant, loadExport, retarget } from '@certfleet/emulator/tenant'
import t from 'tap'
import { startProcess } from '#emulator/fleet/child.ts'
import { coordinate } from '#emulator/fleet/coordinate.ts'
import type { LabOrders } from '#emulator/fleet/embedded-lab.ts'
import { startLabProcess } from '#emulator/fleet/lab-process.ts'
import type { ShardNews, ShardOrders } from '#emulator/fleet/shard.ts'
import type { CrashResult } from '#emulator/report/schema.ts'
import { exampleProfiles } from '../commands/example.ts'
import { fleetOptions } from '../fakes/fleet-options.ts'

const tenant = generateTenant({ counts: { ios: 1, android: 1 }, domain: 'contoso.example' })
const specs = [...tenant.devices.values()].map(({ id, platform, osVersion }) => ({ id, platform, osVersion }))
const orders: LabOrders = { tenant, devices: specs.length, legacyDes: false, legacySha1: false }

t.test('a lab in a process of its own', async (t) => {
  const lab = await startLabProcess(orders)
  const { root, issuing, scepUrl, policyUrl, registrationToken } = lab
  t.notOk('transport' in lab, 'it is reached by sockets alone')
  const transport = httpTransport({ allowLoopback: true })
  t.teardown(() => transport.close())
  const target = policyServiceTarget({ policyUrl, registrationToken, push: false })
  const enrol = () => runFleet(fleetOptions({ specs: specs.slice(0, 1), transport }, { target }))
  t.match(await enrol(), { devices: [{ certificatesInstalled: 0 }] }, 'before there is a policy')
  const { imported } = retarget(await loadExport(exampleProfiles), { root, issuing, scepUrl })
  await lab.deliver(imported)
  t.match(await enrol(), { devices: [{ certificatesInstalled: 1, failures: [] }] })

  const issued = await lab.issued()
  t.match(issued, [{ serialNumber: /^[0-9a-f]+$/, deviceId: 'ios-000001' }])
  t.equal(issued.length, 1)
  const cost = await lab.cost?.()
  t.ok(cost && cost.cpuMs > 0 && cost.wallMs > 0 && cost.rssBytes > 2 ** 20, JSON.stringify(cost))
  await lab.close()
  await t.rejects(lab.issued(), { code: 'ERR_NETWORK', message: /lab's process/ }, 'it is gone')
})

t.test('a lab whose process dies is told as such, by all that is asked of it', async (t) => {
  const process = startProcess({ kind: 'lab', orders })
  await process.next('lab')
  const asked = process.next('issued')
  process.kill()
  for (const answer of [asked, process.next('cost')] as Promise<unknown>[])
    await t.rejects(answer, { code: 'ERR_NETWORK', message: "the lab's process killed by SIGKILL" })
  t.equal(await process.ended, 'killed by SIGKILL')
  process.send({ kind: 'issued' })
})

t.test('a lab that cannot begin says why, and leaves no process', async (t) => {
  const folder = t.testdir({ file: 'a file' })
  await t.rejects(startLabProcess({ ...orders, stateFolder: join(folder, 'file') }), { name: 'AgentError' })
})

const shard: ShardOrders = {
  name: 'worker 1',
  devices: specs.map((spec, index) => ({ spec, index })),
  seed: 1,
  concurrency: 2,
  target: { kind: 'policy', policyUrl: 'http://127.0.0.1:1/device/policy', registrationToken: 'token' },
  keys: { mode: 'fresh' },
  legacyDes: false,
  legacySha1: false,
  hasSpans: false,
}

async function coordinated(shards: readonly ShardOrders[]) {
  const news: ShardNews[] = []
  const crashes: CrashResult[] = []
  const ended = await coordinate({
    shards,
    inProcesses: true,
    clock: systemClock,
    signal: new AbortController().signal,
    onReady: () => systemClock.now(),
    onNews: (one) => void news.push(one),
    onCrash: (crash) => void crashes.push(crash),
  })
  return { ended, news, crashes }
}

t.test('devices in a process of their own: what they did, what was measured, and the faults are told', async (t) => {
  const { ended, news, crashes } = await coordinated([{ ...shard, faults: { lostRequests: 1 } }])
  t.strictSame([ended, crashes], [{ lost: [], begunAgain: [] }, []])
  const devices = news.flatMap((one) => (one.kind === 'devices' ? one.devices.map(({ outcome }) => outcome) : []))
  t.match(devices, [{ failures: [{ code: 'ERR_NETWORK' }] }, { failures: [{ code: 'ERR_NETWORK' }] }])
  t.ok(news.some(({ kind }) => kind === 'measured'))
  t.match(
    news.filter(({ kind }) => kind === 'faults'),
    [{ faults: { lostRequests: Number, lostAnswers: 0, delayed: 0 } }],
  )
})

t.test('a process that cannot begin ends the run with its error, and is no crash', async (t) => {
  const ksp = { kind: 'pkcs11', module: '/no/such/library.so', token: 'dev0', protection: 'pkcs11' } as const
  const refused = { ...shard, keyStorage: { ksp, pin: '4711' } }
  await t.rejects(coordinated([refused, { ...shard, name: 'worker 2', devices: [] }]), { code: 'ERR_KEY_STORAGE_UNAVAILABLE' })
})
