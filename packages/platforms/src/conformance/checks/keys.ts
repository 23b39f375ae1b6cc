import type { KeyStorageOption } from '@certfleet/agent-core'
import { publicKeyOf } from '@certfleet/agent-core/pki'
import { behaviourOf } from '../../adapter.ts'
import { type Check, holdsTrue, type SystemUnderTest, same } from '../check.ts'
import { versionText } from '../device.ts'
import { enrolled, type Given, refused, statusOf } from '../documents.ts'
import { profile, scepPayload } from '../messages.ts'
import { operations } from '../wire.ts'

const windows: readonly SystemUnderTest[] = ['windows', 'windows-8.1']
const tpmElseSoftware: KeyStorageOption = 'useTpmKspOtherwiseUseSoftwareKsp'
const tpmElseFail: KeyStorageOption = 'useTpmKspOtherwiseFail'
const passport: KeyStorageOption = 'usePassportForWorkKspOtherwiseFail'

interface Row extends Pick<Check, 'id' | 'on' | 'given' | 'expect' | 'source' | 'facts'> {
  readonly with: Given
}

/** The key is where it belongs. */
const placed = ({ with: given, ...row }: Row, protection: string): Check => ({
  ...row,
  async run(context) {
    const { device } = await enrolled(context, given)
    same(
      (await device.identities.list()).map(({ placement }) => placement.protection),
      [protection],
      'the key is held by',
    )
  },
})

/** The profile fails before anything is made or sent. */
const failing = ({ with: given, ...row }: Row, code: 'ERR_UNSUPPORTED' | 'ERR_KEY_STORAGE_UNAVAILABLE'): Check => ({
  ...row,
  async run(context) {
    const device = await refused(context, code, given)
    same(operations(device), [], 'calls')
    for (const keys of device.keys) same(await keys.list(), [], `keys in the ${keys.name}`)
  },
})

const sized = (id: string, bits: 1024 | 2048 | 4096, on: readonly SystemUnderTest[], source: string, facts: readonly string[]): Check => ({
  id,
  on,
  given: `a profile that asks for ${bits} bits`,
  expect: `the certificate is for a key of ${bits} bits`,
  source,
  facts,
  async run(context) {
    const { leaf } = await enrolled(context, { scep: { keyBits: bits } })
    same(publicKeyOf(leaf).asymmetricKeyDetails?.modulusLength, bits, 'bits of the key')
  },
})

/** Where keys are kept, and which are made at all. */
export const keyChecks: readonly Check[] = [
  placed(
    {
      id: 'keys.tpm-else-software.without-tpm',
      on: windows,
      given: '"TPM if present, otherwise software", and no TPM',
      expect: 'the key is in the software provider',
      source: 'SEED S25',
      facts: ['windows.tpm.preferred'],
      with: { scep: { keyStorage: tpmElseSoftware } },
    },
    'software',
  ),
  placed(
    {
      id: 'keys.tpm-else-software.with-tpm',
      on: windows,
      given: '"TPM if present, otherwise software", and a TPM',
      expect: 'the key is in the TPM',
      source: 'SEED S25',
      facts: ['key-storage.honoured', 'windows.tpm.preferred'],
      with: { scep: { keyStorage: tpmElseSoftware }, keyStorage: ['software', 'tpm'] },
    },
    'tpm',
  ),
  failing(
    {
      id: 'keys.tpm-else-fail.without-tpm',
      on: windows,
      given: '"TPM, otherwise fail", and no TPM',
      expect: 'the profile fails without a certificate; nobody is called',
      source: 'SEED S26; W-CCI Install/KeyProtection',
      facts: ['key-storage.honoured', 'windows.tpm.demanded'],
      with: { scep: { keyStorage: tpmElseFail } },
    },
    'ERR_KEY_STORAGE_UNAVAILABLE',
  ),
  placed(
    {
      id: 'keys.software.with-tpm',
      on: windows,
      given: '"Software KSP" on a device with a TPM',
      expect: 'the key is in the software provider',
      source: 'SEED S29',
      facts: ['windows.software.chosen'],
      with: { scep: { keyStorage: 'useSoftwareKsp' }, keyStorage: ['tpm', 'software'] },
    },
    'software',
  ),
  placed(
    {
      id: 'keys.passport',
      on: ['windows'],
      given: '"Passport for Work, otherwise fail", 2048 bits and SHA-256',
      expect: 'the key is in Passport for Work',
      source: 'SEED S27',
      facts: ['key-storage.honoured', 'windows.passport.demanded'],
      with: { scep: { keyStorage: passport, hash: 'sha256' }, keyStorage: ['software', 'passport'] },
    },
    'passport',
  ),
  failing(
    {
      id: 'keys.passport.missing',
      on: ['windows'],
      given: '"Passport for Work, otherwise fail", and no Passport',
      expect: 'the profile fails: nothing stands in for it',
      source: 'SEED S27',
      facts: ['windows.passport.demanded'],
      with: { scep: { keyStorage: passport }, keyStorage: ['software', 'tpm'] },
    },
    'ERR_KEY_STORAGE_UNAVAILABLE',
  ),
  failing(
    {
      id: 'keys.passport.too-old',
      on: ['windows-8.1', 'windows-phone-8.1'],
      given: '"Passport for Work, otherwise fail" below Windows 10',
      expect: 'the profile fails',
      source: 'SEED S27, A12',
      facts: ['windows.passport.too-old'],
      with: { scep: { keyStorage: passport }, keyStorage: ['software', 'passport'] },
    },
    'ERR_UNSUPPORTED',
  ),
  ...([1024, 4096] as const).map((keyBits) =>
    failing(
      {
        id: `keys.passport.${keyBits}`,
        on: ['windows'],
        given: `Passport for Work and ${keyBits} bits`,
        expect: 'the profile fails: such a key has 2048 bits',
        source: 'W-DDF Install/KeyLength',
        facts: keyBits === 4096 ? ['windows.passport.key-size'] : [],
        with: { scep: { keyStorage: passport, keyBits }, keyStorage: ['passport'] },
      },
      'ERR_UNSUPPORTED',
    ),
  ),
  failing(
    {
      id: 'keys.passport.hash',
      on: ['windows'],
      given: 'Passport for Work and SHA-512',
      expect: 'the profile fails: such a key signs over SHA-256',
      source: 'W-DDF Install/HashAlgorithm',
      facts: ['windows.passport.hash'],
      with: { scep: { keyStorage: passport, hash: 'sha512' }, keyStorage: ['passport'] },
    },
    'ERR_UNSUPPORTED',
  ),
  failing(
    {
      id: 'keys.tpm.4096',
      on: windows,
      given: '"TPM, otherwise fail" and 4096 bits',
      expect: 'the profile fails',
      source: 'M-SCEP Key size',
      facts: ['windows.tpm.largest-key'],
      with: { scep: { keyStorage: tpmElseFail, keyBits: 4096 }, keyStorage: ['tpm'] },
    },
    'ERR_UNSUPPORTED',
  ),
  sized('keys.software.4096', 4096, ['windows'], 'M-SCEP Key size', ['key-size.windows-4096']),
  sized('keys.4096', 4096, ['ios', 'macos', 'android'], 'M-SCEP Key size', [
    'key-size.ios-4096',
    'key-size.macos-4096',
    'key-size.android-4096',
  ]),
  sized('keys.1024', 1024, ['ios', 'macos', 'android', 'windows'], 'SEED S37', ['key-size.any']),
  sized('keys.2048', 2048, ['ios', 'macos', 'android', 'windows'], 'SEED S37', ['key-size.any', 'key-size.honoured']),
  failing(
    {
      id: 'keys.4096.too-old',
      on: ['ios-13', 'macos-10.15', 'windows-phone-8.1'],
      given: 'a profile that asks for 4096 bits, on a version that does not make them',
      expect: 'the profile fails',
      source: 'M-SCEP Key size; SEED S37',
      with: { scep: { keyBits: 4096 } },
    },
    'ERR_UNSUPPORTED',
  ),
  failing(
    {
      id: 'keys.usage.none',
      on: ['windows', 'windows-8.1', 'windows-phone-8.1'],
      given: 'a profile with neither digital signature nor key encipherment',
      expect: 'the profile fails before it enrols',
      source: 'W-DDF Install/KeyUsage',
      facts: ['windows.key-usage.required'],
      with: { scep: { keyUsages: [] } },
    },
    'ERR_UNSUPPORTED',
  ),
  {
    id: 'keys.rsa-alone',
    on: ['ios', 'macos', 'android', 'windows'],
    given: 'an ordinary profile',
    expect: 'the certificate is for an RSA key',
    source: 'A-DM com.apple.security.scep Key Type; W-DDF Install/KeyLength',
    facts: ['key-type.rsa'],
    async run(context) {
      const { leaf } = await enrolled(context)
      same(publicKeyOf(leaf).asymmetricKeyType, 'rsa', 'kind of key')
    },
  },
  failing(
    {
      id: 'keys.phone.tpm-else-software',
      on: ['windows-phone-8.1'],
      given: '"TPM if present, otherwise software" on a phone whose TPM does not answer',
      expect: 'it behaves as "TPM, otherwise fail"',
      source: 'W-CCI Install/KeyProtection',
      facts: ['windows-phone.tpm.always'],
      with: { scep: { keyStorage: tpmElseSoftware } },
    },
    'ERR_KEY_STORAGE_UNAVAILABLE',
  ),
  {
    id: 'keys.storage-ignored',
    on: ['ios', 'macos', 'android'],
    given: '"TPM, otherwise fail" on a system without that setting',
    expect: 'the setting has no effect, and is told as ignored',
    source: 'SEED A5, A7; M-SCEP Key storage provider',
    facts: ['key-storage.android-ignored', 'key-storage.apple-ignored'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { keyStorage: tpmElseFail } })
      same(statusOf(await device.checkIn()).ignoredSettings, ['keyStorage'], 'ignored settings')
    },
  },
  {
    id: 'keys.multi-factor',
    on: ['windows'],
    given: 'a profile that asks for more factors, with its key in Passport for Work',
    expect: 'the setting is heeded: it is not told as ignored',
    source: 'SEED S28; CM-CP multi-factor',
    facts: ['multi-factor.honoured'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { multiFactor: true, keyStorage: passport }, keyStorage: ['passport'] })
      same(statusOf(await device.checkIn()).ignoredSettings, undefined, 'ignored settings')
    },
  },
  {
    id: 'keys.multi-factor.ignored',
    on: ['ios', 'macos', 'android'],
    given: 'a profile that asks for more factors, on a system without that setting',
    expect: 'the setting has no effect, and is told as ignored',
    source: 'SEED S28; CM-CP multi-factor',
    facts: ['multi-factor.not-offered'],
    async run(context) {
      const { device } = await enrolled(context, { scep: { multiFactor: true } })
      same(statusOf(await device.checkIn()).ignoredSettings, ['multiFactor'], 'ignored settings')
    },
  },
  failing(
    {
      id: 'keys.multi-factor.too-old',
      on: ['windows-8.1', 'windows-phone-8.1'],
      given: 'a profile that asks for more factors, below Windows 10',
      expect: 'the profile fails',
      source: 'SEED S28, A12',
      facts: ['multi-factor.too-old'],
      with: { scep: { multiFactor: true } },
    },
    'ERR_UNSUPPORTED',
  ),
  {
    id: 'keys.apple.default',
    on: ['ios', 'macos'],
    given: 'a configuration profile with a SCEP payload without Keysize',
    expect: 'the key has 1024 bits',
    source: 'A-DM com.apple.security.scep Keysize',
    facts: ['apple.key-size.default'],
    async run({ os, ...context }) {
      const [request] = context.read(profile([scepPayload()])).scep
      const keyBits = request?.keyBits ?? behaviourOf(os.platform, versionText(os), os.overrides).defaultKeyBits
      holdsTrue(keyBits === 1024, `a key of unnamed size has ${keyBits} bits, expected 1024`)
      const { leaf } = await enrolled({ os, ...context }, { scep: { keyBits } })
      same(publicKeyOf(leaf).asymmetricKeyDetails?.modulusLength, 1024, 'bits of the key')
    },
  },
]
