import t from 'tap'
import { type Sharding, shardsOf } from '#emulator/fleet/shards.ts'
import { type Load, maxSharedConnections, sourceAddressOf, workersFor } from '#emulator/fleet/sizing.ts'
import { InputError } from '#emulator/scenario/input-error.ts'

const machine = { cores: 2, descriptors: 20_000 }
const load = (overrides: Partial<Load>): Load => ({ devices: 1_000, staysConnected: false, hasLab: false, ...overrides })

t.test('processes', async (t) => {
  const rows: [string, Partial<Load>, Partial<typeof machine>, number][] = [
    ['few devices need none of their own', { devices: 249 }, {}, 0],
    ['more take every core', { devices: 250 }, {}, 2],
    ['as asked for', { devices: 10, workers: 3 }, {}, 3],
    ['no more than devices', { devices: 2, workers: 5 }, {}, 2],
    ['none, when asked for', { devices: 5_000, workers: 0 }, {}, 0],
    ['beside a lab, which takes a core', { devices: 1_000, hasLab: true }, {}, 1],
    ['at least one', { devices: 1_000, hasLab: true }, { cores: 1 }, 1],
    ['10,000 connected devices beside a lab', { devices: 10_000, staysConnected: true, hasLab: true }, {}, 1],
    ['more than cores, where descriptors run out', { devices: 50_000, staysConnected: true }, {}, 3],
    ['those that do not stay need none', { devices: 100_000 }, {}, 2],
  ]
  for (const [name, overrides, of, expected] of rows) t.equal(workersFor(load(overrides), { ...machine, ...of }), expected, name)
})

t.test('too few descriptors are told before anything starts', async (t) => {
  const rows: [string, Partial<Load>, number, RegExp][] = [
    [
      'for the lab',
      { devices: 19_000, staysConnected: true, hasLab: true },
      20_000,
      /the embedded lab needs 20280 file descriptors and may have 20000: raise the limit \("ulimit -n 20280"/,
    ],
    [
      'for the workers that were asked for',
      { devices: 40_000, staysConnected: true, workers: 2 },
      20_000,
      /each of 2 processes needs 21280 .*ask for more workers/,
    ],
    ['for the first process alone', { devices: 1_000, workers: 0 }, 1_024, /each of 1 processes needs 1256/],
  ]
  for (const [name, overrides, descriptors, message] of rows)
    t.throws(() => workersFor(load(overrides), { cores: 2, descriptors }), { name: 'InputError', message }, name)
  const fits = { devices: 20_000 - 256 - maxSharedConnections, staysConnected: true, workers: 1 }
  t.equal(workersFor(load(fits), machine), 1, 'the last that fits')
  t.throws(() => workersFor(load({ ...fits, devices: fits.devices + 1 }), machine), InputError, 'and one more')
})

t.test('source addresses', async (t) => {
  const many = load({ devices: 20_001, staysConnected: true })
  t.equal(sourceAddressOf(0, many, 'http://127.0.0.1:8080/device/policy'), '127.0.0.1')
  t.equal(sourceAddressOf(3, many, 'http://localhost:8080/device/policy'), '127.0.0.4')
  t.equal(sourceAddressOf(255, many, 'http://127.0.0.1/device/policy'), '127.0.1.0')
  t.equal(sourceAddressOf(0, many, 'https://policy.example.org/device/policy'), undefined, 'a server elsewhere')
  t.equal(sourceAddressOf(0, { ...many, devices: 20_000 }, 'http://127.0.0.1/'), undefined, 'no need')
  t.equal(sourceAddressOf(0, { ...many, staysConnected: false }, 'http://127.0.0.1/'), undefined, 'nobody stays')
})

t.test('devices are dealt out over shards', async (t) => {
  const devices = Array.from({ length: 10 }, (_, n) => ({
    id: `d${n}`,
    platform: n < 5 ? ('ios' as const) : ('windows' as const),
    osVersion: '1',
  }))
  const sharding = {
    devices,
    shards: 3,
    concurrency: 7,
    url: 'http://127.0.0.1/',
    load: load({ devices: 10 }),
    arrival: { rate: 10 },
  } as unknown as Sharding
  const shards = shardsOf(sharding)
  t.strictSame(
    shards.flatMap((shard) => shard.devices.map(({ index }) => index)).sort((a, b) => a - b),
    devices.map((_, index) => index),
    'each once',
  )
  t.strictSame(
    shards.map(({ concurrency }) => concurrency),
    [3, 2, 2],
    'and so is the concurrency',
  )
  const byTime = shards.flatMap((shard) => shard.devices).sort((a, b) => (a.dueMs as number) - (b.dueMs as number))
  t.strictSame(
    byTime.map(({ dueMs }) => dueMs),
    devices.map((_, n) => n * 100),
    'every moment of the plan once',
  )
  for (let n = 0; n < 10; n += 2) t.equal(new Set(byTime.slice(n, n + 2).map(({ spec }) => spec.platform)).size, 2, 'platforms take turns')
  t.ok(
    shardsOf({ ...sharding, arrival: undefined }).every((shard) => shard.devices.every(({ dueMs }) => dueMs === undefined)),
    'no plan, no due times',
  )
  t.ok(
    shardsOf({ ...sharding, shards: 20, concurrency: 1 }).every(({ concurrency }) => concurrency === 1),
    'at least one at a time',
  )
})
