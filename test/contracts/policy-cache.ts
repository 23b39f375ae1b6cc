import type { PolicyCache } from '@certfleet/agent-core'
import type { Test } from 'tap'

const body = Uint8Array.of(0x7b, 0x0a, 0xff, 0x00, 0x7d)

/** What every `PolicyCache` promises (ports.ts). */
export async function policyCacheContract(t: Test, make: (t: Test) => PolicyCache): Promise<void> {
  await t.test('a new cache holds nothing', async (t) => {
    t.equal(await make(t).load(), undefined)
  })
  await t.test('it gives back the bytes and the ETag as they were', async (t) => {
    const cache = make(t)
    await cache.save({ etag: 'W/"a\\"é"', body })
    t.same(await cache.load(), { etag: 'W/"a\\"é"', body })
  })
  await t.test('an entry without an ETag has none, even after one that had', async (t) => {
    const cache = make(t)
    await cache.save({ etag: '"1"', body })
    await cache.save({ body: Uint8Array.of(1) })
    t.same(await cache.load(), { body: Uint8Array.of(1) })
  })
  await t.test('what the caller does to its bytes afterwards changes nothing', async (t) => {
    const cache = make(t)
    const mine = body.slice()
    await cache.save({ body: mine })
    mine.fill(9)
    t.same((await cache.load())?.body, body)
  })
}
