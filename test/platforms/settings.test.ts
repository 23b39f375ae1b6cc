import type { ScepProfile } from '@certfleet/agent-core'
import {
  type PlatformName,
  parseOs,
  platformAdapter,
  type Setting,
  type System,
  settingFacts,
  systems,
  type Treatment,
  treatmentOf,
} from '@certfleet/platforms'
import t from 'tap'
import { holds } from '#platforms/fact.ts'
import { bindings, scepProfile } from './device.ts'

const osOf = (system: System, version: string) =>
  system === 'windows-phone' ? parseOs('windows', `Phone ${version}`) : parseOs(system, version)
/** Either side of every version that a row begins or ends at. */
const versions = ['8.1', '9.9', '10', '14']
const all = systems

const rows: readonly (readonly [factId: string, setting: Setting, treatment: Treatment, of: readonly System[], at?: readonly string[]])[] =
  [
    ['destination-store.honoured', 'destinationStore', 'honoured', ['windows']],
    ['destination-store.ignored', 'destinationStore', 'ignored', ['ios', 'macos', 'android', 'windows-phone']],
    ['key-storage.honoured', 'keyStorage', 'honoured', ['windows', 'windows-phone']],
    ['key-storage.android-ignored', 'keyStorage', 'ignored', ['android']],
    ['key-storage.apple-ignored', 'keyStorage', 'ignored', ['ios', 'macos']],
    ['subject-format.honoured', 'subjectNameFormat', 'honoured', ['android', 'windows', 'windows-phone']],
    ['subject-format.apple-not-offered', 'subjectNameFormat', 'not-offered', ['ios', 'macos']],
    ['validity.requested', 'validity', 'honoured', ['android', 'windows', 'windows-phone']],
    ['validity.apple-template', 'validity', 'ignored', ['ios', 'macos']],
    ['hash.honoured', 'hash', 'honoured', ['android', 'windows', 'windows-phone']],
    ['hash.apple-negotiated', 'hash', 'not-offered', ['ios', 'macos']],
    ['extended-key-usage.honoured', 'extendedKeyUsages', 'honoured', ['android', 'windows', 'windows-phone']],
    ['extended-key-usage.apple-ignored', 'extendedKeyUsages', 'ignored', ['ios', 'macos']],
    ['exportable.honoured', 'exportable', 'honoured', ['windows', 'windows-phone']],
    ['exportable.macos', 'exportable', 'honoured', ['macos']],
    ['exportable.ios-not-offered', 'exportable', 'not-offered', ['ios']],
    ['exportable.android-ignored', 'exportable', 'ignored', ['android']],
    ['name.honoured', 'displayName', 'honoured', all],
    ['description.ignored', 'description', 'ignored', all],
    ['renewal-threshold.honoured', 'renewalThresholdPercent', 'honoured', all],
    ['multi-factor.honoured', 'multiFactor', 'honoured', ['windows', 'windows-phone'], ['10', '14']],
    ['multi-factor.too-old', 'multiFactor', 'rejected', ['windows', 'windows-phone'], ['8.1', '9.9']],
    ['multi-factor.not-offered', 'multiFactor', 'not-offered', ['ios', 'macos', 'android']],
    ['scep-url.honoured', 'scepUrl', 'honoured', all],
    ['several-urls.honoured', 'severalUrls', 'honoured', ['android', 'windows', 'windows-phone']],
    ['several-urls.apple-ignored', 'severalUrls', 'ignored', ['ios', 'macos']],
    ['subject-alt-names.honoured', 'subjectAltNames', 'honoured', all],
    ['key-usage.honoured', 'keyUsages', 'honoured', all],
    ['key-size.honoured', 'keyBits', 'honoured', all],
    ['root.honoured', 'root', 'honoured', all],
  ]

for (const [factId, setting, treatment, of, at = versions] of rows) {
  t.test(`${factId}: ${setting} is ${treatment} on ${of.join(', ')}${at === versions ? '' : ` ${at.join(', ')}`}`, async (t) => {
    for (const system of of) {
      for (const version of at) t.equal(treatmentOf(setting, osOf(system, version)), treatment, `${system} ${version}`)
    }
  })
}

t.test('every setting has one row for every system at every version, and is shown here', async (t) => {
  const settings = new Set(settingFacts.map((fact) => fact.value.setting))
  for (const setting of settings) {
    for (const system of systems) {
      for (const version of versions) {
        const os = osOf(system, version)
        const holding = settingFacts.filter((fact) => fact.value.setting === setting && holds(fact, os))
        t.equal(holding.length, 1, `${setting} on ${system} ${version}`)
      }
      t.ok(
        rows.some(([, shown, , of]) => shown === setting && of.includes(system)),
        `${setting} on ${system}`,
      )
    }
  }
  t.same([...new Set(rows.map(([, setting]) => setting))].sort(), [...settings].sort())
})

const passport = { keyStorage: 'usePassportForWorkKspOtherwiseFail' } as const
const refusals: readonly (readonly [factId: string, PlatformName, osVersion: string, ScepProfile, refused: RegExp | undefined])[] = [
  ['multi-factor.too-old', 'windows', '8.1', scepProfile({ multiFactor: true }), /knows no multi-factor .* \(multi-factor\.too-old\)$/],
  ['multi-factor.too-old', 'windows', '8.1', scepProfile({ multiFactor: false }), undefined],
  ['multi-factor.honoured', 'windows', '10', scepProfile({ multiFactor: true, request: passport }), undefined],
  ['multi-factor.not-offered', 'ios', '17', scepProfile({ multiFactor: true }), undefined],
  [
    'windows.key-usage.required',
    'windows',
    '11',
    scepProfile({ request: { keyUsages: [] } }),
    /names none \(windows\.key-usage\.required\)$/,
  ],
  ['windows.key-usage.required', 'windows', 'Phone 8.1', scepProfile({ request: { keyUsages: [] } }), /names none/],
  ['windows.key-usage.required', 'windows', '11', scepProfile({ request: { keyUsages: ['keyEncipherment'] } }), undefined],
  ['windows.key-usage.required', 'android', '14', scepProfile({ request: { keyUsages: [] } }), undefined],
  ['key-size.any', 'ios', '17', scepProfile({ request: { keySpec: { algorithm: 'rsa', bits: 3072 } } }), /3072 \(key-size\./],
  ['key-type.rsa', 'ios', '17', scepProfile({ request: { keySpec: { algorithm: 'ec', curve: 'P-256' } } }), /P-256 \(key-type\.rsa\)$/],
  ['android.scep.https-only', 'android', '14', scepProfile({ scepUrls: ['http://a.example'] }), /http URL \(android\.scep\.https-only\)$/],
]

for (const [factId, platform, osVersion, profile, refused] of refusals) {
  t.test(`${factId}: ${platform} ${osVersion} ${refused ? `refuses: ${refused.source}` : 'takes what is not refused'}`, async (t) => {
    const adapter = platformAdapter(platform, bindings({ osVersion }))
    if (refused) t.throws(() => adapter.requestFor(profile), { code: 'ERR_UNSUPPORTED', message: refused })
    else t.doesNotThrow(() => adapter.requestFor(profile))
  })
}

const several = { scepUrls: ['https://a.example', 'https://b.example'] }
const told: readonly (readonly [factId: string, PlatformName, ScepProfile, ignored: readonly string[]])[] = [
  ['several-urls.apple-ignored', 'ios', scepProfile(several), ['severalUrls']],
  ['several-urls.apple-ignored', 'macos', scepProfile(several), ['severalUrls']],
  ['several-urls.apple-ignored', 'ios', scepProfile(), []],
  ['several-urls.honoured', 'android', scepProfile(several), []],
  ['several-urls.honoured', 'windows', scepProfile(several), []],
  ['multi-factor.not-offered', 'android', scepProfile({ multiFactor: true }), ['multiFactor']],
  ['multi-factor.honoured', 'windows', scepProfile({ multiFactor: true }), []],
]

for (const [factId, platform, profile, ignored] of told) {
  t.test(`${factId}: ${platform} tells of ${ignored.join(', ') || 'nothing'}`, async (t) => {
    t.same(platformAdapter(platform, bindings({ osVersion: '14' })).ignoredSettings(profile), ignored)
  })
}
