import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { filePolicyCache, memoryPolicyCache } from '@certfleet/agent-core'
import t from 'tap'
import { policyCacheContract } from '../contracts/policy-cache.ts'
import { FakeDisk } from '../fakes/disk.ts'

await t.test('in memory', async (t) => {
  await policyCacheContract(t, memoryPolicyCache)
  await t.test('each cache gives back its own octets, however much or little they have in common with others', async (t) => {
    const bodies = ['', '{}', 'x'.repeat(100_000), '{"deviceId":"dev-1"}', '{"deviceId":"dev-2"}'].map(
      (text) => new Uint8Array(Buffer.from(text)),
    )
    const caches = bodies.map(() => memoryPolicyCache())
    for (const [i, body] of bodies.entries()) await caches[i]?.save({ body: body.slice() })
    for (const [i, body] of bodies.entries()) t.same(await caches[i]?.load(), { body })
  })
})

await t.test('in a file', async (t) => {
  await policyCacheContract(t, (t) => filePolicyCache(join(t.testdir(), 'policy')))
  await t.test('another process finds it, and only its owner may read it', async (t) => {
    const path = join(t.testdir(), 'policy')
    await filePolicyCache(path).save({ etag: '"1"', body: Uint8Array.of(1, 2) })
    t.same(await filePolicyCache(path).load(), { etag: '"1"', body: Uint8Array.of(1, 2) })
    t.equal(statSync(path).mode & 0o777, 0o600)
    t.same(readdirSync(join(path, '..')), ['policy'])
  })
  for (const content of ['', 'certfleet-policy-cache 1 ', '{}\n', 'certfleet-policy-cache 2 \n{}', 'certfleet-policy-cache 1 "torn\n{}']) {
    await t.test(`${JSON.stringify(content)} is ERR_STATE_INVALID, named and left alone`, async (t) => {
      const path = join(t.testdir(), 'policy')
      writeFileSync(path, content)
      const error = await filePolicyCache(path)
        .load()
        .catch((error) => error)
      t.equal(error.code, 'ERR_STATE_INVALID')
      t.ok(error.message.includes(path))
      t.equal(readFileSync(path, 'utf8'), content)
    })
  }
  await t.test('a full disk is ERR_STATE_IO and the old copy stays', async (t) => {
    const disk = new FakeDisk()
    const cache = filePolicyCache('/cache/policy', { disk })
    await cache.save({ body: Uint8Array.of(1) })
    disk.stepsLeft = 2
    await t.rejects(cache.save({ body: Uint8Array.of(2) }), { code: 'ERR_STATE_IO', message: /ENOSPC/ })
    disk.cutPower(true)
    t.same(await cache.load(), { body: Uint8Array.of(1) })
    t.notOk(existsSync('/cache'))
  })
})
