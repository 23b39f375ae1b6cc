import { parseOs, type Setting, type System, settingFacts, systems, type Treatment, treatmentOf } from '@certfleet/platforms'
import t from 'tap'

const osOf = (system: System) => (system === 'windows-phone' ? parseOs('windows', 'Phone 8.1') : parseOs(system, '14'))

const rows: readonly (readonly [factId: string, setting: Setting, treatment: Treatment, of: readonly System[]])[] = [
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
]

for (const [factId, setting, treatment, of] of rows) {
  t.test(`${factId}: ${setting} is ${treatment} on ${of.join(', ')}`, async (t) => {
    for (const system of of) t.equal(treatmentOf(setting, osOf(system)), treatment, system)
  })
}

t.test('every setting has one row for every system', async (t) => {
  const settings = new Set(settingFacts.map((fact) => fact.value.setting))
  for (const setting of settings) {
    for (const system of systems) {
      const found = settingFacts.filter((fact) => fact.value.setting === setting && fact.platforms.includes(system))
      t.equal(found.length, 1, `${setting} on ${system}`)
      t.equal(found[0]?.since ?? found[0]?.until, undefined, `${setting} on ${system} holds for all versions`)
    }
  }
})
