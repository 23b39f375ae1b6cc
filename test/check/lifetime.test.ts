import { type Fact, facts } from '@certfleet/platforms'
import t from 'tap'
import { importedPfx, type Json, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { corpus } from './checked.ts'

const days = (value: number, renewalThresholdPercentage: number): Json => ({
  certificateValidityPeriodValue: value,
  certificateValidityPeriodScale: 'days',
  renewalThresholdPercentage,
})
const windows = (members: Json = {}) => [trustedRoot(), scep(members)]
const ios = (members: Json = {}) => [
  trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
  scep({ '@odata.type': '#microsoft.graph.iosScepCertificateProfile', ...members }),
]
const ca = (members: string) => `authorities: [{scepUrls: ['https://ndes.example/certsrv/mscep/mscep.dll'], ${members}}]`

corpus(t, [
  // 33 % of a day are 7.92 hours, 34 % are 8.16.
  {
    name: 'due before the next check-in',
    id: 'renews-always',
    documents: windows(days(1, 67)),
    finds: [
      {
        severity: 'warning',
        device: undefined,
        message:
          'with a threshold of 67 % the certificate of 24 hours is due for renewal 7.9 hours after it was issued, and a device checks in every 8 hours: each check-in renews it',
        source: 'renewal.threshold; renewal.check-in-interval',
      },
    ],
  },
  { name: 'due after the next check-in', id: 'renews-always', documents: windows(days(1, 66)), finds: [] },
  {
    name: 'by the interval of the tenant, longer than the time to renewal',
    id: 'renews-always',
    documents: windows(days(100, 99)),
    tenant: 'checkInHours: 24.001',
    finds: [{ message: /due for renewal 24 hours after/, source: 'renewal.threshold' }],
  },
  {
    name: 'by the interval of the tenant, just as long',
    id: 'renews-always',
    documents: windows(days(100, 99)),
    tenant: 'checkInHours: 24',
    finds: [],
  },
  {
    name: 'the template makes it short',
    id: 'renews-always',
    documents: windows(days(365, 80)),
    tenant: ca('validity: 1 day'),
    finds: [{ message: /certificate of 24 hours is due for renewal 4\.8 hours/ }],
  },
  {
    name: 'the end of the CA makes it short',
    id: 'renews-always',
    documents: windows(days(365, 80)),
    tenant: ca('expires: 2026-11-24'),
    finds: [{}],
  },
  {
    name: 'the CA is over: another rule tells that',
    id: 'renews-always',
    documents: windows(),
    tenant: ca('expires: 2026-11-23'),
    finds: [],
  },
  {
    name: 'on iOS the template makes it long',
    id: 'renews-always',
    documents: ios(days(1, 80)),
    tenant: ca('validity: 1 year'),
    finds: [],
  },
  { name: 'PKCS', id: 'renews-always', documents: [trustedRoot(), pkcs(days(1, 67))], finds: [{ profileId: 'pkcs-1' }] },
  { name: 'an imported PFX lives as long as it does', id: 'renews-always', documents: [trustedRoot(), importedPfx()], finds: [] },
  {
    name: 'a lifetime beyond all dates',
    id: 'renews-always',
    documents: windows({ certificateValidityPeriodValue: 2_000_000 }),
    finds: [],
  },

  {
    name: 'Windows, by a timer',
    id: 'renews-never',
    documents: windows(days(1, 33)),
    finds: [
      {
        severity: 'warning',
        message:
          'it is renewed in its last 7.9 hours, less than the 8 hours between two check-ins: a device that is off for that long lets it end, and enrols anew',
        source: 'renewal.threshold; renewal.check-in-interval; windows.renewal.begun-by',
      },
    ],
  },
  { name: 'a window longer than the interval', id: 'renews-never', documents: windows(days(1, 34)), finds: [] },
  {
    name: 'iOS, at a check-in while unlocked',
    id: 'renews-never',
    documents: ios(days(1, 33)),
    finds: [
      {
        message:
          'it is renewed at a check-in in its last 7.9 hours, while the device is unlocked, and a device checks in every 8 hours: it can end in between, and an expired one is not replaced by itself',
        source: /apple\.renewal\.begun-by$/,
      },
    ],
  },
  { name: 'a window as long as the interval', id: 'renews-never', documents: ios(days(10, 10)), tenant: 'checkInHours: 24', finds: [] },
  { name: 'a window just shorter', id: 'renews-never', documents: ios(days(10, 10)), tenant: 'checkInHours: 24.001', finds: [{}] },
  {
    name: 'PKCS on iOS is fetched anew',
    id: 'renews-never',
    documents: [
      trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
      pkcs({ '@odata.type': '#microsoft.graph.iosPkcsCertificateProfile', ...days(1, 33) }),
    ],
    finds: [{ message: /lets it end, and enrols anew$/, source: 'renewal.threshold; renewal.check-in-interval' }],
  },

  {
    name: 'iOS',
    id: 'expired-stuck',
    documents: ios(),
    finds: [
      {
        severity: 'info',
        message:
          'it is renewed only at a check-in in its last 73 days, while the device is unlocked; a device that misses that keeps an expired certificate, and asks for no other',
        source: 'apple.renewal.unlocked; apple.renewal.after-expiry',
      },
    ],
  },
  { name: 'Windows', id: 'expired-stuck', documents: windows(), finds: [] },
  {
    name: 'PKCS on iOS',
    id: 'expired-stuck',
    documents: [
      trustedRoot({ '@odata.type': '#microsoft.graph.iosTrustedRootCertificate' }),
      pkcs({ '@odata.type': '#microsoft.graph.iosPkcsCertificateProfile' }),
    ],
    finds: [],
  },
])

t.test('renewal.check-in-interval: eight hours, on every system', async (t) => {
  const fact = facts.find(({ id }) => id === 'renewal.check-in-interval') as Fact
  t.equal(fact.value, 28_800_000)
})
