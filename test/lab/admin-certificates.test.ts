import { createHash } from 'node:crypto'
import {
  createAgent,
  handlerTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  type Report,
  softwareKeys,
  systemJitter,
} from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { adminPolicies, type LabTransaction, memoryLabStore } from '@certfleet/emulator/lab'
import { platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { type Admin, adminToken, allDevices, configurations, example, type Json, startAdmin } from './admin-world.ts'
import { jsonOf, post, register, scepUrl, startLab } from './surroundings.ts'

const dayMs = 86_400_000
const states = 'deviceManagement/managedDeviceCertificateStates'

/** A lab whose admin has assigned a root and a SCEP profile to all devices, and one device with an agent. */
async function rollout() {
  const admin = await startAdmin()
  const { lab, clock, ask } = admin
  const rootCertificate = Buffer.from(lab.rootCertificate).toString('base64')
  const root = await ask('POST', configurations, {
    ...example('windows-root'),
    trustedRootCertificate: rootCertificate,
    assignments: [allDevices],
  })
  const wifi = await ask('POST', configurations, {
    ...example('windows-wifi-user'),
    'rootCertificate@odata.bind': `https://graph.microsoft.com/beta/${configurations}('${root.id}')`,
    certificateStore: 'machine',
    subjectAlternativeNameType: null,
    subjectNameFormatString: 'CN={{DeviceName}}',
    customSubjectAlternativeNames: [{ sanType: 'domainNameService', name: '{{FullyQualifiedDomainName}}' }],
    certificateValidityPeriodValue: 60,
    certificateValidityPeriodScale: 'days',
    keyStorageProvider: 'useSoftwareKsp',
    scepServerUrls: [scepUrl],
  })
  await ask('POST', `${configurations}/${wifi.id}/assign`, { assignments: [allDevices] })
  const credential = await register(lab, 'laptop')
  const transport = handlerTransport(lab.handle)
  const system = { clock, jitter: systemJitter, transport }
  const stores = { keyStorageProviders: [softwareKeys()], certificateStores: memoryStores(), identities: memoryIdentities() }
  const platform = platformAdapter('windows', { ...system, ...stores, osVersion: '11', allowHttp: true })
  const policyUrl = 'http://lab.example/device/policy'
  const service = policyService({ policyUrl, deviceId: 'laptop', credential, transport, cache: memoryPolicyCache() })
  const agent = createAgent({ ...system, ...service, platform, state: memoryState() })
  return { ...admin, root, wifi, credential, agent, identities: stores.identities }
}

t.test(
  'service.monitoring: a profile that the admin made and assigned reaches a device, which enrols; its certificate is monitored, revoked and retired',
  async (t) => {
    const { agent, ask, send, refused, lab, store, wifi, identities, clock } = await rollout()
    t.same((await ask('GET', states)).value, [])
    const { report } = await agent.runOnce()
    t.match(report.profiles, [{ state: 'installed' }])
    const [issued] = [...lab.issued()]
    const { serialNumber = '', certificate = new Uint8Array() } = issued ?? {}
    const { notAfter, notBefore } = parseCertificate(certificate)
    const expected = {
      '@odata.type': '#microsoft.graph.managedDeviceCertificateState',
      id: `${wifi.id}_laptop`,
      deviceDisplayName: 'laptop',
      userDisplayName: 'user-of-laptop',
      devicePlatform: 'windows10AndLater',
      certificateProfileDisplayName: wifi.displayName,
      certificateIssuanceState: 'installed',
      certificateRevokeStatus: 'none',
      certificateErrorCode: 0,
      certificateSerialNumber: serialNumber,
      certificateThumbprint: createHash('sha1').update(certificate).digest('hex').toUpperCase(),
      certificateIssuanceDateTime: new Date(notBefore).toISOString(),
      certificateExpirationDateTime: new Date(notAfter).toISOString(),
      certificateKeyLength: 2048,
      certificateKeyStorageProvider: 'useSoftwareKsp',
      certificateSubjectNameFormat: 'custom',
      certificateSubjectNameFormatString: 'CN={{DeviceName}}',
      certificateValidityPeriod: 60,
      certificateValidityPeriodUnits: 'days',
      certificateEnhancedKeyUsage: '1.3.6.1.5.5.7.3.2',
      certificateIssuer: /CN=/,
      '@certfleet.deviceId': 'laptop',
      '@certfleet.profileId': wifi.id,
    }
    const paths = [
      states,
      'deviceManagement/managedDevices/laptop/managedDeviceCertificateStates',
      `${configurations}/${wifi.id}/managedDeviceCertificateStates`,
    ]
    for (const path of paths) {
      const { value } = await ask('GET', path)
      t.equal(value.length, 1, path)
      t.match(value[0], expected)
    }
    for (const path of ['managedDevices/none', 'deviceConfigurations/none'])
      t.match(await refused('GET', `deviceManagement/${path}/managedDeviceCertificateStates`), '404 ResourceNotFound')

    await t.test('expiring', async (t) => {
      const left = (notAfter - clock.now()) / dayMs
      const within = async (days: number) => (await ask('GET', `${states}?expiringWithinDays=${days}`)).value.length
      t.equal(await within(Math.floor(left)), 0)
      t.equal(await within(Math.ceil(left)), 1)
      t.match(await refused('GET', `${states}?expiringWithinDays=36501`), '400 BadRequest: expiringWithinDays: expected a whole number')
      t.match(await refused('GET', `${states}?failed=no`), '400 BadRequest: failed: expected true')
      t.same((await ask('GET', `${states}?failed=true`)).value, [])
      t.match(await ask('GET', 'deviceManagement/certificateSummary?expiringWithinDays=365'), {
        devices: 1,
        expiringWithinDays: 365,
        installed: 1,
        failed: 0,
        expiringSoon: 1,
        expired: 0,
        revoked: 0,
        failedByCode: [],
        byProfile: [{ profileId: wifi.id, displayName: wifi.displayName, devices: 1, installed: 1 }],
      })
      t.match(await ask('GET', 'deviceManagement/certificateSummary'), { expiringWithinDays: 30, expiringSoon: 0 })
    })

    await t.test('revoked', async (t) => {
      const path = `deviceManagement/issuedCertificates/${serialNumber.toUpperCase()}/revoke`
      t.match(await refused('POST', path, { reason: 'boredom' }), '400 BadRequest: reason: expected one of')
      t.match(await refused('POST', path, { reason: 'removeFromCRL' }), /^409 Conflict: certificate \w+ is not on hold/)
      t.match(await refused('POST', 'deviceManagement/issuedCertificates/ff/revoke'), '404 ResourceNotFound: no issued certificate')
      t.equal(store.get('revocations', serialNumber), undefined)
      t.equal((await send('POST', path, { reason: 'certificateHold' })).status, 204)
      t.match((await ask('GET', states)).value, [{ certificateRevokeStatus: 'revoked', certificateIssuanceState: 'revoked' }])
      t.match(await ask('GET', 'deviceManagement/certificateSummary?expiringWithinDays=366'), { revoked: 1, expiringSoon: 0 })
      t.equal((await send('POST', path, { reason: 'removeFromCRL' })).status, 204)
      t.match((await ask('GET', states)).value, [{ certificateRevokeStatus: 'none', certificateIssuanceState: 'installed' }])
    })

    await t.test('retired', async (t) => {
      await clock.advance(1)
      t.equal((await send('POST', 'deviceManagement/managedDevices/laptop/retire')).status, 204)
      t.equal((await ask('GET', 'deviceManagement/managedDevices/laptop')).managementState, 'retireIssued')
      t.match(store.get('revocations', serialNumber), { reason: 'cessationOfOperation' })
      t.equal((await send('POST', 'deviceManagement/managedDevices/laptop/retire')).status, 204, 'again')
      await agent.runOnce()
      t.same(await identities.list(), [], 'the device has removed its certificate')
      t.match((await ask('GET', states)).value, [{ certificateIssuanceState: 'deleted', certificateRevokeStatus: 'revoked' }])
      await clock.advance(1)
      await register(lab, 'laptop')
      t.equal(
        (await ask('GET', 'deviceManagement/managedDevices/laptop')).managementState,
        'managed',
        'registered again, it is managed again',
      )
    })
  },
)

const profileId = 'wifi'
const at = Date.UTC(2026, 5, 1, 12)

type Fact =
  | { readonly event: string; readonly code?: string; readonly failInfo?: string }
  | { readonly report: Partial<Report['profiles'][number]> | 'without' }

/** What the log and the reports say, one after the other, a second apart. */
async function tell({ store, clock }: Admin, facts: readonly Fact[]): Promise<void> {
  for (const [i, fact] of facts.entries()) {
    await clock.advance(1000)
    const now = clock.now()
    await store.transaction((tx) => {
      if ('event' in fact) tx.put('audit', `0000${i}`, { sequence: i + 1, at: now, deviceId: 'laptop', profileId, ...fact } as Json)
      else {
        const profiles = fact.report === 'without' ? [] : [{ profileId, displayName: 'Wi-Fi', principal: 'device', ...fact.report }]
        tx.put('reports', 'laptop', {
          deviceId: 'laptop',
          at: now,
          report: { revision: 1, at: now, platform: 'windows', results: [], roots: [], profiles } as Json,
        })
      }
    })
  }
}

t.test('the state is the newer of what the device said and what the lab saw', async (t) => {
  const failed = { state: 'issueFailed', code: 'ERR_ENROLLMENT_REJECTED', message: 'no' } as const
  const rows: [name: string, facts: Fact[], expected: object][] = [
    ['a challenge was given', [{ event: 'challenge-issued' }], { certificateIssuanceState: 'challengeIssued', certificateErrorCode: 0 }],
    ['a challenge was refused', [{ event: 'challenge-refused' }], { certificateIssuanceState: 'challengeIssueFailed' }],
    ['the CA waits', [{ event: 'challenge-issued' }, { event: 'pending' }], { certificateIssuanceState: 'issuePending' }],
    ['another server validated', [{ event: 'validated' }], { certificateIssuanceState: 'challengeValidationSucceeded' }],
    ['another server’s CA failed', [{ event: 'failed-elsewhere' }], { certificateIssuanceState: 'issueFailed' }],
    ['issued, and the device is silent', [{ event: 'issued' }], { certificateIssuanceState: 'issued' }],
    [
      'refused by its challenge',
      [{ event: 'refused', code: 'ChallengeExpired' }],
      {
        certificateIssuanceState: 'challengeValidationFailed',
        '@certfleet.errorCode': 'ChallengeExpired',
        certificateErrorCode: -2_147_467_259,
      },
    ],
    [
      'refused otherwise',
      [{ event: 'refused', failInfo: 'badAlg' }],
      { certificateIssuanceState: 'issueFailed', '@certfleet.errorCode': 'badAlg' },
    ],
    [
      'refused, then the device tells',
      [{ event: 'refused', code: 'ChallengeExpired' }, { report: failed }],
      { certificateIssuanceState: 'issueFailed', '@certfleet.errorCode': failed.code, '@certfleet.errorMessage': 'no' },
    ],
    [
      'failed, then a new challenge',
      [{ report: failed }, { event: 'challenge-issued' }],
      { certificateIssuanceState: 'challengeIssued', certificateErrorCode: 0 },
    ],
    [
      'installed, then a new challenge',
      [{ report: { state: 'installed', serialNumber: 'ab' } }, { event: 'challenge-issued' }],
      { certificateIssuanceState: 'renewalRequested', certificateSerialNumber: 'ab' },
    ],
    [
      'installed, then another server validated',
      [{ report: { state: 'installed', serialNumber: 'ab' } }, { event: 'validated' }],
      { certificateIssuanceState: 'renewVerified' },
    ],
    [
      'failed, and its OS has a number for that',
      [{ report: { ...failed, os: { Status: 16, ErrorCode: -2146885620 } } }],
      { certificateErrorCode: -2146885620, '@certfleet.errorCode': failed.code },
    ],
    ['events of no profile’s', [{ event: 'revoked' }, { event: 'issued' }], { certificateIssuanceState: 'issued' }],
  ]
  for (const [name, facts, expected] of rows) {
    const admin = await startAdmin()
    await register(admin.lab, 'laptop')
    await tell(admin, facts)
    t.match((await admin.ask('GET', states)).value, [expected], name)
  }
})

t.test('a device’s report is not believed in what it cannot be', async (t) => {
  const rows: [name: string, status: object, expected: object][] = [
    ['a state that is none', { state: 'excellent' }, { certificateIssuanceState: 'unknown' }],
    ['a state of the lab’s own', { state: 'challengeIssued' }, { certificateIssuanceState: 'unknown' }],
    ['a date that is none', { state: 'installed', notAfter: 1e300 }, { certificateExpirationDateTime: '0001-01-01T00:00:00Z' }],
    ['the last date', { state: 'installed', notAfter: 8.64e15 }, { certificateExpirationDateTime: '+275760-09-13T00:00:00.000Z' }],
    ['one later', { state: 'installed', notAfter: 8.64e15 + 2 }, { certificateExpirationDateTime: '0001-01-01T00:00:00Z' }],
    ['a date of text', { state: 'installed', notAfter: 'x' }, { certificateExpirationDateTime: '0001-01-01T00:00:00Z' }],
    [
      'a name of another kind',
      { state: 'installed', displayName: {}, serialNumber: ['a'] },
      { certificateProfileDisplayName: null, certificateSerialNumber: null },
    ],
    ['a name without end', { state: 'installed', displayName: 'a'.repeat(501) }, { certificateProfileDisplayName: 'a'.repeat(500) }],
    ['a number that is none', { state: 'issueFailed', code: 'E', os: { ErrorCode: 2 ** 31 } }, { certificateErrorCode: -2_147_467_259 }],
    ['no number', { state: 'issueFailed', code: 'E', os: null }, { certificateErrorCode: -2_147_467_259 }],
    ['a key of no size', { state: 'installed', keyBits: -1 }, { certificateKeyLength: 0 }],
  ]
  for (const [name, status, expected] of rows) {
    const admin = await startAdmin()
    const credential = await register(admin.lab, 'laptop')
    const profiles = [{ profileId, displayName: 'Wi-Fi', ...status }]
    const sent = await post(
      admin.lab,
      '/device/report',
      { revision: 1, at, platform: 'windows', results: [], roots: [], profiles },
      credential,
    )
    t.equal(sent.status, 204)
    t.match((await admin.ask('GET', states)).value, [expected], name)
  }
  const admin = await startAdmin()
  const credential = await register(admin.lab, 'laptop')
  await post(
    admin.lab,
    '/device/report',
    { revision: 1, at, platform: 'windows', results: [], roots: [], profiles: [{}, { profileId: '' }] },
    credential,
  )
  t.same((await admin.ask('GET', states)).value, [], 'a row of no profile')
})

t.test('failures by code', async (t) => {
  const { ask, lab, send } = await startAdmin()
  for (let i = 0; i < 12; i++) {
    const credential = await register(lab, `device-${String(i).padStart(2, '0')}`)
    const failed =
      i === 0 ? { state: 'requestSubmitFailed', code: 'ERR_CLOCK_SKEW' } : { state: 'renewalRequested', code: 'ERR_ENROLLMENT_REJECTED' }
    await post(
      lab,
      '/device/report',
      { revision: 1, at, platform: 'ios', results: [], roots: [], profiles: [{ profileId, ...failed }] },
      credential,
    )
  }
  const summary = await ask('GET', 'deviceManagement/certificateSummary')
  t.match(summary, { devices: 12, failed: 12, installed: 11, byProfile: [{ profileId, displayName: null, devices: 12, failed: 12 }] })
  t.match(summary.failedByCode, [
    { code: 'ERR_ENROLLMENT_REJECTED', count: 11 },
    { code: 'ERR_CLOCK_SKEW', count: 1, devices: ['device-00'] },
  ])
  t.equal(summary.failedByCode[0].devices.length, 10, 'ten of them are named')
  t.equal(jsonOf(await send('GET', `${states}?failed=true&$count=true&$top=1`))['@odata.count'], 12)
})

t.test('what is over does not expire any more', async (t) => {
  const rows: [name: string, leftMs: number, expiring: number, expired: number][] = [
    ['a day and more', dayMs + 1, 0, 0],
    ['a day', dayMs, 1, 0],
    ['the last millisecond', 1, 1, 0],
    ['over', 0, 0, 1],
  ]
  for (const [name, leftMs, expiringSoon, expired] of rows) {
    const admin = await startAdmin()
    await tell(admin, [{ report: { state: 'installed', notAfter: admin.clock.now() + 1000 + leftMs } }])
    t.match(await admin.ask('GET', 'deviceManagement/certificateSummary?expiringWithinDays=1'), { expiringSoon, expired }, name)
    t.equal((await admin.ask('GET', `${states}?expiringWithinDays=1`)).value.length, expiringSoon, name)
  }
})

const issuedTo = ({ lab }: Admin, deviceId: string, serialNumber: string, issuedAt = at): Json => {
  const ids = { deviceId, profileId, serialNumber, transactionId: 't', fingerprint: 'f', issuer: 'i' }
  return { ...ids, certificate: lab.issuingCertificate, at: issuedAt }
}

t.test('of several certificates the latest counts', async (t) => {
  const rows: [name: string, first: string, second: string, laterMs: number, counts: string][] = [
    ['the higher serial number is later', 'aa', 'bb', 1, 'bb'],
    ['the lower one is', 'bb', 'aa', 1, 'aa'],
    ['both at once', 'aa', 'bb', 0, 'bb'],
    ['both at once, the higher one written first', 'bb', 'aa', 0, 'bb'],
  ]
  for (const [name, first, second, laterMs, counts] of rows) {
    const admin = await startAdmin()
    await admin.store.transaction((tx) => {
      tx.put('issued', first, issuedTo(admin, 'laptop', first))
      tx.put('issued', second, issuedTo(admin, 'laptop', second, at + laterMs))
    })
    t.match((await admin.ask('GET', states)).value, [{ certificateSerialNumber: counts, certificateIssuanceState: 'issued' }], name)
  }
})

t.test('monitoring follows what is committed, and nothing else', async (t) => {
  const disk = memoryLabStore()
  const admin = await startAdmin({}, disk)
  const { store, lab } = admin
  const seen = async ({ ask }: Admin) => {
    const { devices, revoked } = await ask('GET', 'deviceManagement/certificateSummary')
    const { value } = await ask('GET', states)
    const serials = value.map((row: Json) => `${row.certificateSerialNumber} ${row.certificateRevokeStatus}`)
    return { devices, revoked, serials }
  }
  const nothing = { devices: 0, revoked: 0, serials: [] }
  t.strictSame(await seen(admin), nothing)
  const registered = { deviceId: 'laptop', platform: 'windows', osVersion: '11', credentialDigest: 'c', registeredAt: at }
  const write = (tx: LabTransaction) => {
    tx.put('registrations', 'laptop', registered)
    tx.put('issued', 'aa', issuedTo(admin, 'laptop', 'aa'))
    tx.put('revocations', 'aa', { serialNumber: 'aa', issuer: 'i', at, reason: 'unspecified' })
  }
  const rolledBack = store.transaction((tx) => {
    write(tx)
    throw new Error('rolled back')
  })
  await t.rejects(rolledBack, { message: 'rolled back' })
  t.strictSame(await seen(admin), nothing, 'rolled back')

  await store.transaction(write)
  t.strictSame(await seen(admin), { devices: 1, revoked: 1, serials: ['aa revoked'] }, 'committed')
  await store.transaction((tx) => tx.remove('revocations', 'aa'))
  t.strictSame(await seen(admin), { devices: 1, revoked: 0, serials: ['aa none'] }, 'a hold that was lifted')
  await store.transaction((tx) => tx.put('issued', 'bb', issuedTo(admin, 'phone', 'bb')))
  await lab.revoke('bb')
  const all = { devices: 1, revoked: 1, serials: ['aa none', 'bb revoked'] }
  t.strictSame(await seen(admin), all, 'revoked by the lab')
  t.strictSame(await seen(await startAdmin({}, disk)), all, 'a store that is opened again')
})

t.test('a lab with an admin’s side monitors what goes through the lab', async (t) => {
  const store = memoryLabStore()
  const policies = adminPolicies(store)
  const { lab } = await startLab({ store, policyFor: policies.policyFor, admin: { token: adminToken, policies } })
  await register(lab, 'laptop')
  const headers = { authorization: `Bearer ${adminToken}` }
  const summary = await lab.handle({ method: 'GET', url: '/v1.0/deviceManagement/certificateSummary', headers })
  t.match(jsonOf(summary), { devices: 1 })
})
