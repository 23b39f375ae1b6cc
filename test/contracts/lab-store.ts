import type { LabStore, Registration } from '@certfleet/emulator/lab'
import type { Test } from 'tap'

const device = (deviceId: string, osVersion = '1'): Registration => ({
  deviceId,
  platform: 'ios',
  osVersion,
  credentialDigest: 'aa',
  registeredAt: 1,
})

/** What every `LabStore` promises (lab/store.ts). */
export async function labStoreContract(t: Test, make: (t: Test) => Promise<LabStore>): Promise<void> {
  await t.test('a new store holds nothing', async (t) => {
    const store = await make(t)
    t.equal(store.get('registrations', 'a'), undefined)
    t.same([...store.list('registrations')], [])
  })
  await t.test('a committed record is there, bytes and missing members included', async (t) => {
    const store = await make(t)
    const pair = (octet: number) => ({ privateKey: Uint8Array.of(octet), certificate: Uint8Array.of(octet, 0, 255) })
    const record = { root: pair(1), issuing: pair(2), signing: pair(3), encryption: pair(4), secret: Uint8Array.of(9) }
    await store.transaction((transaction) => transaction.put('authority', 'lab', record))
    const first = store.get('authority', 'lab')
    store.get('registrations', 'other')
    t.same(Buffer.from(first?.root.certificate ?? []), Buffer.of(1, 0, 255))
    t.same(Buffer.from(first?.secret ?? []), Buffer.of(9))
    t.equal(store.get('registrations', 'lab'), undefined, 'tables are apart')
  })
  await t.test('a transaction returns what its work returned', async (t) => {
    t.equal(await (await make(t)).transaction(() => 7), 7)
  })
  await t.test('a transaction sees its own writes', async (t) => {
    const store = await make(t)
    await store.transaction((transaction) => {
      transaction.put('registrations', 'a', device('a'))
      t.equal(transaction.get('registrations', 'a')?.deviceId, 'a')
      transaction.remove('registrations', 'a')
      t.equal(transaction.get('registrations', 'a'), undefined)
    })
    t.equal(store.get('registrations', 'a'), undefined)
  })
  await t.test('when the work throws, nothing of it is written and the error comes out', async (t) => {
    const store = await make(t)
    await store.transaction((transaction) => transaction.put('registrations', 'a', device('a')))
    const error = new TypeError('halfway')
    const failing = store.transaction((transaction) => {
      transaction.put('registrations', 'a', device('a', '2'))
      transaction.put('registrations', 'b', device('b'))
      throw error
    })
    await t.rejects(failing, error)
    t.equal(store.get('registrations', 'a')?.osVersion, '1')
    t.equal(store.get('registrations', 'b'), undefined)
  })
  await t.test('transactions that are asked for at once run one after the other', async (t) => {
    const store = await make(t)
    const count = () =>
      store.transaction((transaction) => {
        const before = Number(transaction.get('registrations', 'a')?.osVersion ?? 0)
        transaction.put('registrations', 'a', device('a', String(before + 1)))
        return before
      })
    const seen = await Promise.all(Array.from({ length: 20 }, count))
    t.equal(new Set(seen).size, 20)
    t.equal(store.get('registrations', 'a')?.osVersion, '20')
  })
  await t.test('a table is listed by key, without the other tables', async (t) => {
    const store = await make(t)
    await store.transaction((transaction) => {
      for (const id of ['b', 'a', 'é', 'c']) transaction.put('registrations', id, device(id))
      transaction.put('credentials', 'x', 'a')
    })
    t.same(
      [...store.list('registrations')].map(({ deviceId }) => deviceId),
      ['a', 'b', 'c', 'é'],
    )
  })
  await t.test('keys of 500 characters, and names of object members, are keys like others', async (t) => {
    const store = await make(t)
    const keys = ['é'.repeat(500), '__proto__', 'constructor']
    for (const key of keys) t.equal(store.get('registrations', key), undefined)
    await store.transaction((transaction) => {
      for (const key of keys) transaction.put('registrations', key, device(key))
    })
    for (const key of keys) t.equal(store.get('registrations', key)?.deviceId, key)
  })
  await t.test('a key that is too long names no record', async (t) => {
    const store = await make(t)
    for (const key of ['x'.repeat(501), 'ab'.repeat(5000)]) {
      t.equal(store.get('issued', key), undefined)
      t.equal(await store.transaction((transaction) => transaction.get('issued', key)), undefined)
    }
  })
  await t.test('what the caller does to a record afterwards changes nothing', async (t) => {
    const store = await make(t)
    const named = (id: string) => ({ id, expiresAt: 1 })
    const mine = [named('one')]
    await store.transaction((transaction) => transaction.put('outstanding', 'a', mine))
    mine.push(named('two'))
    ;(store.get('outstanding', 'a') as (typeof mine)[number][]).push(named('three'))
    t.same(store.get('outstanding', 'a'), [named('one')])
    const secret = Uint8Array.of(1)
    const pair = { privateKey: secret, certificate: secret }
    const record = { root: pair, issuing: pair, signing: pair, encryption: pair, secret }
    await store.transaction((transaction) => transaction.put('authority', 'lab', record))
    secret.fill(2)
    store.get('authority', 'lab')?.root.privateKey.fill(3)
    t.same([...(store.get('authority', 'lab')?.root.privateKey ?? [])], [1], 'nor to its octets')
  })
  await t.test('removing what is not there, and closing twice, are no errors', async (t) => {
    const store = await make(t)
    await store.transaction((transaction) => transaction.remove('registrations', 'nobody'))
    await store.close()
    await t.resolves(store.close())
  })
}
