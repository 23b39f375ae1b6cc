import t from 'tap'
import { importedPfx, type Json, scep, trustedRoot } from '../tenant/graph.ts'
import { type CorpusRow, corpus } from './checked.ts'

const row = (name: string, documents: readonly Json[], finds: CorpusRow['finds'], tenant?: string): CorpusRow => ({
  ...{ name, id: 'setting-ignored', documents, finds },
  ...(tenant !== undefined && { tenant }),
})
const scepOf = (type: string, members: Json = {}) =>
  scep({ '@odata.type': `#microsoft.graph.${type}CertificateProfile`, extendedKeyUsages: [], ...members })
const rootOf = (type: string, members: Json = {}) =>
  trustedRoot({ '@odata.type': `#microsoft.graph.${type}TrustedRootCertificate`, ...members })

const clientAuthentication = [{ name: 'Client Authentication', objectIdentifier: '1.3.6.1.5.5.7.3.2' }]
const twoReleases = `
assign: all
devices:
  - { id: a, platform: ios, osVersion: 16.1 }
  - { id: b, platform: ios, osVersion: 17.0 }
  - { id: c, platform: ios, osVersion: 17.0 }
`

corpus(t, [
  row('nothing of what every iOS profile says', [scepOf('iosScep')], []),
  row(
    'extended key usages on iOS',
    [scepOf('iosScep', { extendedKeyUsages: clientAuthentication })],
    [
      {
        severity: 'info',
        profile: 'Scep',
        device: undefined,
        source: 'extended-key-usage.apple-ignored',
        message: /1\.3\.6\.1\.5\.5\.7\.3\.2 has no effect/,
      },
    ],
  ),
  row(
    'two releases that do alike, told once',
    [scepOf('iosScep', { extendedKeyUsages: clientAuthentication })],
    [{ device: undefined }],
    twoReleases,
  ),
  row('extended key usages on Windows', [scepOf('windows81SCEP', { extendedKeyUsages: clientAuthentication })], []),
  row(
    'a lifetime of 364 days on iOS',
    [scepOf('iosScep', { certificateValidityPeriodValue: 364, certificateValidityPeriodScale: 'days' })],
    [{ source: 'validity.apple-template', action: /template/ }],
  ),
  row('a lifetime of 2 years on Android', [scepOf('androidScep', { certificateValidityPeriodValue: 2 })], []),
  row('a hash on macOS', [scepOf('macOSScep', { hashAlgorithm: 'sha2' })], [{ severity: 'info', source: 'hash.apple-negotiated' }]),
  row('a hash that the type for iOS lacks', [scepOf('iosScep', { hashAlgorithm: 'sha2' })], [{ source: 'hash.apple-negotiated' }]),
  row('a hash on Android', [scepOf('androidScep', { hashAlgorithm: 'sha2' })], []),
  row(
    'a TPM on Android',
    [scepOf('androidScep', { keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    [{ severity: 'warning', source: 'key-storage.android-ignored', message: /useTpmKspOtherwiseFail has no effect/ }],
  ),
  row(
    'a TPM on macOS',
    [scepOf('macOSScep', { keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    [{ severity: 'warning', source: 'key-storage.apple-ignored' }],
  ),
  row('software on Android, which it does anyway', [scepOf('androidScep', { keyStorageProvider: 'useSoftwareKsp' })], []),
  row('a TPM on Windows', [scepOf('windows81SCEP', { keyStorageProvider: 'useTpmKspOtherwiseFail' })], []),
  row(
    'a TPM for an imported PFX of iOS',
    [importedPfx({ '@odata.type': '#microsoft.graph.iosImportedPFXCertificateProfile', keyStorageProvider: 'useTpmKspOtherwiseFail' })],
    [{ severity: 'warning', profile: 'Pfx', source: 'key-storage.apple-ignored' }],
  ),
  row(
    'a second URL on iOS',
    [scepOf('iosScep', { scepServerUrls: ['https://a.example/', 'https://b.example/'] })],
    [{ source: 'several-urls.apple-ignored' }],
  ),
  row('a second URL on Windows', [scepOf('windows81SCEP', { scepServerUrls: ['https://a.example/', 'https://b.example/'] })], []),
  row(
    'a store on Android',
    [rootOf('android', { destinationStore: 'userCertStoreIntermediate' })],
    [{ severity: 'info', profile: 'Root', source: 'destination-store.ignored' }],
  ),
  row('the root store on Android, which it is anyway', [rootOf('android', { destinationStore: 'computerCertStoreRoot' })], []),
  row('a store on Windows', [rootOf('windows81', { destinationStore: 'userCertStoreIntermediate' })], []),
])
