import {
  type CertificateSpec,
  type DevicePolicy,
  type DeviceState,
  type LifecycleRules,
  memoryIdentities,
  memoryStores,
  planActions,
  type RemovalEvent,
} from '@certfleet/agent-core'
import { type PlatformName, platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { bindings } from '../platforms/device.ts'
import { asking, attempt, day, delivery, empty, failed, having, key, pending, policy, profile, request, root, simple } from './samples.ts'

const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const
const lifecycleOf = (platform: PlatformName, osVersion: string = osVersions[platform]): LifecycleRules =>
  platformAdapter(platform, bindings({ osVersion, certificateStores: memoryStores(), identities: memoryIdentities() })).lifecycle

const plan = (policy: DevicePolicy, state: DeviceState, now: number, lifecycle: LifecycleRules) => {
  const { actions } = planActions(policy, state, now, lifecycle)
  return actions.map(({ kind, reason }) => `${kind} ${reason}`)
}

/** As `adapt` leaves it, and as an unassigned profile does. */
const nothing = (lifecycle?: DevicePolicy['lifecycle']): DevicePolicy => ({
  revision: 8,
  trustedRoots: [],
  scepProfiles: [],
  pfxProfiles: [],
  failedProfiles: [],
  ...(lifecycle && { lifecycle }),
})

const unlocked = having({})
const locked = having({}, { locked: true })
const failing = having({}, { failures: failed({ lastAt: 80 * day, retryAt: 80 * day + 60_000 }).failures })
const begun: Partial<DeviceState> = { attempts: new Map([[key, attempt]]), keyLabels: new Set(['k0', 'k1']) }

const renewals: [platform: PlatformName, name: string, DevicePolicy, DeviceState, now: number, expected: string[]][] = [
  ...(['android', 'windows'] as const).flatMap((platform): typeof renewals => [
    [platform, 'before the threshold', policy, unlocked, 80 * day - 1, []],
    [platform, 'at the threshold', policy, unlocked, 80 * day, ['renew RenewalDue']],
    [platform, 'at the threshold, locked', policy, locked, 80 * day, ['renew RenewalDue']],
    [platform, 'expired', policy, unlocked, 100 * day, ['enroll Expired']],
    [platform, 'expired, with an attempt under way', policy, having({}, begun), 100 * day, ['enroll Expired']],
  ]),
  ...(['ios', 'macos'] as const).flatMap((platform): typeof renewals => [
    [platform, 'before the threshold', policy, unlocked, 80 * day - 1, []],
    [platform, 'at the threshold', policy, unlocked, 80 * day, ['renew RenewalDue']],
    [platform, 'at the threshold, failed before', policy, failing, 80 * day + 59_999, []],
    [platform, 'at the threshold, failed before, tried again', policy, failing, 80 * day + 60_000, ['renew RenewalDue']],
    [platform, 'at the threshold, locked', policy, locked, 80 * day, []],
    [platform, 'the last millisecond, locked', policy, locked, 100 * day - 1, []],
    [platform, 'the last millisecond, unlocked', policy, unlocked, 100 * day - 1, ['renew RenewalDue']],
    [platform, 'expired: stuck', policy, unlocked, 100 * day, ['fail RenewalMissed']],
    [platform, 'expired and locked: stuck', policy, locked, 100 * day, ['fail RenewalMissed']],
    [platform, 'expired long ago: still stuck', policy, unlocked, 1000 * day, ['fail RenewalMissed']],
    [
      platform,
      'expired with an attempt under way',
      policy,
      having({}, begun),
      100 * day,
      ['end-attempt RenewalMissed', 'fail RenewalMissed'],
    ],
    [
      platform,
      'expired while the CA thinks about the next',
      policy,
      having({}, { ...begun, pending: pending(0).pending ?? new Map() }),
      100 * day,
      ['poll PollDue'],
    ],
    [platform, 'expired, and only the policy elsewhere changed', { ...policy, revision: 9 }, unlocked, 100 * day, ['fail RenewalMissed']],
    [platform, 'expired, and the profile changed', asking({ subject: 'CN=other' }), unlocked, 100 * day, ['enroll SubjectChanged']],
    [
      platform,
      'expired, and the profile unassigned',
      { ...policy, scepProfiles: [] },
      unlocked,
      100 * day,
      ['remove-identity ProfileRemoved'],
    ],
    [platform, 'expired, unassigned, assigned again', policy, empty, 101 * day, ['enroll IdentityMissing']],
    [
      platform,
      'expired, and the user deleted it',
      policy,
      { ...empty, keyLabels: new Set(['k0']) },
      100 * day,
      ['enroll IdentityMissing', 'destroy-key KeyUnreferenced'],
    ],
  ]),
]

for (const [platform, name, wanted, state, now, expected] of renewals) {
  t.test(`renewal on ${platform}: ${name}`, async (t) => t.same(plan(wanted, state, now, lifecycleOf(platform)), expected))
}

t.test('a device that the service wakes for renewal sets no timer for it; its other waits it does set', async (t) => {
  for (const [platform, wakeAt] of [
    ['ios', undefined],
    ['macos', undefined],
    ['android', 80 * day],
    ['windows', 80 * day],
  ] as const) {
    const lifecycle = lifecycleOf(platform)
    t.equal(planActions(policy, unlocked, 0, lifecycle).wakeAt, wakeAt, platform)
    t.equal(planActions(policy, failing, 80 * day, lifecycle).wakeAt, 80 * day + 60_000, `${platform}: backoff`)
    t.equal(planActions(policy, { ...empty, ...pending(500) }, 0, lifecycle).wakeAt, 500, `${platform}: poll`)
  }
})

t.test('silence is explained, and a missed renewal tells the admin what to do', async (t) => {
  const { held } = planActions(policy, locked, 80 * day, lifecycleOf('ios'))
  t.match(held, [{ key, why: { code: 'ERR_DEVICE_LOCKED', message: /unlock it before/ } }])
  const { actions } = planActions(policy, unlocked, 100 * day, lifecycleOf('ios'))
  t.match(actions, [{ kind: 'fail', code: 'ERR_RENEWAL_MISSED', message: /take the profile from the device and assign it again/ }])
})

const edits: [name: string, DevicePolicy, expected: string[]][] = [
  ['key storage', asking({ keyStorage: 'useTpmKspOtherwiseFail' }), ['enroll KeyStorageChanged']],
  ['subject', asking({ subject: 'CN=other' }), ['enroll SubjectChanged']],
  ['SAN', asking({ subjectAltNames: [{ type: 'dns', value: 'other.example' }] }), ['enroll SubjectAltNamesChanged']],
  ['validity', asking({ validity: { value: 99, scale: 'days' } }), ['enroll ValidityChanged']],
  ['key usage', asking({ keyUsages: ['digitalSignature', 'keyEncipherment'] }), ['enroll KeyUsageChanged']],
  ['key size', asking({ keySpec: { algorithm: 'rsa', bits: 4096 } }), ['enroll KeySpecChanged']],
  ['EKU', asking({ extendedKeyUsages: ['1.3.6.1.5.5.7.3.4'] }), ['enroll EkuChanged']],
  [
    'root',
    { ...asking({ rootFingerprint: 'r2' }), trustedRoots: [{ ...root, fingerprint: 'r2' }] },
    ['install-root RootMissing', 'enroll RootChanged'],
  ],
  ['display name', { ...policy, scepProfiles: [{ ...profile, displayName: 'WLAN' }] }, []],
  ['renewal threshold', { ...policy, scepProfiles: [{ ...profile, renewalThresholdPercent: 99 }] }, []],
  ['SCEP URLs', { ...policy, scepProfiles: [{ ...profile, scepUrls: ['https://other.example/scep'] }] }, []],
  ['hash', { ...policy, scepProfiles: [{ ...profile, hash: 'sha512' }] }, []],
  ['multi-factor', { ...policy, scepProfiles: [{ ...profile, multiFactor: true }] }, []],
  ['assignment, the principal the same', { ...policy, scepProfiles: [{ ...profile, assignedTo: ['device', 'user'] }] }, []],
  ['name of the trusted root', { ...policy, trustedRoots: [{ ...root, displayName: 'Other' }] }, []],
]

for (const [name, wanted, expected] of edits) {
  t.test(`profile.edits: edit of ${name} ${expected.length > 0 ? 'forces' : 'forces no'} new request`, async (t) => {
    t.same(plan(wanted, unlocked, 0, simple), expected)
  })
}

type Kind = 'scep' | 'pkcs' | 'imported'
const requestOf: Record<Kind, CertificateSpec> = { scep: request, pkcs: delivery, imported: { ...delivery, kind: 'imported' } }
const reasonOf: Record<RemovalEvent, string> = {
  unassigned: 'ProfileRemoved',
  retired: 'DeviceRetired',
  wiped: 'DeviceWiped',
  unenrolled: 'DeviceUnenrolled',
  unlicensed: 'LicenseLost',
}

/** R: taken from the device. S: stays. V: stays, revoked. The columns are those of platform-behaviours 2.5. */
const removals: [Kind | 'root', RemovalEvent, windows: string, ios: string, macos: string, android: string][] = [
  ['scep', 'unenrolled', 'R', 'R', 'R', 'R'],
  ['scep', 'wiped', 'R', 'R', 'S', 'R'],
  ['scep', 'retired', 'R', 'R', 'R', 'V'],
  ['scep', 'unassigned', 'R', 'R', 'R', 'V'],
  ['scep', 'unlicensed', 'S', 'S', 'S', 'S'],
  ['pkcs', 'unenrolled', 'R', 'R', 'R', 'R'],
  ['pkcs', 'wiped', 'R', 'R', 'S', 'R'],
  ['pkcs', 'retired', 'R', 'R', 'R', 'R'],
  ['pkcs', 'unassigned', 'R', 'R', 'S', 'S'],
  ['pkcs', 'unlicensed', 'S', 'S', 'S', 'S'],
  ['imported', 'unenrolled', 'R', 'R', 'R', 'R'],
  ['imported', 'wiped', 'R', 'R', 'S', 'R'],
  ['imported', 'retired', 'R', 'R', 'R', 'R'],
  ['imported', 'unassigned', 'R', 'R', 'S', 'S'],
  ['imported', 'unlicensed', 'S', 'S', 'S', 'S'],
  ['root', 'unenrolled', 'R', 'R', 'R', 'R'],
  ['root', 'wiped', 'R', 'R', 'S', 'R'],
  ['root', 'retired', 'R', 'R', 'R', 'R'],
  ['root', 'unassigned', 'R', 'R', 'R', 'R'],
  ['root', 'unlicensed', 'S', 'S', 'S', 'S'],
]

for (const [kind, event, ...letters] of removals) {
  for (const [i, platform] of (['windows', 'ios', 'macos', 'android'] as const).entries()) {
    const reason = reasonOf[event]
    const gone = nothing(event === 'unassigned' ? undefined : event)
    t.test(`${platform}: ${kind} ${event}`, async (t) => {
      const isRoot = kind === 'root'
      const state = isRoot ? empty : having({ requested: requestOf[kind] }, { roots: [] })
      const expected: Record<string, string[]> = {
        R: [isRoot ? 'remove-root RootNoLongerTrusted' : `remove-identity ${reason}`],
        S: [],
        V: [`release-identity ${reason}`],
      }
      const lifecycle = lifecycleOf(platform)
      t.same(plan(gone, state, 50 * day, lifecycle), expected[letters[i] ?? ''])
      if (isRoot || letters[i] === 'R') return
      const after = letters[i] === 'V' ? having({ requested: requestOf[kind], releasedBy: event }, { roots: [] }) : state
      for (const now of [50 * day, 80 * day, 100 * day]) t.same(plan(gone, after, now, lifecycle), [], 'it stays, and is not renewed')
      const later = planActions(gone, after, 100 * day, lifecycle)
      t.same(later.kept, [{ key, reason }], 'and is told')
      t.equal(later.wakeAt, undefined)
    })
  }
}

const afterwards: [name: string, DevicePolicy, DeviceState, LifecycleRules, expected: string[]][] = [
  [
    'revoked, stayed, and assigned again',
    policy,
    having({ releasedBy: 'unassigned' }),
    lifecycleOf('android'),
    ['enroll ProfileReassigned'],
  ],
  ['stayed good, and assigned again', policy, unlocked, lifecycleOf('macos'), []],
  [
    'stayed when retired, wiped later',
    nothing('wiped'),
    having({ releasedBy: 'retired' }, { roots: [] }),
    lifecycleOf('android'),
    ['remove-identity DeviceWiped'],
  ],
  [
    'removed: its key is nobody’s',
    nothing('retired'),
    { ...empty, roots: [], keyLabels: new Set(['k0']) },
    lifecycleOf('windows'),
    ['destroy-key KeyUnreferenced'],
  ],
  [
    'attempt on record',
    nothing('unenrolled'),
    { ...empty, roots: [], ...begun, keyLabels: new Set(['k1']) },
    lifecycleOf('windows'),
    ['end-attempt DeviceUnenrolled'],
  ],
  ['PENDING', { ...policy, scepProfiles: [] }, { ...empty, ...pending(0) }, lifecycleOf('ios'), ['end-attempt ProfileRemoved']],
  [
    'PENDING renewal of what stays',
    { ...policy, scepProfiles: [] },
    having({}, { ...pending(0), keyLabels: new Set(['k0', 'k1']) }),
    lifecycleOf('android'),
    ['end-attempt ProfileRemoved', 'release-identity ProfileRemoved'],
  ],
  [
    'a failure of what is gone is forgotten',
    { ...policy, scepProfiles: [] },
    failed({ retry: 'never' }),
    simple,
    ['end-attempt ProfileRemoved'],
  ],
]

for (const [name, wanted, state, lifecycle, expected] of afterwards) {
  t.test(name, async (t) => t.same(plan(wanted, state, 10, lifecycle), expected))
}
