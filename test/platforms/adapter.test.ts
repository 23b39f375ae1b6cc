import type { KeyStorageOption, ScepProfile, StoreName } from '@certfleet/agent-core'
import { type PlatformName, platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { testCa } from './certificates.ts'
import { bindings, scepProfile, trustedRoot } from './device.ts'

const ca = testCa(t.testdir())
const unreadable = Buffer.from('not a certificate')

const stores: readonly (readonly [
  factId: string,
  platform: PlatformName,
  osVersion: string,
  certificate: Uint8Array,
  destination: StoreName,
  store: StoreName,
])[] = [
  ['destination-store.honoured', 'windows', '8.1', ca.root, 'computer-root', 'computer-root'],
  ['destination-store.honoured', 'windows', '8.1', ca.root, 'computer-intermediate', 'computer-intermediate'],
  ['destination-store.honoured', 'windows', '11', ca.intermediate, 'user-intermediate', 'user-intermediate'],
  ['destination-store.honoured', 'windows', '10', ca.intermediate, 'computer-root', 'computer-root'],
  ['destination-store.ignored', 'windows', 'Phone 8.1', ca.root, 'user-intermediate', 'computer-root'],
  ['destination-store.ignored', 'windows', 'Phone 8.1', ca.intermediate, 'computer-root', 'computer-intermediate'],
  ['destination-store.ignored', 'ios', '17.4', ca.root, 'computer-intermediate', 'computer-root'],
  ['destination-store.ignored', 'ios', '17.4', ca.intermediate, 'computer-root', 'computer-intermediate'],
  ['destination-store.ignored', 'macos', '14.4', ca.root, 'user-intermediate', 'computer-root'],
  ['destination-store.ignored', 'android', '13', ca.intermediate, 'user-intermediate', 'computer-intermediate'],
  ['destination-store.ignored', 'android', '13', unreadable, 'computer-root', 'computer-intermediate'],
]

for (const [factId, platform, osVersion, certificate, destination, store] of stores) {
  const kind = certificate === ca.root ? 'a root' : certificate === ca.intermediate ? 'an intermediate' : 'what cannot be read'
  t.test(`${factId}: ${platform} ${osVersion} puts ${kind} for ${destination} into ${store}`, async (t) => {
    const adapter = platformAdapter(platform, bindings({ osVersion }))
    t.equal(adapter.storeFor(trustedRoot(certificate, destination)), store)
  })
}

const tpmOrSoftware = 'useTpmKspOtherwiseUseSoftwareKsp'
const tpmOnly = 'useTpmKspOtherwiseFail'
const passport = 'usePassportForWorkKspOtherwiseFail'
const software = 'useSoftwareKsp'

const keyStorage: readonly (readonly [
  factId: string,
  platform: PlatformName,
  osVersion: string,
  option: KeyStorageOption,
  storage: KeyStorageOption,
  ignored?: readonly string[],
])[] = [
  ['key-storage.honoured', 'windows', '10', tpmOrSoftware, tpmOrSoftware],
  ['key-storage.honoured', 'windows', '8.1', tpmOnly, tpmOnly],
  ['key-storage.honoured', 'windows', '10', software, software],
  ['key-storage.honoured', 'windows', 'Phone 8.1', software, software],
  ['windows.passport.too-old', 'windows', '10.0', passport, passport],
  ['windows-phone.tpm.always', 'windows', 'Phone 8.1', tpmOrSoftware, tpmOnly],
  ['key-storage.apple-ignored', 'ios', '17.4', tpmOnly, software, ['keyStorage']],
  ['key-storage.apple-ignored', 'ios', '17.4', software, software],
  ['key-storage.apple-ignored', 'macos', '14.4', passport, software, ['keyStorage']],
  ['key-storage.android-ignored', 'android', '13', tpmOnly, software, ['keyStorage']],
]

for (const [factId, platform, osVersion, option, storage, ignored = []] of keyStorage) {
  t.test(`${factId}: ${platform} ${osVersion} takes ${option} as ${storage}`, async (t) => {
    const profile = scepProfile({ request: { keyStorage: option } })
    const adapter = platformAdapter(platform, bindings({ osVersion }))
    t.same(adapter.requestFor(profile), { ...profile.request, keyStorage: storage }, 'and changes nothing else')
    t.same(adapter.ignoredSettings(profile), ignored)
  })
}

type Wish = Partial<ScepProfile['request']> & Pick<ScepProfile, 'hash'> & { url?: string; allowHttp?: true }
const rsa = (bits: number, own: Wish = {}): Wish => ({ ...own, keySpec: { algorithm: 'rsa', bits } })
const refusal = (message: RegExp) => message

const requests: readonly (readonly [factId: string, platform: PlatformName, osVersion: string, wish: Wish, refused?: RegExp])[] = [
  ['key-size.any', 'ios', '6.0', rsa(1024)],
  ['key-size.any', 'windows', 'Phone 8.1', rsa(2048)],
  ['key-size.any', 'android', '13', rsa(3072), refusal(/keys of 1024, 2048, 4096 bits, the profile asks for 3072/)],
  ['key-size.any', 'android', '13', rsa(512), refusal(/asks for 512/)],
  ['key-size.any', 'windows', 'Phone 8.1', rsa(4096), refusal(/keys of 1024, 2048 bits, the profile asks for 4096/)],
  ['key-size.ios-4096', 'ios', '13.7', rsa(4096), refusal(/ios 13.7 makes keys of 1024, 2048 bits/)],
  ['key-size.ios-4096', 'ios', '14', rsa(4096)],
  ['key-size.macos-4096', 'macos', '10.15.7', rsa(4096), refusal(/macos 10.15.7 makes keys of 1024, 2048 bits/)],
  ['key-size.macos-4096', 'macos', '11', rsa(4096)],
  ['key-size.android-4096', 'android', '4.0', rsa(4096)],
  ['key-size.windows-4096', 'windows', '10', rsa(4096, { keyStorage: software })],
  ['key-type.rsa', 'ios', '17', { keySpec: { algorithm: 'ec', curve: 'P-256' } }, refusal(/RSA keys only .* asks for P-256/)],

  ['windows.tpm.largest-key', 'windows', '10', rsa(4096, { keyStorage: tpmOnly }), refusal(/TPM makes keys of up to 2048 bits/)],
  ['windows.tpm.largest-key', 'windows', '10', rsa(4096, { keyStorage: tpmOrSoftware })],
  ['windows.tpm.largest-key', 'windows', '10', rsa(2048, { keyStorage: tpmOnly })],

  ['windows.passport.too-old', 'windows', '8.1', { keyStorage: passport }, refusal(/Windows 8.1 has no Passport for Work/)],
  ['windows.passport.too-old', 'windows', 'Phone 8.1', { keyStorage: passport }, refusal(/has no Passport for Work/)],
  ['windows.passport.too-old', 'windows', '10', { keyStorage: passport }],
  ['windows.passport.key-size', 'windows', '10', rsa(1024, { keyStorage: passport }), refusal(/2048 bits, the profile asks for 1024/)],
  ['windows.passport.key-size', 'windows', '10', rsa(4096, { keyStorage: passport }), refusal(/2048 bits, the profile asks for 4096/)],
  ['windows.passport.hash', 'windows', '10', { keyStorage: passport, hash: 'sha512' }, refusal(/signs with sha256, .* asks for sha512/)],
  ['windows.passport.hash', 'windows', '10', { keyStorage: passport, hash: 'sha256' }],
  ['windows.passport.hash', 'windows', '10', { keyStorage: software, hash: 'sha512' }],

  ['android.scep.https-only', 'android', '13', { url: 'http://ndes.example.test/scep' }, refusal(/over https only/)],
  ['android.scep.https-only', 'android', '13', { url: 'http://ndes.example.test/scep', allowHttp: true }],
  ['android.scep.https-only', 'android', '13', { url: 'HTTPS://ndes.example.test/scep' }],
  ['apple.scep.http', 'ios', '17', { url: 'http://ndes.example.test/scep' }],
  ['apple.scep.http', 'macos', '14', { url: 'http://ndes.example.test/scep' }],
  ['windows.scep.http', 'windows', '8.1', { url: 'http://ndes.example.test/scep' }],
]

for (const [factId, platform, osVersion, wish, refused] of requests) {
  const { url, hash, allowHttp, ...request } = wish
  t.test(`${factId}: ${platform} ${osVersion} ${refused ? 'refuses' : 'takes'} ${JSON.stringify(wish)}`, async (t) => {
    const profile = scepProfile({ request, ...(hash && { hash }), ...(url && { scepUrls: ['https://first.example.test', url] }) })
    const adapter = platformAdapter(platform, bindings({ osVersion, ...(allowHttp && { allowHttp }) }))
    if (refused) t.throws(() => adapter.requestFor(profile), { code: 'ERR_UNSUPPORTED', message: refused })
    else t.same(adapter.requestFor(profile), profile.request)
  })
}

t.test('validity.apple-template, extended-key-usage.apple-ignored: the values stay, so that an edit is seen', async (t) => {
  const profile = scepProfile()
  t.same(platformAdapter('ios', bindings({ osVersion: '17' })).requestFor(profile), profile.request)
})

t.test('the adapter hands on what it was given', async (t) => {
  const device = bindings({ osVersion: '17.4', isLocked: async () => true })
  const adapter = platformAdapter('ios', device)
  t.equal(adapter.name, 'ios')
  t.equal(adapter.certificateStores, device.certificateStores)
  t.equal(adapter.identities, device.identities)
  t.equal(adapter.keyStorageProviders, device.keyStorageProviders)
  t.equal(await adapter.isLocked(), true)
  t.equal(await platformAdapter('ios', bindings({ osVersion: '17.4' })).isLocked(), false, 'without a lock, never locked')
})

t.test('an OS version that cannot be read is refused when the device is made', async (t) => {
  t.throws(() => platformAdapter('ios', bindings({ osVersion: 'seventeen' })), { code: 'ERR_UNSUPPORTED' })
})
