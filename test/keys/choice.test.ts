import {
  adviceByCode,
  chooseKeyStorage,
  type KeyProtection,
  type KeyReadiness,
  type KeyStorageChoice,
  type KeyStorageOption,
  protectionsByOption,
  type ReadinessByProtection,
} from '@certfleet/agent-core'
import t from 'tap'
import { keyProtections, keyStorageReasons } from '#agent-core/keys/choice.ts'

const tpmOrSoftware = 'useTpmKspOtherwiseUseSoftwareKsp'
const tpmOrFail = 'useTpmKspOtherwiseFail'
const passportOrFail = 'usePassportForWorkKspOtherwiseFail'
const software = 'useSoftwareKsp'

const ready: KeyReadiness = { state: 'ready' }
const not = (state: Exclude<KeyReadiness['state'], 'ready'>): KeyReadiness => ({ state, message: `it is ${state}` })

/** What the devices of the rows have. Every one has a software KSP that is ready. */
const hardware = {
  'TPM present': { tpm: ready },
  'TPM absent': { tpm: not('absent') },
  'no TPM at all': {},
  'TPM full': { tpm: not('full') },
  'TPM busy': { tpm: not('busy') },
  'TPM locked out': { tpm: not('locked-out') },
  'TPM too small for the key': { tpm: not('unsupported') },
  'Passport ready': { passport: ready },
  'Passport not provisioned': { passport: not('not-provisioned') },
  'Passport without MFA': { passport: not('multi-factor-missing') },
  'Passport locked out': { passport: not('locked-out') },
  'Passport for another key': { passport: not('unsupported') },
  'no Passport': {},
  'TPM and Passport ready': { tpm: ready, passport: ready },
} as const satisfies Record<string, ReadinessByProtection>

type Outcome = readonly [use: KeyProtection, reason: string] | readonly [outcome: 'wait' | 'fail', reason: string, code: string]

const rows: readonly (readonly [KeyStorageOption, keyof typeof hardware, Outcome])[] = [
  [tpmOrSoftware, 'TPM present', ['tpm', 'tpm-ready']],
  [tpmOrSoftware, 'TPM absent', ['software', 'tpm-absent']],
  [tpmOrSoftware, 'no TPM at all', ['software', 'tpm-absent']],
  [tpmOrSoftware, 'TPM full', ['wait', 'tpm-full', 'ERR_KEY_STORAGE_FULL']],
  [tpmOrSoftware, 'TPM busy', ['wait', 'tpm-busy', 'ERR_KEY_STORAGE_BUSY']],
  [tpmOrSoftware, 'TPM locked out', ['wait', 'tpm-locked-out', 'ERR_KEY_STORAGE_LOCKED_OUT']],
  [tpmOrSoftware, 'TPM too small for the key', ['fail', 'tpm-unsupported', 'ERR_UNSUPPORTED']],
  [tpmOrSoftware, 'Passport ready', ['software', 'tpm-absent']],

  [tpmOrFail, 'TPM present', ['tpm', 'tpm-ready']],
  [tpmOrFail, 'TPM absent', ['fail', 'tpm-absent', 'ERR_KEY_STORAGE_UNAVAILABLE']],
  [tpmOrFail, 'no TPM at all', ['fail', 'tpm-absent', 'ERR_KEY_STORAGE_UNAVAILABLE']],
  [tpmOrFail, 'TPM full', ['wait', 'tpm-full', 'ERR_KEY_STORAGE_FULL']],
  [tpmOrFail, 'TPM busy', ['wait', 'tpm-busy', 'ERR_KEY_STORAGE_BUSY']],
  [tpmOrFail, 'TPM locked out', ['wait', 'tpm-locked-out', 'ERR_KEY_STORAGE_LOCKED_OUT']],
  [tpmOrFail, 'TPM too small for the key', ['fail', 'tpm-unsupported', 'ERR_UNSUPPORTED']],
  [tpmOrFail, 'Passport ready', ['fail', 'tpm-absent', 'ERR_KEY_STORAGE_UNAVAILABLE']],

  [passportOrFail, 'Passport ready', ['passport', 'passport-ready']],
  [passportOrFail, 'TPM and Passport ready', ['passport', 'passport-ready']],
  [passportOrFail, 'no Passport', ['fail', 'passport-absent', 'ERR_KEY_STORAGE_UNAVAILABLE']],
  [passportOrFail, 'TPM present', ['fail', 'passport-absent', 'ERR_KEY_STORAGE_UNAVAILABLE']],
  [passportOrFail, 'Passport not provisioned', ['wait', 'passport-not-provisioned', 'ERR_USER_ACTION_REQUIRED']],
  [passportOrFail, 'Passport without MFA', ['wait', 'passport-multi-factor-missing', 'ERR_USER_ACTION_REQUIRED']],
  [passportOrFail, 'Passport locked out', ['wait', 'passport-locked-out', 'ERR_KEY_STORAGE_LOCKED_OUT']],
  [passportOrFail, 'Passport for another key', ['fail', 'passport-unsupported', 'ERR_UNSUPPORTED']],

  [software, 'TPM present', ['software', 'software-ready']],
  [software, 'TPM busy', ['software', 'software-ready']],
  [software, 'TPM and Passport ready', ['software', 'software-ready']],
  [software, 'no TPM at all', ['software', 'software-ready']],
]

const factIds: Readonly<Record<KeyStorageOption, string>> = {
  [tpmOrSoftware]: 'windows.tpm.preferred',
  [tpmOrFail]: 'windows.tpm.demanded',
  [passportOrFail]: 'windows.passport.demanded',
  [software]: 'windows.software.chosen',
}

const outcomeOf = (choice: KeyStorageChoice) =>
  choice.outcome === 'use' ? [choice.protection, choice.reason] : [choice.outcome, choice.reason, choice.code]

for (const [option, device, expected] of rows) {
  t.test(`${factIds[option]}: ${option}, ${device}: ${expected.join(', ')}`, async (t) => {
    const choice = chooseKeyStorage({ option }, { software: ready, ...hardware[device] })
    t.same(outcomeOf(choice), expected)
    if (choice.outcome !== 'use') t.match(choice.message, new RegExp(`^${option} cannot be satisfied: `), 'says what was asked')
  })
}

t.test('without a software KSP nothing falls back', async (t) => {
  t.same(outcomeOf(chooseKeyStorage({ option: tpmOrSoftware }, {})), ['fail', 'software-absent', 'ERR_KEY_STORAGE_UNAVAILABLE'])
  t.same(outcomeOf(chooseKeyStorage({ option: software }, { tpm: ready })), ['fail', 'software-absent', 'ERR_KEY_STORAGE_UNAVAILABLE'])
})

t.test('a setting that the OS ignores is told as the reason', async (t) => {
  t.same(outcomeOf(chooseKeyStorage({ option: software, isIgnored: true }, { software: ready })), ['software', 'setting-ignored'])
})

t.test('the device may be stricter than the profile, never laxer', async (t) => {
  const everything: ReadinessByProtection = { software: ready, tpm: ready, passport: ready, pkcs11: ready }
  const laxer = ['fail', 'device-choice', 'ERR_KEY_STORAGE_UNAVAILABLE']
  for (const option of Object.keys(protectionsByOption) as KeyStorageOption[]) {
    for (const deviceChoice of keyProtections) {
      const mayBeAnywhere = option === software || option === tpmOrSoftware
      const isDemanded = (protectionsByOption[option] as readonly KeyProtection[]).includes(deviceChoice)
      const expected = mayBeAnywhere || isDemanded ? [deviceChoice, 'device-choice'] : laxer
      t.same(outcomeOf(chooseKeyStorage({ option, deviceChoice }, everything)), expected, `${option} on a device set to ${deviceChoice}`)
    }
  }
  const choice = chooseKeyStorage({ option: software, deviceChoice: 'tpm' }, { software: ready, tpm: not('busy') })
  t.same(outcomeOf(choice), ['wait', 'tpm-busy', 'ERR_KEY_STORAGE_BUSY'], 'and has no second choice')
})

t.test('what waits is tried again by itself or by the user, and what fails is not', async (t) => {
  for (const [option, device] of rows) {
    const choice = chooseKeyStorage({ option }, { software: ready, ...hardware[device] })
    if (choice.outcome === 'use') continue
    t.equal(['backoff', 'on-user'].includes(adviceByCode[choice.code].retry), choice.outcome === 'wait', `${option}, ${device}`)
  }
})

t.test('every reason has a name of its own', async (t) => {
  t.equal(new Set(keyStorageReasons).size, keyStorageReasons.length)
  for (const [, , [, reason]] of rows) t.ok((keyStorageReasons as readonly string[]).includes(reason), reason)
})
