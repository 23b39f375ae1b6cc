import { memoryStores, reconcile } from '@certfleet/agent-core'
import {
  facts,
  type Installation,
  installationOf,
  type LifecycleEvent,
  type Management,
  managementModes,
  type PlatformName,
  parseOs,
  platformAdapter,
  platformNames,
  removalChanges,
  removalOf,
  type UserAnswer,
  type UserStep,
} from '@certfleet/platforms'
import t from 'tap'
import { deviceSpecOf } from '#emulator/fleet/device-spec.ts'
import { FakeClock } from '../fakes/clock.ts'
import { Crash } from '../fakes/crashing.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, signal, start, type WorldOptions, world } from '../reconcile/world.ts'
import { testCa } from './certificates.ts'
import { bindings, provider } from './device.ts'

type Row = readonly [factId: string, PlatformName, osVersion: string, Management, keyof Installation, said: string]

const installations: readonly Row[] = [
  ['android.root.prompt', 'android', '4.0', 'deviceAdministrator', 'root', 'prompt'],
  ['android.root.prompt', 'android', '10', 'deviceAdministrator', 'root', 'prompt'],
  ['android.root.by-hand', 'android', '11', 'deviceAdministrator', 'root', 'by-hand'],
  ['android.root.by-hand', 'android', '15', 'deviceAdministrator', 'root', 'by-hand'],
  ['android.root.knox-silent', 'android', '10', 'knox', 'root', 'silent'],
  ['android.root.knox-silent', 'android', '11', 'knox', 'root', 'silent'],
  ['android.root.silent', 'android', '11', 'workProfile', 'root', 'silent'],
  ['android.root.silent', 'android', '10', 'deviceOwner', 'root', 'silent'],
  ['android.root.aosp-silent', 'android', '13', 'aosp', 'root', 'silent'],
  ['android.identity.prompt', 'android', '10', 'deviceAdministrator', 'identity', 'prompt'],
  ['android.identity.prompt', 'android', '11', 'deviceAdministrator', 'identity', 'prompt'],
  ['android.identity.knox-silent', 'android', '15', 'knox', 'identity', 'silent'],
  ['android.identity.silent', 'android', '15', 'workProfile', 'identity', 'silent'],
  ['android.identity.silent', 'android', '15', 'deviceOwner', 'identity', 'silent'],
  ['android.identity.aosp-silent', 'android', '15', 'aosp', 'identity', 'silent'],
  ['ios.trust.managed', 'ios', '17.4', 'managed', 'trust', 'at-once'],
  ['ios.trust.manual', 'ios', '10.3', 'unmanaged', 'trust', 'by-user'],
  ['ios.trust.manual', 'ios', '17.4', 'unmanaged', 'trust', 'by-user'],
  ['ios.trust.manual-before', 'ios', '10.2.1', 'unmanaged', 'trust', 'at-once'],
]

for (const [factId, platform, osVersion, management, what, said] of installations) {
  t.test(`${factId}: ${what} on ${platform} ${osVersion}, ${management}: ${said}`, async (t) => {
    t.equal(installationOf(parseOs(platform, osVersion, undefined, management))[what], said)
    const fact = facts.find(({ id }) => id === factId)
    const os = parseOs(platform, osVersion, new Map([[factId, 'off']]), management)
    const usual = { root: 'silent', identity: 'silent', trust: 'at-once' }[what]
    t.equal(installationOf(os)[what], usual, `${fact?.id} is what says so`)
  })
}

t.test('every other management says nothing, so that its user is not asked', async (t) => {
  for (const platform of ['macos', 'windows', 'ios'] as const) {
    t.same(installationOf(parseOs(platform, '15')), { root: 'silent', identity: 'silent', trust: 'at-once' }, platform)
  }
})

t.test('what nothing is said of is Samsung Knox on Android, managed elsewhere', async (t) => {
  for (const platform of platformNames) t.equal(parseOs(platform, '11').management, managementModes[platform][0], platform)
  t.equal(parseOs('android', '11').management, 'knox')
  const refused = { code: 'ERR_UNSUPPORTED', message: /windows knows no management "knox", expected managed/ }
  t.throws(() => platformAdapter('windows', bindings({ osVersion: '11', management: 'knox' })), refused)
})

t.test('Windows may be written by its NT number', async (t) => {
  for (const [nt, marketed] of [
    ['6.3.9600', '8.1'],
    ['6.2', '8'],
    ['6.1.7601', '7'],
    ['10.0.26100', '10.0.26100'],
  ])
    t.equal(parseOs('windows', nt as string).version, marketed)
  t.equal(parseOs('ios', '6.3').version, '6.3', 'no other platform')
})

const authority = await labStore(new FakeClock(start))
const pool = await makeKeyPool(2)

/** A user who answers as told, and what was asked. */
function user(answers: Partial<Record<UserStep['kind'], UserAnswer>>) {
  const asked: string[] = []
  const userConsent = async (step: UserStep): Promise<UserAnswer> => {
    asked.push(`${step.kind} ${'displayName' in step ? step.displayName : step.fingerprint.length}`)
    return answers[step.kind] ?? 'granted'
  }
  return { asked, answers, userConsent }
}

async function emulated(
  platform: PlatformName,
  osVersion: string,
  management: Management,
  answers: Partial<Record<UserStep['kind'], UserAnswer>>,
  own: Partial<WorldOptions> = {},
) {
  const { userConsent, ...person } = user(answers)
  const device = await world({ pool, authority, platform, osVersion, enrolled: { management, userConsent }, ...own })
  const pass = async () => {
    person.asked.length = 0
    const before = device.requests.length
    const { report, wakeAt } = await reconcile(device.device(), signal)
    const sent = device.requests.slice(before).filter((url) => !/\/device\/(policy|report)$/.test(url))
    return { report, wakeAt, sent, asked: [...person.asked], issued: [...device.lab.issued()].length }
  }
  return { ...device, answers: person.answers, pass }
}

const waiting = 'ERR_USER_ACTION_REQUIRED'

t.test('android.root.prompt, android.identity.prompt: a device administrator asks for the root, the certificate and the key', async (t) => {
  const device = await emulated('android', '10', 'deviceAdministrator', {})
  const { report, asked } = await device.pass()
  t.same(asked, ['install-root Root', 'install-identity Wi-Fi', 'access-key Wi-Fi'])
  t.match(report, { roots: [{ installed: true }], profiles: [{ state: 'installed' }] })
  t.same((await device.pass()).asked, [], 'what is there is not asked for again')
})

for (const [management, osVersion] of [
  ['knox', '11'],
  ['workProfile', '15'],
  ['deviceOwner', '15'],
  ['aosp', '13'],
] as const) {
  t.test(`android.root.silent and the like: ${management} asks nobody`, async (t) => {
    const device = await emulated('android', osVersion, management, { 'install-root': 'refused', 'install-identity': 'refused' })
    const { report, asked } = await device.pass()
    t.same(asked, [])
    t.match(report.profiles, [{ state: 'installed' }])
  })
}

t.test('android.root.by-hand: SCEP waits for a root that the user installs by hand; Knox does not', async (t) => {
  const device = await emulated('android', '11', 'deviceAdministrator', { 'install-root-by-hand': 'waiting' })
  const first = await device.pass()
  t.same(first.asked, ['install-root-by-hand Root'])
  t.match(first.report, {
    results: [
      { kind: 'install-root', code: waiting, message: /by hand under the name "Root"/ },
      { kind: 'enroll', code: waiting },
    ],
    roots: [{ installed: false }],
    profiles: [{ code: waiting, message: /^"Wi-Fi" waits for its root: .*by hand under the name "Root"/ }],
  })
  t.same([first.sent, first.issued, first.wakeAt], [[], 0, undefined], 'nothing is sent, and only the user helps')
  t.same((await device.keys.list()).length, 0, 'no key is made')
  t.match((await device.pass()).report.profiles, [{ code: waiting }], 'it waits on, without a backoff')
  device.answers['install-root-by-hand'] = 'granted'
  t.match((await device.pass()).report, { roots: [{ installed: true }], profiles: [{ state: 'installed' }] }, 'at the next pass')
})

for (const [kind, answer, said] of [
  ['install-identity', 'waiting', /^the user has not let the certificate of "Wi-Fi" be installed$/],
  ['install-identity', 'refused', /^the user refused, and has not let the certificate/],
  ['access-key', 'waiting', /^the user has not let the key of "Wi-Fi" be used$/],
] as const) {
  t.test(`android.identity.prompt: ${kind} ${answer}: what was issued is kept, and nothing is asked for twice`, async (t) => {
    const device = await emulated('android', '11', 'deviceAdministrator', { [kind]: answer })
    const first = await device.pass()
    t.match(first.report.profiles, [{ state: 'issued', code: waiting, message: said }])
    t.equal(first.issued, 1)
    for (const pass of [await device.pass(), await device.pass()]) {
      t.match(pass.report.profiles, [{ state: 'issued', code: waiting, message: said }])
      t.same([pass.sent, pass.issued], [[], 1], 'not a request, not another certificate')
    }
    device.answers[kind] = 'granted'
    const last = await device.pass()
    t.match(last.report.profiles, [{ state: 'installed' }])
    t.same([last.sent, last.issued], [[], 1], 'what is installed is what was issued')
    t.equal((await device.state.load()).attempts.size, 0)
  })
}

t.test(
  'android.identity.prompt: a certificate that waits through its renewal is replaced once, and the old one serves until then',
  async (t) => {
    const device = await emulated('android', '11', 'deviceAdministrator', {})
    await device.pass()
    await device.clock.advance(85 * day)
    device.answers['install-identity'] = 'waiting'
    for (const _ of [1, 2]) {
      const { report, issued } = await device.pass()
      t.match(report.profiles, [{ state: 'renewalRequested', code: waiting }])
      t.equal(issued, 2)
    }
    device.answers['install-identity'] = 'granted'
    const { report, issued } = await device.pass()
    t.match(report.profiles, [{ state: 'installed' }])
    t.equal(issued, 2)
  },
)

t.test('android.identity.prompt: what was PENDING and then issued is not polled for again', async (t) => {
  let decision: 'issue' | 'pending' = 'pending'
  const device = await emulated('android', '11', 'deviceAdministrator', { 'install-identity': 'waiting' }, { approve: () => decision })
  t.match((await device.pass()).report.profiles, [{ state: 'issuePending' }])
  decision = 'issue'
  await device.clock.advance(60_000)
  t.match((await device.pass()).report.profiles, [{ state: 'issued', code: waiting }])
  t.same((await device.pass()).sent, [])
  device.answers['install-identity'] = 'granted'
  t.match((await device.pass()).report.profiles, [{ state: 'installed' }])
})

t.test('android.identity.prompt: a crash at any step of the wait costs no second certificate', async (t) => {
  for (let left = 0, crashed = true; crashed; left += 3) {
    const device = await emulated('android', '11', 'deviceAdministrator', { 'install-identity': 'waiting' })
    crashed = await reconcile(device.device({ left }), signal).then(
      () => false,
      (error: unknown) => {
        if (error instanceof Crash) return true
        throw error
      },
    )
    t.match((await device.pass()).report.profiles, [{ state: 'issued', code: waiting }], `step ${left}`)
    device.answers['install-identity'] = 'granted'
    const { report, issued } = await device.pass()
    t.match(report.profiles, [{ state: 'installed' }], `step ${left}`)
    t.equal(issued, 1, `step ${left}`)
    t.equal((await device.keys.list()).length, 1, `step ${left}`)
  }
})

t.test('nobody answers where the embedder says nothing', async (t) => {
  const ca = testCa(t.testdir())
  const certificateStores = memoryStores()
  const adapter = platformAdapter('android', bindings({ osVersion: '10', management: 'deviceAdministrator', certificateStores }))
  await t.rejects(adapter.certificateStores.install('computer-root', ca.root, 'Root'), { code: waiting })
  t.same(await certificateStores.list(), [])
})

t.test('ios.trust.manual: a root that was installed by hand is trusted for TLS once the user says so', async (t) => {
  const device = await emulated('ios', '17.4', 'unmanaged', { 'trust-root': 'waiting' })
  t.match((await device.pass()).report, { roots: [{ installed: true, awaitsTrust: true }], profiles: [{ state: 'installed' }] })
  device.answers['trust-root'] = 'granted'
  const { report } = await device.pass()
  t.notOk('awaitsTrust' in (report.roots[0] ?? {}))
  const managed = await emulated('ios', '17.4', 'managed', { 'trust-root': 'waiting' })
  t.notOk('awaitsTrust' in ((await managed.pass()).report.roots[0] ?? {}), 'ios.trust.managed')
})

t.test('android.storage.full-disk-pin: storage encrypted as a whole makes no key before there is a PIN', async (t) => {
  let hasPin = false
  const fullDiskEncryption = { hasPin: async () => hasPin }
  const device = await world({ pool, authority, platform: 'android', osVersion: '9', enrolled: { fullDiskEncryption } })
  const pass = async () => (await reconcile(device.device(), signal)).report.profiles
  t.match(await pass(), [{ code: waiting, message: /has no PIN yet; set one \(android\.storage\.full-disk-pin\)/ }])
  t.same([...device.lab.issued()], [], 'nothing was asked for')
  hasPin = true
  t.match(await pass(), [{ state: 'installed' }])
  const keyStorageProviders = [provider('software')]
  const ios = platformAdapter('ios', bindings({ osVersion: '17', keyStorageProviders, fullDiskEncryption }))
  t.equal(ios.keyStorageProviders, keyStorageProviders, 'no other platform')
})

const gone = ['unenrolled', 'wiped', 'retired'] as const
const removals: readonly (readonly [factId: string, Management, readonly LifecycleEvent[], 'removed' | 'replaced' | 'stays', string])[] = [
  ['android.removal.administrator', 'deviceAdministrator', ['unenrolled', 'retired', 'unassigned'], 'stays', 'revoked'],
  ['android.removal.administrator', 'deviceAdministrator', ['wiped'], 'removed', 'revoked'],
  ['android.removal.administrator', 'deviceAdministrator', ['edited'], 'replaced', 'revoked'],
  ['android.removal.owner', 'deviceOwner', ['unenrolled', 'wiped'], 'removed', 'not revoked'],
  ['android.removal.owner', 'aosp', ['unassigned', 'retired'], 'stays', 'not revoked'],
  ['android.removal.owner', 'aosp', ['edited'], 'replaced', 'not revoked'],
  ['android.removal.management', 'workProfile', ['unenrolled', 'wiped'], 'removed', 'revoked'],
  ['android.removal.management', 'workProfile', ['unassigned'], 'stays', 'revoked'],
]

for (const [factId, management, events, device, ca] of removals) {
  for (const event of events) {
    t.test(`${factId}: a SCEP certificate of ${management}, ${event}: ${device}, ${ca}`, async (t) => {
      t.same(outcomeOf(event, management), [device, ca])
    })
  }
}

function outcomeOf(event: LifecycleEvent, management: Management) {
  const { device, ca } = removalOf('scep', event, 'android', '14', undefined, management)
  return [device, ca]
}

t.test('at most one row changes what the others say, and the agent reads the outcome', async (t) => {
  for (const management of managementModes.android) {
    const found = removalChanges.filter((fact) => fact.management?.includes(management))
    t.ok(found.length <= 1, management)
    const { removal } = platformAdapter('android', bindings({ osVersion: '14', management })).lifecycle
    for (const event of [...gone, 'unassigned', 'unlicensed'] as const) {
      const [device, ca] = outcomeOf(event, management)
      t.equal(removal[event].removed.includes('scep'), device === 'removed', `${management} ${event}`)
      t.equal(removal[event].revoked.includes('scep'), ca === 'revoked', `${management} ${event}`)
    }
  }
})

t.test('android.report.owner: beside the rows', async (t) => {
  t.match(
    facts.find(({ id }) => id === 'android.report.owner'),
    { management: ['deviceOwner', 'aosp'], value: 'not reported' },
  )
})

t.test('the lab revokes by what the device registered as', async (t) => {
  for (const [management, revoked] of [
    ['knox', 1],
    ['aosp', 0],
  ] as const) {
    const device = await emulated('android', '14', management, {})
    await device.pass()
    device.edit((document) => ({ ...document, scepProfiles: [] }))
    await device.lab.policiesChanged()
    t.equal(device.lab.audit().filter(({ event }) => event === 'revoked').length, revoked, management)
  }
})

t.test("a tenant's device is emulated as what it is enrolled as", async (t) => {
  const device = { id: 'd', platform: 'windows', osVersion: '8.1' } as const
  t.same(deviceSpecOf(device), device)
  t.same(deviceSpecOf({ ...device, management: 'windowsPhone81' }), { ...device, osVersion: 'Phone 8.1' }, 'a system of its own')
  const phone = { id: 'd', platform: 'android', osVersion: '14', management: 'deviceAdministrator', userConsent: 'waiting' } as const
  t.same(deviceSpecOf(phone), phone)
})
