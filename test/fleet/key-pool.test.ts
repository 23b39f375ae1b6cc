import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { systemDisk } from '@certfleet/agent-core'
import { type Import, loadExport } from '@certfleet/emulator/tenant'
import t, { type Test } from 'tap'
import { keysText, type PoolRequest, prepareKeys } from '#emulator/fleet/key-pool.ts'
import { encodePool, writePool } from '#emulator/keys/pool-file.ts'
import { exampleExport } from '../commands/example.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'

const imported = await loadExport(exampleExport)
const nothing: Import = { ...imported, profiles: [] }

function request(facts: Partial<PoolRequest>): PoolRequest {
  return {
    mode: 'primes',
    seed: 1,
    devices: 4,
    imported,
    receivePfx: false,
    onProgress: () => {},
    signal: new AbortController().signal,
    ...facts,
  }
}

/** With the pool of the primes for tests. */
async function poolFolder(t: Test): Promise<string> {
  const folder = join(t.testdir({}), 'pool')
  mkdirSync(folder)
  await writePool(systemDisk, join(folder, 'primes-2048.json'), encodePool('primes', 1024, testPrimes()))
  return folder
}

t.test('fresh keys need no pool, and are no matter for a report', async (t) => {
  const prepared = await prepareKeys(request({ mode: 'fresh', folder: join(t.testdir({}), 'none') }))
  t.strictSame([prepared.keys, prepared.marking], [{ mode: 'fresh' }, undefined])
  t.equal(keysText(request({ mode: 'fresh' })), 'fresh')
  t.notOk(existsSync(join(t.testdirName, 'none')))
  await prepared.close()
})

t.test('a pool has keys for every profile that a device may have, and for attempts that fail', async (t) => {
  const folder = await poolFolder(t)
  const { keys, marking, close } = await prepareKeys(request({ folder }))
  t.strictSame(keys, { mode: 'primes', folder, devices: 4, keysPerDevice: 8 }, 'two profiles of a Windows device')
  t.equal(keysText(request({ folder })), 'primes, 8 a device')
  t.equal(marking, 'prime pool (insecure, emulation only)')
  await close()
  t.ok(existsSync(join(folder, 'primes-2048.json')), 'a folder that was named stays')

  const none = await prepareKeys(request({ folder, imported: nothing }))
  t.match(none.keys, { keysPerDevice: 4 }, 'a device may get profiles that the run does not know')
  const withPfx = await prepareKeys(request({ folder, receivePfx: true }))
  t.match(withPfx.keys, { keysPerDevice: 9 }, 'a management key beside them')
})

t.test('a pool that is too small, and one that is torn, are refused', async (t) => {
  const folder = await poolFolder(t)
  await t.rejects(prepareKeys(request({ folder, devices: 2016 / 8 + 1 })), { code: 'ERR_LIMIT_EXCEEDED' })
  await t.resolves(prepareKeys(request({ folder, devices: 2016 / 8 })))
  await systemDisk.write(join(folder, 'primes-2048.json'), Buffer.from('{'))
  await t.rejects(prepareKeys(request({ folder })), { code: 'ERR_STATE_INVALID' })
})

t.test('a pool of no folder ends with the run, or with what kept it from being made', async (t) => {
  const temporary = t.testdir({})
  const { TMPDIR } = process.env
  process.env.TMPDIR = temporary
  t.teardown(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = TMPDIR
  })
  const told: number[] = []
  const prepared = await prepareKeys(request({ devices: 1, imported: nothing, onProgress: ({ primesMade }) => void told.push(primesMade) }))
  const { folder } = prepared.keys as { folder: string }
  t.ok(folder.startsWith(temporary))
  t.strictSame(readdirSync(folder), ['primes-2048.json'])
  t.ok(told.length > 0)
  await prepared.close()
  t.notOk(existsSync(folder))
  const reason = new Error('interrupted')
  await t.rejects(prepareKeys(request({ signal: AbortSignal.abort(reason) })), reason)
  t.strictSame(readdirSync(temporary), [])
})
