import type {
  DevicePolicy,
  DeviceState,
  EnrollmentAttempt,
  Failure,
  IdentityFacts,
  PfxProfile,
  PfxSpec,
  Principal,
  RequestSpec,
  ScepProfile,
  TrustedRootProfile,
} from '@certfleet/agent-core'
import { planActions } from '@certfleet/agent-core'
import t from 'tap'

const day = 86_400_000
const key = 'device/wifi'
const request: RequestSpec = {
  subject: 'CN=dev',
  subjectAltNames: [{ type: 'dns', value: 'dev.example' }],
  keySpec: { algorithm: 'rsa', bits: 2048 },
  keyStorage: 'useSoftwareKsp',
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
  validity: { value: 100, scale: 'days' },
  rootFingerprint: 'r1',
}
const profile: ScepProfile = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  assignedTo: ['device'],
  scepUrls: ['http://lab.example/scep'],
  rootProfileId: 'root',
  request,
  renewalThresholdPercent: 20,
}
const root: TrustedRootProfile = {
  id: 'root',
  displayName: 'Root',
  certificate: new Uint8Array(),
  fingerprint: 'r1',
  destinationStore: 'computer-root',
  assignedTo: ['device'],
}
const policy: DevicePolicy = { revision: 7, trustedRoots: [root], scepProfiles: [profile], pfxProfiles: [], failedProfiles: [] }
const delivery: PfxSpec = {
  kind: 'pkcs',
  certificateRevision: 'v1',
  keyStorage: 'useSoftwareKsp',
  exportable: false,
  rootFingerprint: 'r1',
}
const pfx: PfxProfile = {
  id: 'wifi',
  displayName: 'Mail',
  principal: 'device',
  assignedTo: ['device'],
  rootProfileId: 'root',
  request: delivery,
  renewalThresholdPercent: 20,
}
const pfxPolicy: DevicePolicy = { ...policy, scepProfiles: [], pfxProfiles: [pfx] }
const delivering = (change: Partial<PfxSpec>): DevicePolicy => ({
  ...pfxPolicy,
  pfxProfiles: [{ ...pfx, request: { ...delivery, ...change } }],
})
const healthy: IdentityFacts = {
  profileId: 'wifi',
  principal: 'device',
  keyLabel: 'k0',
  keyUsable: true,
  requested: request,
  notBefore: 0,
  notAfter: 100 * day,
  renewalJitterMs: 0,
}
const empty: DeviceState = {
  roots: [{ store: 'computer-root', fingerprint: 'r1' }],
  identities: new Map(),
  pending: new Map(),
  attempts: new Map(),
  failures: new Map(),
  keyLabels: new Set(),
  keyStorage: [],
  locked: false,
}
const placement = { protection: 'software', provider: 'software KSP', reason: 'software-ready' } as const
const attempt: EnrollmentAttempt = { id: 'a1', keyLabel: 'k1', placement, requested: request }
const failure: Failure = { code: 'ERR_NETWORK', retry: 'backoff', count: 1, lastAt: 0, retryAt: 60_000, revision: 7 }

const having = (facts: Partial<IdentityFacts>, state: Partial<DeviceState> = {}): DeviceState => ({
  ...empty,
  identities: new Map([[key, { ...healthy, ...facts }]]),
  keyLabels: new Set(['k0']),
  ...state,
})
const asking = (change: Partial<RequestSpec>): DevicePolicy => ({
  ...policy,
  scepProfiles: [{ ...profile, request: { ...request, ...change } }],
})
const pending = (pollAt: number): Partial<DeviceState> => ({
  attempts: new Map([[key, attempt]]),
  pending: new Map([[key, { transactionId: 'T', pollAt, pollsLeft: 3 }]]),
  keyLabels: new Set(['k1']),
})
const failed = (change: Partial<Failure>): DeviceState => ({ ...empty, failures: new Map([[key, { ...failure, ...change }]]) })
const assigned = (scep: Principal[], trusted: Principal[]): DevicePolicy => ({
  ...policy,
  trustedRoots: [{ ...root, assignedTo: trusted }],
  scepProfiles: [{ ...profile, assignedTo: scep }],
})

const rows: [name: string, policy: DevicePolicy, state: DeviceState, now: number, expected: string[]][] = [
  ['nothing installed', policy, { ...empty, roots: [] }, 0, ['install-root RootMissing', 'enroll IdentityMissing']],
  [
    'root in another store',
    policy,
    { ...empty, roots: [{ store: 'user-intermediate', fingerprint: 'r1' }] },
    0,
    ['install-root RootMissing', 'enroll IdentityMissing', 'remove-root RootNoLongerTrusted'],
  ],
  ['root installed', policy, empty, 0, ['enroll IdentityMissing']],
  ['healthy', policy, having({}), 50 * day, []],
  ['one millisecond before the threshold', policy, having({}), 80 * day - 1, []],
  ['on the threshold', policy, having({}), 80 * day, ['renew RenewalDue']],
  ['one millisecond before the jittered threshold', policy, having({ renewalJitterMs: day }), 81 * day - 1, []],
  ['on the jittered threshold', policy, having({ renewalJitterMs: day }), 81 * day, ['renew RenewalDue']],
  ['jitter never reaches past expiry', policy, having({ renewalJitterMs: 90 * day }), 100 * day - 1, []],
  ['the last millisecond', policy, having({}), 100 * day - 1, ['renew RenewalDue']],
  ['expired', policy, having({}), 100 * day, ['enroll Expired']],
  [
    'the CA gave half of what was asked: the threshold is on what it gave',
    policy,
    having({ notAfter: 50 * day }),
    40 * day,
    ['renew RenewalDue'],
  ],
  ['key vanished', policy, having({ keyUsable: false }), 0, ['enroll PrivateKeyUnusable']],
  ['key vanished and expired', policy, having({ keyUsable: false }), 100 * day, ['enroll PrivateKeyUnusable']],
  ['key storage edited', asking({ keyStorage: 'useTpmKspOtherwiseFail' }), having({}), 0, ['enroll KeyStorageChanged']],
  ['key size edited', asking({ keySpec: { algorithm: 'rsa', bits: 4096 } }), having({}), 0, ['enroll KeySpecChanged']],
  ['subject edited', asking({ subject: 'CN=other' }), having({}), 0, ['enroll SubjectChanged']],
  ['SAN edited', asking({ subjectAltNames: [] }), having({}), 0, ['enroll SubjectAltNamesChanged']],
  ['key usage edited', asking({ keyUsages: ['keyEncipherment'] }), having({}), 0, ['enroll KeyUsageChanged']],
  ['EKU edited', asking({ extendedKeyUsages: [] }), having({}), 0, ['enroll EkuChanged']],
  ['validity edited', asking({ validity: { value: 1, scale: 'years' } }), having({}), 0, ['enroll ValidityChanged']],
  ['PFX: nothing installed', pfxPolicy, empty, 0, ['import IdentityMissing']],
  ['PFX: healthy', pfxPolicy, having({ requested: delivery }), 50 * day, []],
  ['PFX: one millisecond before the threshold', pfxPolicy, having({ requested: delivery }), 80 * day - 1, []],
  ['PFX: on the threshold', pfxPolicy, having({ requested: delivery }), 80 * day, ['import RenewalDue']],
  ['PFX: expired', pfxPolicy, having({ requested: delivery }), 100 * day, ['import Expired']],
  ['PFX: key vanished', pfxPolicy, having({ requested: delivery, keyUsable: false }), 0, ['import PrivateKeyUnusable']],
  [
    'PFX: another certificate',
    delivering({ certificateRevision: 'v2' }),
    having({ requested: delivery }),
    0,
    ['import CertificateChanged'],
  ],
  ['PFX: another kind', delivering({ kind: 'imported' }), having({ requested: delivery }), 0, ['import RequestChanged']],
  [
    'PFX: key storage edited',
    delivering({ keyStorage: 'useTpmKspOtherwiseFail' }),
    having({ requested: delivery }),
    0,
    ['import KeyStorageChanged'],
  ],
  ['PFX: exportable edited', delivering({ exportable: true }), having({ requested: delivery }), 0, ['import KeyExportChanged']],
  ['PFX: root edited', delivering({ rootFingerprint: 'r2' }), having({ requested: delivery }), 0, ['import RootChanged']],
  ['PFX in place of SCEP', pfxPolicy, having({}), 0, ['import RequestChanged']],
  ['SCEP in place of PFX', policy, having({ requested: delivery }), 0, ['enroll RequestChanged']],
  [
    'PFX: an attempt for the SCEP profile before it',
    pfxPolicy,
    { ...empty, ...pending(10) },
    10,
    ['end-attempt RequestChanged', 'import IdentityMissing'],
  ],
  ['PFX: failed before, held', pfxPolicy, failed({}), 59_999, []],
  ['PFX: failed before, due', pfxPolicy, failed({}), 60_000, ['import IdentityMissing']],
  ['PFX: root not deployed', { ...pfxPolicy, trustedRoots: [] }, { ...empty, roots: [] }, 0, ['fail RootNotDeployed']],
  ['threshold edited: no new request', { ...policy, scepProfiles: [{ ...profile, renewalThresholdPercent: 30 }] }, having({}), 0, []],
  [
    'threshold edited: due earlier',
    { ...policy, scepProfiles: [{ ...profile, renewalThresholdPercent: 30 }] },
    having({}),
    70 * day,
    ['renew RenewalDue'],
  ],
  ['pending, too early', policy, { ...empty, ...pending(10) }, 9, []],
  ['pending, due', policy, { ...empty, ...pending(10) }, 10, ['poll PollDue']],
  ['pending renewal, due', policy, having({}, { ...pending(10), keyLabels: new Set(['k0', 'k1']) }), 10, ['poll PollDue']],
  [
    'pending for another request',
    asking({ subject: 'CN=other' }),
    { ...empty, ...pending(10) },
    10,
    ['end-attempt RequestChanged', 'enroll IdentityMissing'],
  ],
  [
    'attempt unfinished: its key stays',
    policy,
    { ...empty, attempts: new Map([[key, attempt]]), keyLabels: new Set(['k1']) },
    0,
    ['enroll IdentityMissing'],
  ],
  [
    'attempt completed',
    policy,
    having({ keyLabel: 'k1' }, { attempts: new Map([[key, attempt]]), keyLabels: new Set(['k1']) }),
    0,
    ['end-attempt AttemptCompleted'],
  ],
  ['attempt completed while a poll was due', policy, having({ keyLabel: 'k1' }, pending(0)), 10, ['end-attempt AttemptCompleted']],
  ['key of nobody', policy, having({}, { keyLabels: new Set(['k0', 'k9']) }), 0, ['destroy-key KeyUnreferenced']],
  ['backoff, one millisecond before', policy, failed({}), 59_999, []],
  ['backoff, over', policy, failed({}), 60_000, ['enroll IdentityMissing']],
  ['backoff, but the policy changed', policy, failed({ revision: 6 }), 1, ['enroll IdentityMissing']],
  ['final refusal', policy, failed({ retry: 'on-new-policy' }), 365 * day, []],
  ['final refusal, new policy', policy, failed({ retry: 'on-new-policy', revision: 6 }), 1, ['enroll IdentityMissing']],
  ['cannot, ever', policy, failed({ retry: 'never' }), 365 * day, []],
  ['at once', policy, failed({ retry: 'now' }), 0, ['enroll IdentityMissing']],
  ['locked', policy, { ...failed({ retry: 'on-unlock' }), locked: true }, 365 * day, []],
  ['unlocked', policy, failed({ retry: 'on-unlock' }), 0, ['enroll IdentityMissing']],
  ['no trusted root (S11)', { ...policy, trustedRoots: [] }, { ...empty, roots: [] }, 0, ['fail RootNotDeployed']],
  ['SCEP user, root user', assigned(['user'], ['user']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP user, root device', assigned(['user'], ['device']), empty, 0, ['fail RootNotDeployed']],
  ['SCEP user, root both', assigned(['user'], ['user', 'device']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP device, root user', assigned(['device'], ['user']), empty, 0, ['fail RootNotDeployed']],
  ['SCEP device, root device', assigned(['device'], ['device']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP device, root both', assigned(['device'], ['user', 'device']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP both, root user', assigned(['user', 'device'], ['user']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP both, root device', assigned(['user', 'device'], ['device']), empty, 0, ['enroll IdentityMissing']],
  ['SCEP both, root both', assigned(['user', 'device'], ['user', 'device']), empty, 0, ['enroll IdentityMissing']],
  ['profile removed', { ...policy, scepProfiles: [] }, having({}), 0, ['remove-identity ProfileRemoved']],
  ['profile removed during enrolment', { ...policy, scepProfiles: [] }, { ...empty, ...pending(0) }, 10, ['end-attempt ProfileRemoved']],
  [
    'profile for the user beside the one for the device',
    { ...policy, scepProfiles: [profile, { ...profile, principal: 'user' }] },
    having({}),
    0,
    ['enroll IdentityMissing'],
  ],
  [
    'profile that cannot be delivered keeps its certificate',
    {
      ...policy,
      scepProfiles: [],
      failedProfiles: [{ id: 'wifi', displayName: 'Wi-Fi', principal: 'device', code: 'ERR_VARIABLE_UNRESOLVED', message: 'no {{IMEI}}' }],
    },
    having({}),
    0,
    ['fail ProfileFailed'],
  ],
  [
    'root replaced',
    { ...asking({ rootFingerprint: 'r2' }), trustedRoots: [{ ...root, fingerprint: 'r2' }] },
    having({}),
    0,
    ['install-root RootMissing', 'enroll RootChanged', 'remove-root RootNoLongerTrusted'],
  ],
]

t.test('what is planned', async (t) => {
  for (const [name, policy, state, now, expected] of rows) {
    const { actions } = planActions(policy, state, now)
    t.same(
      actions.map(({ kind, reason }) => `${kind} ${reason}`),
      expected,
      name,
    )
  }
})

const wakes: [name: string, state: DeviceState, now: number, expected: number | undefined][] = [
  ['healthy: at the threshold', having({}), 0, 80 * day],
  ['healthy with jitter', having({ renewalJitterMs: 5 }), 0, 80 * day + 5],
  ['pending: at its poll', { ...empty, ...pending(500) }, 0, 500],
  ['pending and due: now, not later', { ...empty, ...pending(500) }, 700, 500],
  ['backoff: when it is over', failed({}), 0, 60_000],
  ['pending but the last poll failed: when the backoff is over', { ...failed({}), ...pending(0) }, 10, 60_000],
  ['only a new policy helps: never by itself', failed({ retry: 'on-new-policy' }), 0, undefined],
]

t.test('when the plan next changes by itself', async (t) => {
  for (const [name, state, now, expected] of wakes) t.equal(planActions(policy, state, now).wakeAt, expected, name)
})

t.test('silence is explained', async (t) => {
  t.same(planActions(policy, failed({}), 0).held, [{ key, until: 60_000 }])
  t.same(planActions(policy, failed({ retry: 'on-new-policy' }), 0).held, [{ key }])
})

t.test('same arguments, same plan', async (t) => {
  const state = having({}, { keyLabels: new Set(['k0', 'k1']) })
  t.same(planActions(policy, state, 80 * day), planActions(policy, state, 80 * day))
})
