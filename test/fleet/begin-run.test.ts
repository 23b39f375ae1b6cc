import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAgent, handlerTransport, policyService, registerDevice, seededJitter, systemClock } from '@certfleet/agent-core'
import {
  assignProfiles,
  createLab,
  generateTenant,
  type Lab,
  lmdbLabStore,
  loadExport,
  renderPolicy,
  retarget,
  type Tenant,
} from '@certfleet/emulator'
import { beginFleetRun, type DeviceSpec, type DeviceStorage, type FleetRun, InputError, openFleetState } from '@certfleet/emulator/fleet'
import { platformAdapter } from '@certfleet/platforms'
import { open as openDatabase } from 'lmdb'
import t, { type Test } from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { labStore } from '../fakes/lab-store.ts'
import { testEmulationKeys } from './emulated-keys.ts'
import { testDevices } from './state-devices.ts'

const run: FleetRun = { seed: 1, devices: testDevices, keys: 'fresh', target: 'the embedded lab', startedAt: 5 }
const [device] = testDevices as [DeviceSpec]

/** A folder that a run has left, with one record. */
async function left(t: Test, folder: string): Promise<string> {
  const begun = await beginFleetRun(folder, run)
  const state = openFleetState(folder, { clock: systemClock })
  await (await state.storageFor(device, 0)).saveRegistration({ deviceId: 'd', credential: 'secret' })
  await state.close()
  t.equal(begun.countDevices(), 1)
  await begun.close()
  return folder
}

t.test('a run begins in a folder that is its owner’s alone, and goes on there', async (t) => {
  const folder = join(t.testdir(), 'deep', 'fleet')
  const first = await beginFleetRun(folder, run)
  t.match(first, { resumed: false, startedAt: 5 })
  t.equal(first.countDevices(), 0)
  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of ['fleet.mdb', 'fleet.boot', 'fleet.lock']) t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  await t.rejects(beginFleetRun(folder, run), { code: 'ERR_STATE_BUSY', message: new RegExp(`process ${process.pid}`) })
  await first.close()
  const lab = await lmdbLabStore(join(folder, 'lab'))
  await lab.close()
  const second = await beginFleetRun(folder, { ...run, startedAt: 9 })
  t.match(second, { resumed: true, startedAt: 5 })
  await second.close()
})

t.test('another run is refused, and told of both', async (t) => {
  const folder = await left(t, join(t.testdir(), 'fleet'))
  const [first, ...rest] = testDevices as [DeviceSpec, ...DeviceSpec[]]
  const rows: [string, Partial<FleetRun>, RegExp][] = [
    ['another seed', { seed: 2 }, /100 devices .* with seed 1 .* 100 devices .* with seed 2 .*name another folder/],
    ['fewer devices', { devices: rest }, /keeps 100 devices .* has 99 devices/],
    ['a device of another system', { devices: [{ ...first, osVersion: '8.1' }, ...rest] }, /keeps 100 devices/],
    ['in another order', { devices: testDevices.toReversed() }, /keeps 100 devices/],
    ['other keys', { keys: 'primes, 3 a device' }, /keys fresh, .* keys primes, 3 a device/],
  ]
  for (const [name, other, message] of rows) {
    const error = await beginFleetRun(folder, { ...run, ...other }).catch((error) => error)
    t.ok(error instanceof InputError, name)
    t.match(error.message, message, name)
  }
  const again = await beginFleetRun(folder, { ...run, seed: '1' })
  t.equal(again.countDevices(), 1, 'nothing was lost')
  await again.close()
})

t.test('a folder that holds something else is refused, and left as it is', async (t) => {
  const folder = join(t.testdir({ 'notes.txt': 'mine', file: '' }))
  await t.rejects(beginFleetRun(folder, run), { name: 'InputError', message: /something else \("file"\): name an empty folder/ })
  t.strictSame(readdirSync(folder).sort(), ['file', 'notes.txt'])
  await t.rejects(beginFleetRun(join(folder, 'file'), run), { name: 'InputError', message: /no folder/ })
  const lab = join(folder, 'lab-state')
  await (await lmdbLabStore(lab)).close()
  await t.rejects(beginFleetRun(lab, run), { name: 'InputError', message: /something else \("lab\.mdb/ })
  await t.rejects(beginFleetRun(join(folder, 'x'.repeat(300)), run), {
    code: 'ERR_STATE_IO',
    message: /cannot be used now \(ENAMETOOLONG\)/,
  })
  const foreign = join(t.testdirName, 'foreign')
  const database = openDatabase({ path: join(foreign, 'fleet.mdb'), noSubdir: true })
  await database.put('a', 1)
  await database.close()
  await t.rejects(beginFleetRun(foreign, run), { name: 'InputError', message: /no fleet's/ })
})

t.test('a database that is not as it was closed is named', async (t) => {
  const rows: [string, (file: string) => void, boolean][] = [
    ['untouched', () => {}, true],
    ['not closed: killed', (file) => rmSync(`${file}.seal`), true],
    ['one octet flipped', flipOctet, false],
    ['half', (file) => truncateSync(file, statSync(file).size / 2), false],
    ['half, and not closed', (file) => [rmSync(`${file}.seal`), truncateSync(file, statSync(file).size / 2)], false],
    ['another file', (file) => writeFileSync(file, 'hello'), false],
    ['closed before the machine went down', (file) => otherBoot(file), true],
    ['in use when the machine went down', (file) => [rmSync(`${file}.seal`), otherBoot(file)], false],
  ]
  for (const [i, [name, damage, opens]] of rows.entries()) {
    const folder = await left(t, join(t.testdir({}), `${i}`))
    damage(join(folder, 'fleet.mdb'))
    if (opens) await (await beginFleetRun(folder, run)).close()
    else await t.rejects(beginFleetRun(folder, run), { code: 'ERR_STATE_INVALID', message: /fleet\.mdb/ }, name)
  }
})

t.test('a device that goes on is not registered and does not enrol again', async (t) => {
  const folder = join(t.testdir(), 'fleet')
  const tenant = generateTenant({ counts: { windows: 1 }, domain: 'contoso.example' })
  const [{ id, platform, osVersion }] = [...tenant.devices.values()] as [DeviceSpec]
  const spec = { id, platform, osVersion }
  const { lab, requests } = await labOf(tenant)
  const enrolled: (readonly string[])[] = []
  for (const resumed of [false, true]) {
    const begun = await beginFleetRun(folder, { ...run, devices: [spec] })
    t.equal(begun.resumed, resumed)
    const state = openFleetState(folder, { clock: systemClock, keys: await testEmulationKeys() })
    const storage = await state.storageFor(spec, 0)
    await checkIn(spec, storage, lab)
    const identities = await storage.identities.list()
    enrolled.push(identities.map(({ chain }) => Buffer.from(chain[0] as Uint8Array).toString('hex')))
    t.equal((await storage.certificateStores.list()).length, 1)
    await state.close()
    await begun.close()
  }
  t.equal(enrolled[0]?.length, 1)
  t.strictSame(enrolled[0], enrolled[1])
  t.equal(requests.filter((url) => url.endsWith('/register')).length, 1)
  t.equal(requests.filter((url) => url.includes('operation=PKIOperation')).length, 1)
})

function flipOctet(file: string): void {
  const bytes = readFileSync(file)
  bytes[bytes.length / 2] = (bytes[bytes.length / 2] as number) ^ 1
  writeFileSync(file, bytes)
}

t.test('a disk that takes no more refuses what is new, and keeps what was there', async (t) => {
  const folder = t.testdir()
  const script = `
    const { openFleetState } = await import(${JSON.stringify(import.meta.resolve('@certfleet/emulator/fleet'))})
    const state = openFleetState(process.argv[1], {})
    const { policyCache, saveRegistration } = await state.storageFor({ id: 'a', platform: 'ios', osVersion: '18.1' }, 0)
    await saveRegistration({ deviceId: 'd', credential: 'c' })
    const error = await policyCache.save({ body: Buffer.alloc(4_000_000) }).catch((error) => error)
    console.log(error.code, error.message)
    process.kill(process.pid, 'SIGKILL')`
  const node = [process.execPath, ...process.execArgv, '--input-type=module', '-e', script, folder]
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -f 2000; exec "$@"', 'sh', ...node], { encoding: 'utf8' })
  t.match(stdout, /^ERR_STATE_IO ".*fleet\.mdb" cannot be written now \((EFBIG|EIO)\)/)
  const state = openFleetState(folder, { clock: systemClock })
  const { registration, policyCache } = await state.storageFor({ id: 'a', platform: 'ios', osVersion: '18.1' }, 0)
  t.strictSame([await registration(), await policyCache.load()], [{ deviceId: 'd', credential: 'c' }, undefined])
  await state.close()
})

const otherBoot = (file: string): void => writeFileSync(file.replace(/mdb$/, 'boot'), 'another')

const origin = 'http://lab.invalid'

async function checkIn({ id, platform: name, osVersion }: DeviceSpec, storage: DeviceStorage, lab: Lab): Promise<void> {
  const [transport, clock, jitter] = [handlerTransport(lab.handle), systemClock, seededJitter('1')]
  const { keyStorageProviders, certificateStores, identities, state, policyCache: cache } = storage
  const platform = platformAdapter(name, {
    osVersion,
    ...{ keyStorageProviders, certificateStores, identities, transport, clock, jitter },
    userConsent: async () => 'granted',
    allowHttp: true,
  })
  const policyUrl = `${origin}/device/policy`
  const asked = { policyUrl, transport, registrationToken: 'token', deviceId: id, platform: name, osVersion }
  const known = await storage.registration()
  const registration = known ?? (await registerDevice(asked))
  if (!known) await storage.saveRegistration(registration)
  const agent = createAgent({ ...policyService({ policyUrl, ...registration, transport, cache }), clock, jitter, platform, state })
  await agent.runOnce(new AbortController().signal)
}

/** The example's profiles for the devices of a tenant, and the URLs that were asked for. */
async function labOf(tenant: Tenant): Promise<{ lab: Lab; requests: readonly string[] }> {
  const requests: string[] = []
  const lab: Lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    registrationToken: 'token',
    policyFor: (deviceId) => renderPolicy(intent, tenant, deviceId, { revision: 1 }),
  })
  const pointed = retarget(await loadExport(exampleProfiles), { root: lab.rootCertificate, scepUrl: `${origin}/certsrv/mscep/mscep.dll` })
  const { intent } = assignProfiles(pointed.imported, tenant)
  const handle: Lab['handle'] = (request, ...rest) => {
    requests.push(request.url)
    return lab.handle(request, ...rest)
  }
  return { lab: { ...lab, handle }, requests }
}
