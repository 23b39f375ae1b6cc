import { reconcile } from '@certfleet/agent-core'
import { appliesTo, type PlatformName, parseOs, whyInapplicable } from '@certfleet/platforms'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { signal, start, world } from '../reconcile/world.ts'

const rows: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, applies: boolean])[] = [
  ['android.applies', 'android', '3.2', false],
  ['android.applies', 'android', '4.0', true],
  ['android.applies', 'android', '14', true],
  ['ios.applies', 'ios', '5.1', false],
  ['ios.applies', 'ios', '6.0', true],
  ['ios.applies', 'ios', '17.4.1', true],
  ['macos.applies', 'macos', '10.8', false],
  ['macos.applies', 'macos', '10.8.5', false],
  ['macos.applies', 'macos', '10.9', true],
  ['macos.applies', 'macos', '10.10', true],
  ['macos.applies', 'macos', '11.1 (20C69)', true],
  ['windows.applies', 'windows', '8.0', false],
  ['windows.applies', 'windows', '8.1', true],
  ['windows.applies', 'windows', '10.0.19045.3324', true],
  ['windows-phone.applies', 'windows', 'Phone 8.0', false],
  ['windows-phone.applies', 'windows', 'Phone 8.1', true],
]

for (const [factId, platform, osVersion, applies] of rows) {
  t.test(`${factId}: ${platform} ${osVersion} ${applies ? 'takes' : 'does not take'} Trusted and SCEP profiles`, async (t) => {
    t.equal(appliesTo('trusted-root', platform, osVersion), applies)
    t.equal(appliesTo('scep', platform, osVersion), applies)
  })
}

for (const osVersion of ['', 'ten', '10.x', '10.', '-1', '1.2.3.4.5.6', '10\n', `1${'0'.repeat(40)}`, '17 (<script>)']) {
  t.test(`the OS version ${JSON.stringify(osVersion)} is refused`, async (t) => {
    t.throws(() => appliesTo('scep', 'ios', osVersion), { code: 'ERR_UNSUPPORTED', message: /expected dotted numbers/ })
  })
}

t.test('no other platform has a phone', async (t) => {
  t.throws(() => appliesTo('scep', 'android', 'Phone 8.1'), { code: 'ERR_UNSUPPORTED' })
})

const reasons = [
  ['windows.pfx-applies', 'pfx', 'windows', '8.1', /from Windows 10/],
  ['windows.pfx-applies', 'pfx', 'windows', '6.3.9600', /from Windows 10/],
  ['windows.pfx-applies', 'pfx', 'windows', '10', undefined],
  ['windows.pfx-applies', 'pfx', 'windows', 'Phone 8.1', /from Windows 10/],
  ['android.pfx-applies', 'pfx', 'android', '3.2', /from Android 4\.0/],
  ['ios.applies', 'scep', 'ios', '5.1', /from iOS 6\.0/],
  ['windows.applies', 'trusted-root', 'windows', '8', /from Windows 8\.1/],
  ['windows.applies', 'scep', 'windows', '6.3.9600', undefined],
] as const

for (const [factId, type, platform, osVersion, reason] of reasons) {
  t.test(`${factId}: ${type} on ${platform} ${osVersion} is ${reason ? 'not applicable' : 'applicable'}`, async (t) => {
    const found = whyInapplicable(type, parseOs(platform, osVersion))
    if (reason) t.match(found, { factId, reason })
    else t.equal(found, undefined)
  })
}

t.test('apple.pfx-applies: one that is switched off says so itself', async (t) => {
  const os = parseOs('ios', '17', new Map([['apple.pfx-applies', 'off']]))
  t.match(whyInapplicable('pfx', os), { factId: 'apple.pfx-applies' })
})

const authority = await labStore(new FakeClock(start))
const pool = await makeKeyPool(1)

t.test(
  'windows.pfx-applies: a device that is sent a PFX profile all the same tells that it is not for it, and fails nothing (S12)',
  async (t) => {
    const mail = {
      ...{ id: 'mail', displayName: 'Mail', principal: 'user' as const, assignedTo: ['device' as const], rootProfileId: 'root' },
      ...{ renewalThresholdPercent: 20, kind: 'pkcs' as const, certificateRevision: 'v1', keyStorage: 'useSoftwareKsp' as const },
    }
    const known = { id: 'old', displayName: 'Old', factId: 'windows.pfx-applies', reason: 'so the service says.' }
    const device = await world({
      pool,
      authority,
      osVersion: '8.1',
      edit: (document) => ({ ...document, pfxProfiles: [mail], notApplicable: [known, { id: 7 } as never] }),
    })
    const { report, wakeAt } = await reconcile(device.device(), signal)
    t.match(report.notApplicable, [known, { id: 'mail', displayName: 'Mail', factId: 'windows.pfx-applies', reason: /from Windows 10/ }])
    t.equal(report.notApplicable?.length, 2, 'what cannot be read is passed over')
    t.same(
      report.results.filter(({ status }) => status === 'failed'),
      [],
    )
    t.match(report.profiles, [{ profileId: 'wifi', state: 'installed' }])
    t.equal(report.profiles.length, 1)
    t.equal(device.requests.filter((url) => url.endsWith('/device/pfx')).length, 0, 'nothing is asked for it')
    t.type(wakeAt, 'number')
  },
)

t.test('ios.applies: a device that is too old for all of it does nothing', async (t) => {
  const device = await world({ pool: [], authority, platform: 'ios', osVersion: '5.1' })
  const { report } = await reconcile(device.device(), signal)
  t.match(report, { results: [], roots: [], profiles: [], notApplicable: [{ id: 'root' }, { id: 'wifi', factId: 'ios.applies' }] })
})
