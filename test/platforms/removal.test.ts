import { facts, type LifecycleEvent, parseOs, platformAdapter, removalFacts, removalOf, systems } from '@certfleet/platforms'
import t from 'tap'
import { bindings } from './device.ts'

type Kind = 'trusted-root' | 'scep' | 'pkcs' | 'imported'
type Outcome = readonly [device: 'removed' | 'replaced' | 'stays', ca: 'revoked' | 'not revoked']

const kinds: readonly Kind[] = ['trusted-root', 'scep', 'pkcs', 'imported']
const events: readonly LifecycleEvent[] = ['unassigned', 'edited', 'retired', 'wiped', 'unenrolled', 'unlicensed']
const both: Outcome = ['removed', 'revoked']
const removed: Outcome = ['removed', 'not revoked']
const revoked: Outcome = ['stays', 'revoked']
const stays: Outcome = ['stays', 'not revoked']
const superseded: Outcome = ['replaced', 'revoked']
const replaced: Outcome = ['replaced', 'not revoked']

/** By Microsoft's text, written down apart from the fact rows. */
const rows: readonly (readonly [factId: string, system: string, Kind, LifecycleEvent | readonly LifecycleEvent[], Outcome])[] = [
  ...['windows 11', 'windows Phone 8.1', 'ios 17.4'].flatMap((system): typeof rows => [
    ['removal.scep', system, 'scep', ['unenrolled', 'wiped', 'retired', 'unassigned'], both],
    ['removal.pkcs', system, 'pkcs', ['unenrolled', 'wiped', 'retired'], both],
    ['removal.pkcs-unassigned', system, 'pkcs', 'unassigned', removed],
    ['removal.imported', system, 'imported', ['unenrolled', 'wiped', 'retired'], removed],
    ['removal.imported-unassigned', system, 'imported', 'unassigned', removed],
    ['removal.root', system, 'trusted-root', ['unenrolled', 'wiped', 'retired'], removed],
  ]),
  ['macos.removal.scep', 'macos 14', 'scep', ['unenrolled', 'retired', 'unassigned'], both],
  ['macos.removal.pkcs', 'macos 14', 'pkcs', ['unenrolled', 'retired'], both],
  ['removal.pkcs-unassigned-stays', 'macos 14', 'pkcs', 'unassigned', stays],
  ['macos.removal.imported', 'macos 14', 'imported', ['unenrolled', 'retired'], removed],
  ['removal.imported-unassigned-stays', 'macos 14', 'imported', 'unassigned', stays],
  ['macos.removal.root', 'macos 14', 'trusted-root', ['unenrolled', 'retired'], removed],
  ...kinds.map((kind): (typeof rows)[number] => ['macos.removal.wipe', 'macos 14', kind, 'wiped', stays]),
  ['android.removal.scep', 'android 14', 'scep', ['unenrolled', 'wiped'], both],
  ['android.removal.scep-revoked-only', 'android 14', 'scep', ['retired', 'unassigned'], revoked],
  ['removal.pkcs', 'android 14', 'pkcs', ['unenrolled', 'wiped', 'retired'], both],
  ['removal.pkcs-unassigned-stays', 'android 14', 'pkcs', 'unassigned', stays],
  ['removal.imported', 'android 14', 'imported', ['unenrolled', 'wiped', 'retired'], removed],
  ['removal.imported-unassigned-stays', 'android 14', 'imported', 'unassigned', stays],
  ['removal.root', 'android 14', 'trusted-root', ['unenrolled', 'wiped', 'retired'], removed],
  ...['windows 11', 'windows Phone 8.1', 'ios 17.4', 'macos 14', 'android 14'].flatMap((system): typeof rows => [
    ['removal.scep-edited', system, 'scep', 'edited', superseded],
    ['removal.pkcs-edited', system, 'pkcs', 'edited', replaced],
    ['removal.imported-edited', system, 'imported', 'edited', replaced],
    ['removal.root-unassigned', system, 'trusted-root', 'unassigned', removed],
    ['removal.root-edited', system, 'trusted-root', 'edited', replaced],
    ...kinds.map((kind): (typeof rows)[number] => ['removal.unlicensed', system, kind, 'unlicensed', stays]),
  ]),
]

const osOf = (system: string) => {
  const [platform, ...version] = system.split(' ')
  return [platform as 'windows', version.join(' ')] as const
}

for (const [factId, system, kind, at, expected] of rows) {
  for (const event of [at].flat()) {
    t.test(`${factId}: ${system}, ${kind} ${event}`, async (t) => {
      const { device, ca } = removalOf(kind, event, ...osOf(system))
      t.same([device, ca], expected)
    })
  }
}

t.test('one row says what becomes of each kind at each event on each system, and these rows are all', async (t) => {
  for (const system of systems)
    for (const kind of kinds)
      for (const event of events) {
        const found = removalFacts.filter(
          ({ platforms, value }) => platforms.includes(system) && value.kinds.includes(kind) && value.events.includes(event),
        )
        t.equal(found.length, 1, `${system} ${kind} ${event}`)
        const named = system === 'windows-phone' ? 'windows Phone 8.1' : system
        const shown = rows.some(([, os, of, at]) => os.startsWith(named) && of === kind && [at].flat().includes(event))
        t.ok(shown, `${system} ${kind} ${event} is shown`)
      }
})

t.test('no row depends on the version: the service asks without one', async (t) => {
  for (const { id, since, until } of removalFacts) t.same([since, until], [undefined, undefined], id)
})

t.test('the agent reads the same rows', async (t) => {
  for (const [, system, kind, at, [device, ca]] of rows) {
    const [platform, osVersion] = osOf(system)
    const { removal } = platformAdapter(platform, bindings({ osVersion })).lifecycle
    for (const event of [at].flat()) {
      if (event === 'edited') continue
      t.equal(removal[event].removed.includes(kind), device === 'removed', `${system} ${kind} ${event}`)
      t.equal(removal[event].revoked.includes(kind), ca === 'revoked', `${system} ${kind} ${event}`)
    }
  }
})

const notes = [
  ['removal.third-party', systems, 'not revoked'],
  ['removal.by-user', systems, 'issued again'],
  ['android.removal.management', ['android'], 'Knox'],
] as const

for (const [factId, of, expected] of notes) {
  t.test(`${factId}: beside the rows`, async (t) => {
    t.match(
      facts.find(({ id }) => id === factId),
      { platforms: of, value: expected },
    )
  })
}

t.test('an OS version that cannot be read', async (t) => {
  t.throws(() => removalOf('scep', 'retired', 'ios', 'seventeen'), { code: 'ERR_UNSUPPORTED' })
  t.equal(parseOs('windows', 'Phone 8.1').system, 'windows-phone')
})

const renewals = [
  ['apple.renewal.begun-by', 'ios', '17.4', 'begunBy', 'check-in'],
  ['apple.renewal.begun-by', 'macos', '14.4', 'begunBy', 'check-in'],
  ['apple.renewal.unlocked', 'ios', '17.4', 'onlyUnlocked', true],
  ['apple.renewal.unlocked', 'macos', '14.4', 'onlyUnlocked', true],
  ['apple.renewal.after-expiry', 'ios', '17.4', 'afterExpiry', 'stuck'],
  ['apple.renewal.after-expiry', 'macos', '14.4', 'afterExpiry', 'stuck'],
  ['android.renewal.begun-by', 'android', '14', 'begunBy', 'device'],
  ['android.renewal.after-expiry', 'android', '14', 'afterExpiry', 'enroll'],
  ['windows.renewal.begun-by', 'windows', '11', 'begunBy', 'device'],
  ['windows.renewal.after-expiry', 'windows', '11', 'afterExpiry', 'enroll'],
] as const

for (const [factId, platform, osVersion, rule, expected] of renewals) {
  t.test(`${factId}: ${platform}`, async (t) => {
    t.equal(platformAdapter(platform, bindings({ osVersion })).lifecycle.renewal[rule], expected)
  })
}
