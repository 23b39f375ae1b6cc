import { join } from 'node:path'
import { AgentError, fileState, type HttpResponse, reconcile } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import { createLab } from '@certfleet/emulator/lab'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { Crash } from '../fakes/crashing.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, type Edit, signal, start, type World, type WorldOptions, world } from './world.ts'

const pool = await makeKeyPool(4)
const authority = await labStore(new FakeClock(start))
const nextAuthority = await labStore(new FakeClock(start))
const preparing = { store: nextAuthority, clock: new FakeClock(start), registrationToken: 'unused', policyFor: () => undefined }
await (await createLab(preparing)).prepareRollOver(start + day)
const make = (options: Partial<WorldOptions> = {}) => world({ pool, authority, ...options })

const unassigned: Edit = (document) => ({ ...document, scepProfiles: [] })
const pass = async (device: World) => (await reconcile(device.device(), signal)).report
const done = async (device: World) => (await pass(device)).results.map(({ kind, reason, status }) => `${kind} ${reason} ${status}`)
const serials = async (device: World) => (await pass(device)).profiles.map(({ serialNumber }) => serialNumber)

for (const [lifecycle, reason] of [
  ['retired', 'DeviceRetired'],
  ['wiped', 'DeviceWiped'],
  ['unenrolled', 'DeviceUnenrolled'],
] as const) {
  t.test(`${lifecycle}: certificate, key and root go, whatever the policy still lists, and nothing comes back`, async (t) => {
    const device = await make()
    await pass(device)
    device.edit((document) => ({ ...document, lifecycle }))
    t.same(await done(device), [
      `remove-identity ${reason} done`,
      'remove-root RootNoLongerTrusted done',
      'destroy-key KeyUnreferenced done',
    ])
    t.same([await device.identities.list(), await device.stores.list(), await device.keys.list()], [[], [], []])
    await device.clock.advance(200 * day)
    t.same(await done(device), [])
  })
}

t.test('unlicensed: all stays, is told and is not renewed; with the licence it goes on as it was', async (t) => {
  const device = await make()
  const [before] = await serials(device)
  device.edit((document) => ({ ...document, lifecycle: 'unlicensed' }))
  const report = await pass(device)
  t.match(report, {
    results: [],
    profiles: [],
    kept: [{ profileId: 'wifi', principal: 'device', serialNumber: before, reason: 'LicenseLost' }],
  })
  await device.clock.advance(90 * day)
  t.same(await done(device), [], 'not even in its window')
  t.equal((await device.stores.list()).length, 1)
  t.equal((await device.keys.list()).length, 1, 'its key stays with it')
  device.edit((document) => document)
  t.same(await done(device), ['renew RenewalDue done', 'destroy-key KeyUnreferenced done'])
})

t.test('android: an unassigned certificate stays with its key, revoked; assigned again it is another', async (t) => {
  const device = await make({ platform: 'android' })
  const [before] = await serials(device)
  device.edit(unassigned)
  t.same(await done(device), ['release-identity ProfileRemoved done'])
  for (const wait of [0, 90 * day, 20 * day]) {
    await device.clock.advance(wait)
    t.match(await pass(device), { results: [], profiles: [], kept: [{ serialNumber: before, reason: 'ProfileRemoved' }] })
  }
  t.equal((await device.keys.list()).length, 1)
  device.edit((document) => document)
  t.same(await done(device), ['enroll ProfileReassigned done', 'destroy-key KeyUnreferenced done'])
  const after = await pass(device)
  t.not(after.profiles[0]?.serialNumber, before)
  t.notOk('kept' in after)
})

t.test('a certificate that its user deletes is issued again, under another key', async (t) => {
  const device = await make()
  const [before] = await serials(device)
  await device.identities.remove('device/wifi')
  t.same(await done(device), ['enroll IdentityMissing done', 'destroy-key KeyUnreferenced done'])
  const [after] = await serials(device)
  t.ok(after && after !== before)
  t.equal((await device.keys.list()).length, 1)
})

t.test('a profile that goes while it is enrolled installs nothing afterwards', async (t) => {
  for (const [name, lose, approve] of [
    ['the attempt is on record, nothing sent', 'GetCACert', 'issue'],
    ['the CA issued, and its reply was lost', 'PKIOperation', 'issue'],
    ['PENDING', undefined, 'pending'],
  ] as const) {
    const device = await make({ approve: () => approve })
    const { platform, ...rest } = device.device()
    const protocolFor: typeof platform.protocolFor = (profile, root) => {
      const { request, ...protocol } = platform.protocolFor(profile, root)
      const losing: typeof request = async (asked, signal) => {
        if (lose === 'GetCACert') throw new AgentError('ERR_NETWORK', 'lost on its way there')
        const outcome = await request(asked, signal)
        if (lose) throw new AgentError('ERR_NETWORK', 'lost on its way back')
        return outcome
      }
      return { ...protocol, request: losing }
    }
    await reconcile({ ...rest, platform: { ...platform, protocolFor } }, signal)
    t.equal((await device.state.load()).attempts.size, 1, `${name}: under way`)
    device.edit(unassigned)
    t.same(await done(device), ['end-attempt ProfileRemoved done', 'destroy-key KeyUnreferenced done'], name)
    await device.clock.advance(day)
    t.same(await done(device), [], name)
    const left = await device.state.load()
    t.same([await device.identities.list(), await device.keys.list()], [[], []], name)
    t.same([left.attempts.size, left.pending.size, left.failures.size], [0, 0, 0], name)
  }
})

t.test('while the new CA issues nothing, the old certificate and its root stay', async (t) => {
  let answer: 'issue' | 'pending' = 'issue'
  const device = await make({ approve: () => answer })
  const [before] = await serials(device)
  const oldRoot = device.lab.caFingerprint
  const newRoot = fingerprintOf(await device.lab.prepareRollOver(start + day))
  await device.clock.advance(day)
  answer = 'pending'
  t.same(await done(device), ['install-root RootMissing done', 'enroll RootChanged pending'])
  t.match(await pass(device), {
    roots: [{ fingerprint: newRoot, installed: true }],
    profiles: [{ serialNumber: before, state: 'renewalRequested' }],
  })
  t.same((await device.stores.list()).map(({ fingerprint }) => fingerprint).sort(), [oldRoot, newRoot].sort())
  answer = 'issue'
  await device.clock.advance(day)
  t.same(
    await done(device),
    ['poll PollDue done', 'remove-root RootNoLongerTrusted done', 'destroy-key KeyUnreferenced done'],
    'the old root last',
  )
  t.same(
    (await device.stores.list()).map(({ fingerprint }) => fingerprint),
    [newRoot],
  )
})

/** Answers PKIOperation like this, once. */
async function refusedOnce(response: HttpResponse, options: Partial<WorldOptions> = {}) {
  const answers = [response]
  return make({ ...options, intercept: ({ url }) => (url.includes('PKIOperation') ? answers.shift() : undefined) })
}

const date = (instant: number) => new Date(instant).toUTCString()
const body = new Uint8Array()

/** What is left once all is done: identities, keys, roots. */
const crashes: [
  name: string,
  options: Partial<WorldOptions>,
  happens: (device: World) => Promise<void> | void,
  left: [number, number, number],
][] = [
  ['unassigned', {}, (device) => device.edit((document) => ({ ...unassigned(document), trustedRoots: [] })), [0, 0, 0]],
  ['retired', {}, (device) => device.edit((document) => ({ ...document, lifecycle: 'retired' })), [0, 0, 0]],
  ['unassigned, and it stays', { platform: 'android' }, (device) => device.edit(unassigned), [1, 1, 1]],
  ['another root', { authority: nextAuthority }, (device) => device.clock.advance(day), [1, 1, 1]],
]

for (const [name, options, happens, left] of crashes) {
  t.test(`${name}: a crash at any step is made good`, async (t) => {
    let steps = 0
    for (let crashed = true; crashed; steps++) {
      const device = await make(options)
      await pass(device)
      await happens(device)
      crashed = await reconcile(device.device({ left: steps }), signal).then(
        () => false,
        (error) => {
          if (error instanceof Crash) return true
          throw error
        },
      )
      await pass(device)
      await device.clock.advance(600_000)
      const { results } = await pass(device)
      const found = [await device.identities.list(), await device.keys.list(), await device.stores.list()]
      t.same(
        found.map(({ length }) => length),
        left,
        `at step ${steps}`,
      )
      t.same(results, [])
      const [identity] = await device.identities.list()
      if (options.platform) t.equal(identity?.releasedBy, 'unassigned')
    }
    t.ok(steps > 20, `${steps} steps`)
  })
}

t.test('Retry-After is honoured within a day, and over a restart', async (t) => {
  const hour = 3_600_000
  for (const [name, headers, waitMs] of [
    ['seconds', { 'retry-after': '7200' }, 2 * hour],
    [
      'a date, by the server’s clock, which is ten years ahead',
      { 'retry-after': date(start + 3650 * day + hour), date: date(start + 3650 * day) },
      hour,
    ],
    ['absurd', { 'retry-after': '99999999999999999999' }, 24 * hour],
    ['sooner than the backoff', { 'retry-after': '1' }, 30_000],
    ['in the past', { 'retry-after': date(start - day), date: date(start) }, 30_000],
    ['nonsense', { 'retry-after': 'soon' }, 30_000],
    ['a date and nothing to read it by', { 'retry-after': date(start + 20 * hour) }, 30_000],
  ] as const) {
    const device = await refusedOnce({ status: 503, headers, body })
    const path = join(t.testdir(), 'state.json')
    const first = await fileState(path)
    const expected = start + waitMs
    const failed = await reconcile({ ...device.device(), state: first }, signal)
    await first.close()
    t.match(failed.report.profiles, [{ code: 'ERR_HTTP_STATUS', retryAt: expected }], name)
    t.equal(failed.wakeAt, expected, name)
    const second = await fileState(path)
    await device.clock.advance(waitMs - 1)
    t.same((await reconcile({ ...device.device(), state: second }, signal)).report.results, [], `${name}: one millisecond before`)
    await device.clock.advance(1)
    t.match((await reconcile({ ...device.device(), state: second }, signal)).report.profiles, [{ state: 'installed' }], name)
    await second.close()
  }
})

t.test('a backoff is cleared by an edit of the profile and by no other', async (t) => {
  const down: HttpResponse = { status: 500, headers: {}, body }
  let isDown = true
  const device = await make({ intercept: ({ url }) => (isDown && url.includes('PKIOperation') ? down : undefined) })
  await pass(device)
  const failure = async () => (await device.state.load()).failures.get('device/wifi')
  t.match(await failure(), { count: 1, revision: 1 })
  device.edit((document) => ({
    ...document,
    failedProfiles: [{ id: 'x', displayName: 'X', principal: 'user', code: 'ERR_UNSUPPORTED', message: 'no' }],
  }))
  t.same(await done(device), ['fail ProfileFailed failed'], 'an edit elsewhere')
  device.edit((document) => ({ ...document, scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, displayName: 'WLAN' })) }))
  t.same(await done(device), [], 'its name')
  const urls = (document: Parameters<Edit>[0]) =>
    document.scepProfiles.map((profile) => ({ ...profile, scepUrls: [...profile.scepUrls, ...profile.scepUrls] }))
  device.edit((document) => ({ ...document, scepProfiles: urls(document) }))
  t.same(await done(device), ['enroll IdentityMissing failed'], 'where it asks')
  t.match(await failure(), { count: 1, revision: 4 })
  isDown = false
  await device.clock.advance(30_000)
  t.same(await done(device), ['enroll IdentityMissing done'])
})

t.test('the CA is down for a week: the device asks on, ever less, and never gives up', async (t) => {
  let asked = 0
  let isDown = true
  const down: HttpResponse = { status: 503, headers: {}, body }
  const intercept: WorldOptions['intercept'] = ({ url }) => {
    if (!isDown || !url.includes('PKIOperation')) return undefined
    asked++
    return down
  }
  const device = await make({ intercept, jitter: { between: (_minMs, maxMs) => maxMs } })
  for (const week = start + 7 * day; device.clock.now() < week; ) {
    const { wakeAt } = await reconcile(device.device(), signal)
    await device.clock.advance((wakeAt ?? week) - device.clock.now())
  }
  // Ten waits up to a cap of six hours, which are half a day, and then four a day.
  t.ok(asked >= 28 && asked <= 40, `${asked} times`)
  isDown = false
  t.match(await pass(device), { profiles: [{ state: 'installed' }] })
})
