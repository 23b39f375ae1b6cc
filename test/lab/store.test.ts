import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lmdbLabStore, memoryLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { labStoreContract } from '../contracts/lab-store.ts'

t.test('memoryLabStore', async (t) => {
  await labStoreContract(t, async () => memoryLabStore())
  await t.test('a member named __proto__ stays a member', async (t) => {
    const store = memoryLabStore()
    await store.transaction((tx) => tx.put('settings', 's', JSON.parse('{ "__proto__": { "configured": true }, "running": true }')))
    const record = store.get('settings', 's')
    t.equal(record?.configured, undefined)
    t.strictSame(Object.keys(record ?? {}), ['__proto__', 'running'])
  })
})

t.test('lmdbLabStore', async (t) => {
  await labStoreContract(t, async (t) => {
    const store = await lmdbLabStore(join(t.testdir(), 'state'))
    t.teardown(() => store.close())
    return store
  })
  await t.test('what was committed is there after the folder is opened again', async (t) => {
    const folder = t.testdir()
    const before = await lmdbLabStore(folder)
    await before.transaction((transaction) => transaction.put('credentials', 'a', 'device'))
    await before.close()
    const after = await lmdbLabStore(folder)
    t.teardown(() => after.close())
    t.equal(after.get('credentials', 'a'), 'device')
  })
  await t.test('a file that is not as it was closed is named, an empty one is a new store', async (t) => {
    const rows: [string, (file: string) => void, boolean][] = [
      ['untouched', () => {}, true],
      ['emptied', (file) => truncateSync(file), false],
      [
        'new, never closed',
        (file) => {
          rmSync(`${file}.seal`)
          truncateSync(file)
        },
        true,
      ],
      ['not closed: killed', (file) => rmSync(`${file}.seal`), true],
      ['one octet flipped', flipOctet, false],
      ['its last page missing', (file) => truncateSync(file, statSync(file).size - 1), false],
      ['half', (file) => truncateSync(file, statSync(file).size / 2), false],
      ['cut in the second meta page', (file) => truncateSync(file, 4096 + 100), false],
      ['another file', (file) => writeFileSync(file, 'hello'), false],
      ['overwritten', (file) => writeFileSync(file, Buffer.alloc(64 * 1024, 7)), false],
    ]
    for (const [name, damage, opens] of rows) {
      const folder = join(t.testdir({}), name)
      const before = await lmdbLabStore(folder)
      await before.transaction((transaction) => {
        for (let i = 0; i < 50; i++) transaction.put('credentials', `${i}`, 'a'.repeat(500))
      })
      await before.close()
      damage(join(folder, 'lab.mdb'))
      if (opens) await (await lmdbLabStore(folder)).close()
      else await t.rejects(lmdbLabStore(folder), { code: 'ERR_STATE_INVALID', message: /lab\.mdb/ }, name)
    }
  })
  await t.test('the folder is for its owner only, even if it was there with another mode', async (t) => {
    const folder = t.testdir()
    const store = await lmdbLabStore(folder)
    t.teardown(() => store.close())
    t.equal(statSync(folder).mode & 0o777, 0o700)
  })
})

function flipOctet(file: string): void {
  const bytes = readFileSync(file)
  bytes[bytes.length / 2] = (bytes[bytes.length / 2] as number) ^ 1
  writeFileSync(file, bytes)
}
