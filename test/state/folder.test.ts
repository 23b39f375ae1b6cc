import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Identity, openKeyStorage, openStateFolder, type StateFolder, systemClock } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import t, { type Test } from 'tap'
import { sampleIdentity as identity } from '../contracts/identity-store.ts'
import { sampleAttempt as attempt, stateStoreContract } from '../contracts/state-store.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { endings, FakeDisk, faultyDisk, unlocked } from '../fakes/disk.ts'

const secret = { key: Buffer.alloc(32, 7) }
const key = await testKey('root')
const roots = await Promise.all(['CN=Root', 'CN=Other'].map((subject) => testCertificate({ subject, key, ca: true })))
const [root, other] = roots as [Uint8Array, Uint8Array]

async function open(t: Test, folder: string): Promise<StateFolder> {
  const opened = await openStateFolder(folder)
  t.teardown(() => opened.close())
  return opened
}

await t.test('its state keeps the contract', (t) =>
  stateStoreContract(t, async (t) => {
    const folder = t.testdir()
    const first = await open(t, folder)
    const restart = async () => {
      await first.close()
      return (await open(t, folder)).state
    }
    return { store: first.state, restart }
  }),
)

await t.test('what was put in is there for the next process, in files that are their owner’s alone', async (t) => {
  const folder = join(t.testdir(), 'agent')
  const first = await openStateFolder(folder)
  const { publicKey } = await (await first.softwareKeys(secret)).generate({ algorithm: 'ec', curve: 'P-256' }, 'k1')
  await first.state.beginAttempt('device/wifi', attempt)
  await first.policyCache.save({ etag: '"1"', body: Uint8Array.of(1) })
  await first.certificateStores.install('computer-root', root)
  await first.identities.install(identity)
  await first.close()

  const second = await open(t, folder)
  t.same((await second.state.load()).attempts.get('device/wifi'), attempt)
  t.same(await second.policyCache.load(), { etag: '"1"', body: Uint8Array.of(1) })
  t.same(await second.certificateStores.list(), [{ store: 'computer-root', fingerprint: fingerprintOf(root) }])
  t.same(await second.identities.list(), [identity])
  t.same((await (await second.softwareKeys(secret)).open('k1'))?.publicKey, publicKey)

  t.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of ['state.json', 'identities.json', 'stores.json', 'policy'])
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
  await second.close()
  t.same(readdirSync(folder).sort(), ['identities.json', 'keys', 'policy', 'state.json', 'stores.json'], 'no lock stays')
})

await t.test('one process at a time', async (t) => {
  await t.test('a second is ERR_STATE_BUSY until the first has closed', async (t) => {
    const folder = t.testdir()
    const first = await open(t, folder)
    await t.rejects(openStateFolder(folder), { code: 'ERR_STATE_BUSY', message: new RegExp(`process ${process.pid}`) })
    await first.close()
    await first.close()
    await open(t, folder)
  })
  await t.test('another process, too; and once it was killed, its lock is taken over', async (t) => {
    const folder = t.testdir()
    const core = import.meta.resolve('@certfleet/agent-core')
    const script = `const { openStateFolder } = await import(${JSON.stringify(core)})
      await openStateFolder(process.argv[1]); console.log('open'); setInterval(() => {}, 1e6)`
    const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    await t.rejects(openStateFolder(folder), { code: 'ERR_STATE_BUSY', message: new RegExp(`process ${child.pid}`) })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await (await openStateFolder(folder)).close()
    t.same(readdirSync(folder), [])
  })
  await t.test('after the close nothing changes any more', async (t) => {
    const folder = t.testdir()
    const { state, identities, certificateStores, policyCache, softwareKeys, close } = await openStateFolder(folder)
    const keys = await softwareKeys(secret)
    await close()
    const busy = { code: 'ERR_STATE_BUSY' }
    await t.rejects(state.beginAttempt('device/wifi', attempt), busy)
    await t.rejects(identities.install(identity), busy)
    await t.rejects(certificateStores.install('computer-root', root), busy)
    await t.rejects(policyCache.save({ body: Uint8Array.of(1) }), busy)
    await t.rejects(keys.generate({ algorithm: 'ec', curve: 'P-256' }, 'k1'), busy)
  })
  await t.test('its software keys are one process’s too, whichever way they are opened', async (t) => {
    const folder = t.testdir()
    const first = await open(t, folder)
    await first.softwareKeys(secret)
    const again = openKeyStorage({ kind: 'software' }, { folder, clock: systemClock, secret: async () => 'passphrase' })
    await t.rejects(again, { code: 'ERR_STATE_BUSY' })
    await t.rejects(first.softwareKeys(secret), { code: 'ERR_STATE_BUSY' })
  })
})

await t.test('a file that is torn, foreign or of another version is ERR_STATE_INVALID, named and left alone', async (t) => {
  const stored = JSON.stringify({
    store: 'computer-root',
    certificate: Buffer.from(await testCertificate({ subject: 'CN=leaf', key })).toString('base64'),
  })
  const twice = JSON.stringify({ ...identity, chain: ['AQ=='] })
  for (const [file, content] of [
    ['state.json', '{"kind":"certfleet-agent-st'],
    ['identities.json', ''],
    ['identities.json', '{"kind":"certfleet-identities","schemaVersion":1,"identities":['],
    ['identities.json', '{"kind":"certfleet-identities","schemaVersion":2,"identities":[]}'],
    ['identities.json', '{"kind":"certfleet-certificate-stores","schemaVersion":1,"certificates":[]}'],
    ['identities.json', '{"kind":"certfleet-identities","schemaVersion":1,"identities":[],"password":"hidden"}'],
    ['identities.json', `{"kind":"certfleet-identities","schemaVersion":1,"identities":[${twice},${twice}]}`],
    ['stores.json', 'something else'],
    ['stores.json', '{"kind":"certfleet-certificate-stores","schemaVersion":0,"certificates":[]}'],
    ['stores.json', '{"kind":"certfleet-certificate-stores","schemaVersion":1,"certificates":[{"store":"user-root","certificate":""}]}'],
    [
      'stores.json',
      '{"kind":"certfleet-certificate-stores","schemaVersion":1,"certificates":[{"store":"computer-root","certificate":"AQ=="}]}',
    ],
    ['stores.json', `{"kind":"certfleet-certificate-stores","schemaVersion":1,"certificates":[${stored}]}`],
  ] as const) {
    const folder = t.testdir()
    const path = join(folder, file)
    writeFileSync(path, content)
    const error = await openStateFolder(folder).catch((error) => error)
    t.match(error, { code: 'ERR_STATE_INVALID' }, `${file}: ${content.slice(0, 90)}`)
    t.ok(error.message.includes(path), error.message)
    t.notMatch(error.message, /hidden/)
    t.equal(readFileSync(path, 'utf8'), content)
    t.same(readdirSync(folder), [file], 'and the lock is free again')
  }
})

/** One change to each file; what it looks like before and after. */
const changes = [
  {
    name: 'an identity is replaced',
    before: (folder: StateFolder) => folder.identities.install(identity),
    act: (folder: StateFolder) => folder.identities.install({ ...identity, keyLabel: 'k2' }),
    seen: async (folder: StateFolder) => (await folder.identities.list()).map(({ keyLabel }: Identity) => keyLabel).join(),
    old: 'k1',
    new: 'k2',
  },
  {
    name: 'an identity is removed',
    before: (folder: StateFolder) => folder.identities.install(identity),
    act: (folder: StateFolder) => folder.identities.remove('device/wifi'),
    seen: async (folder: StateFolder) => (await folder.identities.list()).map(({ keyLabel }: Identity) => keyLabel).join(),
    old: 'k1',
    new: '',
  },
  {
    name: 'a root is installed',
    before: (folder: StateFolder) => folder.certificateStores.install('computer-root', root),
    act: (folder: StateFolder) => folder.certificateStores.install('computer-root', other),
    seen: async (folder: StateFolder) => (await folder.certificateStores.list()).map(({ fingerprint }) => fingerprint).join(),
    old: fingerprintOf(root),
    new: roots.map(fingerprintOf).join(),
  },
  {
    name: 'a root is removed',
    before: (folder: StateFolder) => folder.certificateStores.install('computer-root', root),
    act: (folder: StateFolder) => folder.certificateStores.remove({ store: 'computer-root', fingerprint: fingerprintOf(root) }),
    seen: async (folder: StateFolder) => (await folder.certificateStores.list()).map(({ fingerprint }) => fingerprint).join(),
    old: fingerprintOf(root),
    new: '',
  },
  {
    name: 'a policy is accepted',
    before: (folder: StateFolder) => folder.policyCache.save({ etag: '"1"', body: Uint8Array.of(1) }),
    act: (folder: StateFolder) => folder.policyCache.save({ etag: '"2"', body: Uint8Array.of(2) }),
    seen: async (folder: StateFolder) => JSON.stringify(await folder.policyCache.load()),
    old: JSON.stringify({ etag: '"1"', body: Uint8Array.of(1) }),
    new: JSON.stringify({ etag: '"2"', body: Uint8Array.of(2) }),
  },
  {
    name: 'an attempt is begun',
    before: (folder: StateFolder) =>
      folder.state.recordFailure('device/wifi', { code: 'x', retry: 'now', count: 1, lastAt: 1, retryAt: 1, revision: 1 }),
    act: (folder: StateFolder) => folder.state.beginAttempt('device/wifi', attempt),
    seen: async (folder: StateFolder) => [...(await folder.state.load()).attempts.keys()].join(),
    old: '',
    new: 'device/wifi',
  },
] as const

for (const change of changes) {
  for (const [ending, end] of endings) {
    await t.test(`${change.name}, ${ending}: old or new after every step, and new once the call resolved`, async (t) => {
      for (let steps = 0; ; steps++) {
        const disk = new FakeDisk()
        const first = await openStateFolder('agent', { disk, lock: unlocked })
        await change.before(first)
        disk.stepsLeft = steps
        const outcome = await change.act(first).then(
          () => 'resolved',
          (error) => error.code,
        )
        end(disk)
        const found = await change.seen(await openStateFolder('agent', { disk, lock: unlocked }))
        if (outcome === 'resolved') {
          t.equal(found, change.new, `${steps} steps`)
          t.equal(steps, 4)
          break
        }
        t.equal(outcome, 'ERR_STATE_IO')
        t.ok(found === change.old || found === change.new, `${steps} steps: ${found}`)
      }
    })
  }
}

for (const code of ['ENOSPC', 'EROFS', 'EIO', 'EMFILE']) {
  await t.test(`${code} at any step of any change is ERR_STATE_IO, and the same objects go on once the disk is well`, async (t) => {
    for (const change of changes) {
      for (let steps = 0; steps < 4; steps++) {
        const disk = faultyDisk(new FakeDisk())
        const folder = await openStateFolder('agent', { disk, lock: unlocked })
        await change.before(folder)
        const before = await change.seen(folder)
        disk.failAfter(steps, code)
        await t.rejects(
          Promise.resolve<unknown>(change.act(folder)),
          { code: 'ERR_STATE_IO', message: new RegExp(code) },
          `${change.name}, step ${steps}`,
        )
        disk.heal()
        if (change.name !== 'a policy is accepted') t.equal(await change.seen(folder), before, 'as before')
        await change.act(folder)
        const next = await openStateFolder('agent', { disk, lock: unlocked })
        t.equal(await change.seen(next), change.new, 'and for the next process')
      }
    }
  })
}

await t.test('a process that has no file descriptor left fails with ERR_STATE_IO, and goes on once it has', async (t) => {
  const script = `
    const { openSync, closeSync } = await import('node:fs')
    const { openStateFolder } = await import(${JSON.stringify(import.meta.resolve('@certfleet/agent-core'))})
    const { identities, close } = await openStateFolder(process.argv[1])
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null')) } catch {}
    const failed = await identities.install(${JSON.stringify({ ...identity, chain: [] })}).catch(({ code, message }) => code + ' ' + message)
    taken.forEach((fd) => closeSync(fd))
    await identities.install({ ...${JSON.stringify(identity)}, chain: [Uint8Array.of(1)] })
    await close()
    console.log(failed)`
  const folder = t.testdir()
  const command = 'ulimit -n 512; exec "$@"'
  const node = [process.execPath, ...process.execArgv, '--input-type=module', '-e', script, folder]
  const { stdout } = await promisify(execFile)('sh', ['-c', command, 'sh', ...node])
  t.match(stdout, /^ERR_STATE_IO .*identities\.json cannot be written now \(EMFILE\)/)
  t.same(await (await open(t, folder)).identities.list(), [identity])
})

await t.test('a folder that cannot be made, or a lock that cannot be taken, is ERR_STATE_IO', async (t) => {
  await t.rejects(openStateFolder(join(t.testdir(), 'none', 'agent')), { code: 'ERR_STATE_IO', message: /ENOENT/ })
  const file = join(t.testdir(), 'file')
  writeFileSync(file, '')
  await t.rejects(openStateFolder(file), { code: 'ERR_STATE_IO' })
})
