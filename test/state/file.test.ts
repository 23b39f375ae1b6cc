import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Failure, type FileState, fileState } from '@certfleet/agent-core'
import t, { type Test } from 'tap'
import { stateStoreContract } from '../contracts/state-store.ts'
import { FakeDisk } from '../fakes/disk.ts'

const failure: Failure = { code: 'ERR_NETWORK', retry: 'backoff', count: 1, lastAt: 1, retryAt: 2, revision: 3 }
/** Of a process that has ended. */
const deadPid = spawnSync(process.execPath, ['-e', '']).pid

async function open(t: Test, path: string): Promise<FileState> {
  const state = await fileState(path)
  t.teardown(() => state.close())
  return state
}

await t.test('it keeps the contract', (t) =>
  stateStoreContract(t, async (t) => {
    const path = join(t.testdir(), 'state.json')
    const store = await open(t, path)
    const restart = async () => {
      await store.close()
      return open(t, path)
    }
    return { store, restart }
  }),
)

await t.test('the file is its owner’s alone, one JSON document, and nothing lies beside it after the close', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'state.json')
  const state = await open(t, path)
  await state.recordFailure('device/wifi', failure)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(JSON.parse(readFileSync(path, 'utf8')).schemaVersion, 2)
  await state.close()
  t.same(readdirSync(folder), ['state.json'])
})

await t.test('a file that is not a state of this version is ERR_STATE_INVALID, named and left alone', async (t) => {
  const whole = { kind: 'certfleet-agent-state', schemaVersion: 2, attempts: [], pending: [], failures: [] }
  for (const [name, content, message] of [
    ['empty', '', /not JSON/],
    ['torn', JSON.stringify(whole).slice(0, -5), /not JSON/],
    ['not UTF-8', Buffer.from([0xff, 0xfe]), /UTF-8/],
    ['foreign', '{"name":"other"}', /kind/],
    ['of an earlier version', JSON.stringify({ ...whole, schemaVersion: 1 }), /version 1, expected 2/],
    ['of a later version', JSON.stringify({ ...whole, schemaVersion: 3 }), /version 3, expected 2/],
    ['with a member it does not know', JSON.stringify({ ...whole, password: 'hidden' }), /unexpected content/],
    ['with a key of nobody', JSON.stringify({ ...whole, failures: [['robot/wifi', failure]] }), /failures\.0\.0/],
  ] as const) {
    await t.test(name, async (t) => {
      const folder = t.testdir()
      const path = join(folder, 'state.json')
      writeFileSync(path, content)
      await t.rejects(fileState(path), { code: 'ERR_STATE_INVALID', message })
      const error = await fileState(path).catch((error) => error)
      t.ok(error.message.includes(path))
      t.notMatch(error.message, /hidden/)
      t.same(readFileSync(path), Buffer.from(content))
      t.same(readdirSync(folder), ['state.json'], 'and the lock is free again')
    })
  }
})

await t.test('a power cut after any step leaves the old state or the new one, and the new one once the call resolved', async (t) => {
  for (const namesKept of [false, true]) {
    for (let steps = 0; ; steps++) {
      const disk = new FakeDisk()
      const path = join(t.testdir(), 'state.json')
      const first = await fileState(path, { disk })
      await first.recordFailure('device/wifi', failure)
      disk.stepsLeft = steps
      const outcome = await first.recordFailure('device/wifi', { ...failure, count: 2 }).then(
        () => 'resolved',
        (error) => error.code,
      )
      await first.close()
      disk.cutPower(namesKept)
      const second = await fileState(path, { disk })
      const count = (await second.load()).failures.get('device/wifi')?.count
      await second.close()
      const where = `${steps} steps, folder ${namesKept ? 'kept' : 'lost'}: ${outcome}, then ${count}`
      if (outcome === 'resolved') {
        t.equal(count, 2, where)
        t.equal(steps, 4)
        break
      }
      t.equal(outcome, 'ERR_STATE_IO', where)
      t.ok(count === 1 || count === 2, where)
    }
  }
})

await t.test('a full disk fails the call, keeps the state before it, and later calls work', async (t) => {
  const disk = new FakeDisk()
  const state = await fileState(join(t.testdir(), 'state.json'), { disk })
  t.teardown(() => state.close())
  disk.stepsLeft = 0
  await t.rejects(state.recordFailure('device/wifi', failure), { code: 'ERR_STATE_IO', message: /ENOSPC/ })
  t.equal((await state.load()).failures.size, 0)
  disk.stepsLeft = Number.POSITIVE_INFINITY
  await state.recordFailure('device/vpn', failure)
  t.same([...(await state.load()).failures.keys()], ['device/vpn'])
})

await t.test('a folder that is missing, or read-only, is ERR_STATE_IO', async (t) => {
  const folder = t.testdir()
  await t.rejects(fileState(join(folder, 'none', 'state.json')), { code: 'ERR_STATE_IO', message: /ENOENT/ })
})

await t.test('one at a time', async (t) => {
  await t.test('a second in this process is ERR_STATE_BUSY until the first is closed', async (t) => {
    const path = join(t.testdir(), 'state.json')
    const first = await fileState(path)
    await t.rejects(fileState(path), { code: 'ERR_STATE_BUSY', message: new RegExp(`process ${process.pid}`) })
    await first.close()
    await first.close()
    await t.rejects(first.recordFailure('device/wifi', failure), { code: 'ERR_STATE_BUSY' })
    await (await fileState(path)).close()
  })
  await t.test('the lock of another process that lives is respected', async (t) => {
    const path = join(t.testdir(), 'state.json')
    const other = spawn(process.execPath, ['-e', 'process.stdin.resume()'])
    await once(other, 'spawn')
    writeFileSync(`${path}.lock`, lockOf(other.pid ?? 0))
    await t.rejects(fileState(path), { code: 'ERR_STATE_BUSY', message: new RegExp(`process ${other.pid}`) })
    other.kill('SIGKILL')
    await once(other, 'exit')
    await (await fileState(path)).close()
    t.notOk(existsSync(`${path}.lock`), 'and once it is gone, taken over')
  })
  await t.test('a pid that is used again does not hold the lock', { skip: !existsSync('/proc/self/stat') && 'no /proc' }, async (t) => {
    const path = join(t.testdir(), 'state.json')
    writeFileSync(`${path}.lock`, lockOf(process.pid, '1'))
    await (await fileState(path)).close()
  })
  await t.test('of many that take over one dead lock at once, one gets it', async (t) => {
    for (let round = 0; round < 20; round++) {
      const path = join(t.testdir(), 'state.json')
      writeFileSync(`${path}.lock`, lockOf(deadPid))
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => fileState(path)))
      const won = tries.flatMap((tried) => (tried.status === 'fulfilled' ? [tried.value] : []))
      t.equal(won.length, 1)
      for (const tried of tries) if (tried.status === 'rejected') t.match(tried.reason, { code: 'ERR_STATE_BUSY' })
      await won[0]?.close()
      t.same(readdirSync(join(path, '..')), [])
    }
  })
  await t.test('a takeover that crashed is taken over too', async (t) => {
    const path = join(t.testdir(), 'state.json')
    const nonce = '6f1c1c0e-3b1a-4f6e-9d7e-0a0b0c0d0e0f'
    writeFileSync(`${path}.lock`, lockOf(deadPid, undefined, nonce))
    writeFileSync(`${path}.lock.${nonce}`, lockOf(deadPid))
    await (await fileState(path)).close()
    t.same(readdirSync(join(path, '..')), [])
  })
  await t.test('what a process left that was killed as it asked for the lock goes; what one that lives may need stays', async (t) => {
    const path = join(t.testdir(), 'state.json')
    const asking = (pid: number) => `state.json.lock.${pid}.6f1c1c0e-3b1a-4f6e-9d7e-0a0b0c0d0e0f.tmp`
    for (const name of [asking(deadPid), asking(process.pid), `other.lock.${deadPid}.tmp`]) writeFileSync(join(path, '..', name), '')
    await (await fileState(path)).close()
    t.same(readdirSync(join(path, '..')).sort(), [`other.lock.${deadPid}.tmp`, asking(process.pid)].sort())
  })
  await t.test('a lock file that is none is ERR_STATE_INVALID and left alone', async (t) => {
    const path = join(t.testdir(), 'state.json')
    writeFileSync(`${path}.lock`, 'mine')
    await t.rejects(fileState(path), { code: 'ERR_STATE_INVALID', message: /lock/ })
    t.equal(readFileSync(`${path}.lock`, 'utf8'), 'mine')
  })
})

await t.test('a file left behind by a crash, readable by others, does not stay so', async (t) => {
  const path = join(t.testdir(), 'state.json')
  writeFileSync(`${path}.tmp`, 'half a state')
  chmodSync(`${path}.tmp`, 0o644)
  const state = await open(t, path)
  await state.recordFailure('device/wifi', failure)
  t.equal(statSync(path).mode & 0o777, 0o600)
})

function lockOf(pid: number, startedAt?: string, nonce = '00000000-0000-4000-8000-000000000000'): string {
  return JSON.stringify({ pid, startedAt, nonce })
}
