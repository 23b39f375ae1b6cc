import { type KeyProtection, type KeyStorageOption, protectionsByOption, type ScepProfile } from '@certfleet/agent-core'
import { parseOs } from '@certfleet/platforms'
import t from 'tap'
import { placeKey } from '#agent-core/keys/placement.ts'
import { keyChoiceOf } from '#emulator/check/agent-request.ts'
import { deviceKeyStorage } from '#emulator/fleet/key-storage.ts'
import { hardwareKinds } from '#emulator/tenant/index.ts'
import { FakeClock } from '../fakes/clock.ts'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, corpus } from './checked.ts'

const row = (name: string, id: CorpusRow['id'], documents: readonly Json[], devices: string, finds: CorpusRow['finds']): CorpusRow => ({
  ...{ name, id, documents, finds },
  tenant: `assign: all\nusers: [{ id: u, upn: u@contoso.example, userName: u }]\ndevices: [${devices}]\n`,
})

const windows = (hardware = 'tpm-2.0', osVersion = '10.0.26100') =>
  `{ id: d, platform: windows, osVersion: ${osVersion}, hardware: ${hardware}, user: u }`
const android = '{ id: d, platform: android, osVersion: 15, user: u }'
const ios = (osVersion: string) => `{ id: d, platform: ios, osVersion: ${osVersion}, user: u }`
const phone = (hardware: string) =>
  `{ id: d, platform: windows, osVersion: 8.1, management: windowsPhone81, hardware: ${hardware}, user: u }`

const of = (type: string, kind: 'Scep' | 'SCEP', root: string, members: Json = {}) => [
  trustedRoot({ '@odata.type': `#microsoft.graph.${root}TrustedRootCertificate` }),
  scep({ '@odata.type': `#microsoft.graph.${type}${kind}CertificateProfile`, ...members }),
]
const onWindows = (members: Json) => of('windows81', 'SCEP', 'windows81', members)
const onAndroid = (members: Json) => of('android', 'Scep', 'android', members)
const onIos = (members: Json) => of('ios', 'Scep', 'ios', members)
const onPhone = (members: Json) => of('windowsPhone81', 'SCEP', 'windowsPhone81', members)

const passport = 'usePassportForWorkKspOtherwiseFail'
const demandsTpm = 'useTpmKspOtherwiseFail'
const prefersTpm = 'useTpmKspOtherwiseUseSoftwareKsp'
const refused = (source: string): CorpusRow['finds'][number] => ({
  severity: 'error',
  device: 'd',
  profile: 'Scep',
  code: 'ERR_UNSUPPORTED',
  source,
})

corpus(t, [
  row('a TPM makes no 4096 bits', 'request-refused', onWindows({ keyStorageProvider: demandsTpm, keySize: 'size4096' }), windows(), [
    { ...refused('windows.tpm.largest-key'), shown: /Windows would show/, message: /up to 2048 bits, the profile asks for 4096/ },
  ]),
  row('a TPM makes 2048 bits', 'request-refused', onWindows({ keyStorageProvider: demandsTpm }), windows(), []),
  row('software makes 4096 bits', 'request-refused', onWindows({ keySize: 'size4096' }), windows(), []),
  row(
    'a TPM that is there is not passed over',
    'request-refused',
    onWindows({ keyStorageProvider: prefersTpm, keySize: 'size4096' }),
    windows(),
    [{ ...refused('windows.tpm.largest-key'), message: /TPM 2.0 makes keys of .* none of RSA-4096/ }],
  ),
  row(
    'without a TPM software takes 4096 bits',
    'request-refused',
    onWindows({ keyStorageProvider: prefersTpm, keySize: 'size4096' }),
    windows('no-tpm'),
    [],
  ),
  row('Passport below Windows 10', 'request-refused', onWindows({ keyStorageProvider: passport }), windows('tpm-2.0', '8.1'), [
    refused('windows.passport.too-old'),
  ]),
  row('Passport on Windows 10', 'request-refused', onWindows({ keyStorageProvider: passport }), windows('no-tpm', '10.0.10240'), []),
  row('Passport of 4096 bits', 'request-refused', onWindows({ keyStorageProvider: passport, keySize: 'size4096' }), windows(), [
    refused('windows.passport.key-size'),
  ]),
  row(
    'Passport for smart card logon',
    'request-refused',
    onWindows({
      keyStorageProvider: passport,
      extendedKeyUsages: [{ name: 'Smart Card Logon', objectIdentifier: '1.3.6.1.4.1.311.20.2.2' }],
    }),
    windows(),
    [refused('windows.passport.smart-card')],
  ),
  row('iOS 13 makes no 4096 bits', 'request-refused', onIos({ keySize: 'size4096' }), ios('13.7'), [refused('key-size.any')]),
  row('iOS 14 makes 4096 bits', 'request-refused', onIos({ keySize: 'size4096' }), ios('14.0'), []),
  row('iOS takes http', 'url-refused', onIos({ scepServerUrls: ['http://ndes.example/scep'] }), ios('17.0'), []),
  row('Android takes no http', 'url-refused', onAndroid({ scepServerUrls: ['http://ndes.example/scep'] }), android, [
    refused('android.scep.https-only'),
  ]),
  row('what hangs on the URL is told apart', 'request-refused', onAndroid({ scepServerUrls: ['http://ndes.example/scep'] }), android, []),
  row('Android takes no query', 'url-refused', onAndroid({ scepServerUrls: ['https://ndes.example/scep?ca=1'] }), android, [
    refused('android.scep.url-query'),
  ]),
  row('Windows takes a query', 'url-refused', onWindows({ scepServerUrls: ['https://ndes.example/scep?ca=1'] }), windows(), []),
  row('a URL of 2049 characters', 'url-refused', onWindows({ scepServerUrls: [`https://ndes.example/${'a'.repeat(2028)}`] }), windows(), [
    { code: 'ERR_PROFILE_INVALID', source: 'scep-url.honoured' },
  ]),
  row(
    'a URL of 2048 characters',
    'url-refused',
    onWindows({ scepServerUrls: [`https://ndes.example/${'a'.repeat(2027)}`] }),
    windows(),
    [],
  ),
  row(
    'a URL and a key that are both refused',
    'request-refused',
    of('windowsPhone81', 'SCEP', 'windowsPhone81', { keySize: 'size4096', scepServerUrls: [`https://ndes.example/${'a'.repeat(2028)}`] }),
    phone('tpm-1.2'),
    [refused('key-size.any')],
  ),
  row(
    'a URL and a key that are both refused, the URL',
    'url-refused',
    of('windowsPhone81', 'SCEP', 'windowsPhone81', { keySize: 'size4096', scepServerUrls: [`https://ndes.example/${'a'.repeat(2028)}`] }),
    phone('tpm-1.2'),
    [{ code: 'ERR_PROFILE_INVALID', source: 'scep-url.honoured' }],
  ),
  row('a key that is refused, and no URL', 'url-refused', onIos({ keySize: 'size4096' }), ios('13.7'), []),
  row('a TPM is demanded and missing', 'key-storage-missing', onWindows({ keyStorageProvider: demandsTpm }), windows('no-tpm'), [
    { severity: 'error', code: 'ERR_KEY_STORAGE_UNAVAILABLE', source: 'windows.tpm.demanded', shown: /Windows would show/ },
  ]),
  row('a TPM 1.2 is one', 'key-storage-missing', onWindows({ keyStorageProvider: demandsTpm }), windows('tpm-1.2'), []),
  row('a TPM is preferred and missing', 'key-storage-missing', onWindows({ keyStorageProvider: prefersTpm }), windows('no-tpm'), [
    { severity: 'info', code: undefined, source: 'windows.tpm.preferred' },
  ]),
  row('a phone has no choice but its TPM', 'key-storage-missing', onPhone({ keyStorageProvider: prefersTpm }), phone('no-tpm'), [
    { severity: 'error', code: 'ERR_KEY_STORAGE_UNAVAILABLE', source: 'windows-phone.tpm.always' },
  ]),
  row('software needs no TPM', 'key-storage-missing', onWindows({}), windows('no-tpm'), []),
  row(
    'a PKCS key in a TPM that is missing',
    'key-storage-missing',
    [trustedRoot(), pkcs({ keyStorageProvider: demandsTpm })],
    windows('no-tpm'),
    [{ severity: 'error', profile: 'Pkcs', code: 'ERR_KEY_STORAGE_UNAVAILABLE' }],
  ),
  row(
    'an imported key in a TPM',
    'key-storage-missing',
    [trustedRoot(), importedPfx({ keyStorageProvider: demandsTpm })],
    windows('tpm-2.0'),
    [],
  ),
  row('a profile that no OS could refuse', 'request-refused', [trustedRoot(), importedPfx()], windows(), []),
])

t.test('keys go where the agent puts them', async (t) => {
  const options = Object.keys(protectionsByOption) as KeyStorageOption[]
  for (const osVersion of ['8.1', '10.0.26100']) {
    for (const hardware of hardwareKinds) {
      const device = { id: 'd', platform: 'windows', osVersion, hardware } as const
      const storage = await deviceKeyStorage(device, new FakeClock(), undefined)
      for (const keyStorage of options) {
        for (const bits of [1024, 2048, 4096]) {
          const profile = { displayName: 'Scep', request: { keyStorage, keySpec: { algorithm: 'rsa', bits } } } as unknown as ScepProfile
          const wish = { spec: profile.request.keySpec, hash: 'sha256', multiFactor: false } as const
          const placed = await placeKey(profile, wish, storage.providers, undefined).catch((error) => error)
          const choice = keyChoiceOf(profile, parseOs('windows', osVersion), device)
          const said = choice.outcome === 'use' ? [choice.protection, choice.reason] : [choice.code]
          const found: (KeyProtection | string)[] = 'protection' in placed ? [placed.protection, placed.reason] : [placed.code]
          // A model of Passport refuses other sizes here; the OS does before.
          if (keyStorage === 'usePassportForWorkKspOtherwiseFail' && bits !== 2048) continue
          t.strictSame(said, found, `${keyStorage} ${bits} on Windows ${osVersion}, ${hardware}`)
        }
      }
      await storage.close()
    }
  }
})

corpus(
  t,
  [
    [
      'with a key in Passport for Work',
      passport,
      [{ severity: 'warning', device: 'd', code: 'ERR_USER_ACTION_REQUIRED', source: 'multi-factor.honoured' }],
    ],
    ['with a key elsewhere', demandsTpm, []],
  ].map(([name, keyStorageProvider, finds]) => {
    const asked = row(name as string, 'multi-factor-needed', onWindows({ keyStorageProvider }), windows(), finds as CorpusRow['finds'])
    return { ...asked, tenant: `${asked.tenant}multiFactor: [scep-1]\n` }
  }),
)
