import { type KeyStorageOption, type PfxRules, type PfxSpec, reconcile } from '@certfleet/agent-core'
import { appliesTo, type PlatformName, platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { withPfx } from '../fakes/pfx-connector.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { signal, start, world } from '../reconcile/world.ts'
import { bindings, pfxProfile } from './device.ts'

const tpmOrSoftware = 'useTpmKspOtherwiseUseSoftwareKsp'
const tpmOnly = 'useTpmKspOtherwiseFail'
const passport = 'usePassportForWorkKspOtherwiseFail'
const software = 'useSoftwareKsp'

const applies: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, applies: boolean])[] = [
  ['android.pfx-applies', 'android', '3.2', false],
  ['android.pfx-applies', 'android', '4.0', true],
  ['windows.pfx-applies', 'windows', '8.1', false],
  ['windows.pfx-applies', 'windows', '10', true],
  ['windows.pfx-applies', 'windows', 'Phone 8.1', false],
  ['windows.pfx-applies', 'windows', 'Phone 10', true],
  ['apple.pfx-applies', 'ios', '17.4', true],
  ['apple.pfx-applies', 'macos', '14.4', true],
]

for (const [factId, platform, osVersion, expected] of applies) {
  t.test(`${factId}: ${platform} ${osVersion} ${expected ? 'takes' : 'does not take'} PFX profiles`, async (t) => {
    t.equal(appliesTo('pfx', platform, osVersion), expected)
  })
}

type Row = readonly [
  factId: string,
  platform: PlatformName,
  osVersion: string,
  wish: Partial<PfxSpec>,
  taken: Partial<PfxSpec> | RegExp,
  ignored?: readonly string[],
]
const wants = (keyStorage: KeyStorageOption, exportable = false) => ({ keyStorage, exportable })

const requests: readonly Row[] = [
  ['windows.pfx.key-location', 'windows', '10', wants(tpmOrSoftware), wants(tpmOrSoftware)],
  ['windows.pfx.key-location', 'windows', '10', wants(tpmOnly), wants(tpmOnly)],
  ['windows.pfx.key-location', 'windows', '10', wants(software), wants(software)],
  ['windows.pfx.key-location', 'windows', '10', wants(passport), wants(passport)],
  ['windows.passport.too-old', 'windows', '8.1', wants(passport), /has no Passport for Work/],
  ['windows-phone.tpm.always', 'windows', 'Phone 10', wants(tpmOrSoftware), wants(tpmOnly)],
  ['windows.pfx.exportable', 'windows', '10', wants(software, true), wants(software, true)],
  ['windows.pfx.exportable', 'windows', '10', wants(tpmOnly, true), /exportable key in KeyLocation 1,/],
  ['windows.pfx.exportable', 'windows', '10', wants(tpmOrSoftware, true), /exportable key in KeyLocation 2,/],
  ['windows.pfx.exportable', 'windows', '10', wants(passport, true), /exportable key in KeyLocation 4,/],
  ['exportable.macos', 'macos', '14.4', wants(software, true), wants(software, true)],
  ['exportable.ios-not-offered', 'ios', '17.4', wants(software, true), wants(software), ['exportable']],
  ['exportable.android-ignored', 'android', '14', wants(tpmOnly, true), wants(software), ['keyStorage', 'exportable']],
  ['key-storage.apple-ignored', 'macos', '14.4', wants(passport, true), wants(software, true), ['keyStorage']],
]

for (const [factId, platform, osVersion, wish, taken, ignored = []] of requests) {
  t.test(`${factId}: ${platform} ${osVersion} ${taken instanceof RegExp ? 'refuses' : 'takes'} ${JSON.stringify(wish)}`, async (t) => {
    const profile = pfxProfile(wish)
    const adapter = platformAdapter(platform, bindings({ osVersion }))
    if (taken instanceof RegExp) return void t.throws(() => adapter.pfxRequestFor(profile), { code: 'ERR_UNSUPPORTED', message: taken })
    t.same(adapter.pfxRequestFor(profile), { ...profile.request, ...taken }, 'and changes nothing else')
    t.same(adapter.ignoredSettings(profile), ignored)
  })
}

const rules: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, legacyPfx: boolean, rules: PfxRules])[] = [
  ['apple.pfx.certificates', 'ios', '17.4', false, { reads: 'modern', maxCertificates: 1 }],
  ['apple.pfx.certificates', 'macos', '14.4', true, { reads: 'both', maxCertificates: 1 }],
  ['android.pfx.legacy', 'android', '11', false, { reads: 'legacy' }],
  ['android.pfx.legacy', 'android', '4.0', true, { reads: 'legacy' }],
  ['android.pfx.legacy', 'android', '12', false, { reads: 'modern' }],
  ['android.pfx.legacy', 'android', '12', true, { reads: 'both' }],
  ['windows.pfx.key-location', 'windows', '10', false, { reads: 'modern' }],
]

for (const [factId, platform, osVersion, legacyPfx, expected] of rules) {
  t.test(`${factId}: what ${platform} ${osVersion} reads${legacyPfx ? ' with the switch' : ''}`, async (t) => {
    t.same(platformAdapter(platform, bindings({ osVersion, legacyPfx })).pfxRules, expected)
  })
}

async function windowsWithPfx() {
  const authority = await labStore(new FakeClock(start))
  const device = await world({ pool: [], pfxPool: await makeKeyPool(2), authority, edit: withPfx })
  const pass = async () => (await reconcile(device.device(), signal)).report.results
  return { device, pass }
}

t.test('windows.pfx.replace: a blob comes where there is none, and another in its place, and neither fails', async (t) => {
  const { device, pass } = await windowsWithPfx()
  t.match(await pass(), [{ kind: 'install-root' }, { kind: 'import', reason: 'IdentityMissing', status: 'done' }])
  device.edit((document) => ({ ...withPfx(document, { certificateRevision: 'v2' }), revision: 2 }))
  t.match(await pass(), [{ kind: 'import', reason: 'CertificateChanged', status: 'done' }, { kind: 'destroy-key' }])
  t.equal((await device.identities.list()).length, 1)
})

t.test('windows.pfx.delete: a profile that is gone takes certificate and key along', async (t) => {
  const { device, pass } = await windowsWithPfx()
  await pass()
  device.edit((document) => ({ ...withPfx(document), pfxProfiles: [], revision: 2 }))
  t.match(await pass(), [{ kind: 'remove-identity', reason: 'ProfileRemoved' }, { kind: 'destroy-key' }])
  t.same([...(await device.identities.list()), ...(await device.keys.list())], [])
})
