import type { DevicePolicy, DeviceState } from '@certfleet/agent-core'
import { planActions } from '@certfleet/agent-core'
import t from 'tap'
import {
  asking,
  assigned,
  attempt,
  day,
  delivering,
  delivery,
  empty,
  failed,
  having,
  key,
  pending,
  pfxPolicy,
  policy,
  profile,
  request,
  root,
  simple,
} from './samples.ts'

const replacing: DevicePolicy = { ...asking({ rootFingerprint: 'r2' }), trustedRoots: [{ ...root, fingerprint: 'r2' }] }

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
  ['pending, a day ahead', policy, { ...empty, ...pending(day) }, 0, []],
  ['pending, further ahead than a day: the clock was put back', policy, { ...empty, ...pending(day + 1) }, 0, ['poll PollDue']],
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
  ['backoff, and the clock was put back since', policy, failed({ lastAt: 10, retryAt: 60_010 }), 9, ['enroll IdentityMissing']],
  ['backoff, but the profile changed', policy, failed({ digest: 'd0', revision: 6 }), 1, ['enroll IdentityMissing']],
  ['backoff, and the policy changed elsewhere', policy, failed({ revision: 6 }), 59_999, []],
  ['final refusal', policy, failed({ retry: 'on-new-policy' }), 365 * day, []],
  ['final refusal, new policy', policy, failed({ retry: 'on-new-policy', revision: 6 }), 1, ['enroll IdentityMissing']],
  ['cannot, ever', policy, failed({ retry: 'never' }), 365 * day, []],
  ['cannot, but the policy changed', policy, failed({ retry: 'never', revision: 6 }), 1, ['enroll IdentityMissing']],
  ['at once', policy, failed({ retry: 'now' }), 0, ['enroll IdentityMissing']],
  ['locked', policy, { ...failed({ retry: 'on-unlock' }), locked: true }, 365 * day, []],
  ['unlocked', policy, failed({ retry: 'on-unlock' }), 0, ['enroll IdentityMissing']],
  [
    'locked, but the profile changed',
    policy,
    { ...failed({ retry: 'on-unlock', digest: 'd0' }), locked: true },
    0,
    ['enroll IdentityMissing'],
  ],
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
    'root replaced: the old one stays while the certificate under it does',
    replacing,
    having({}),
    0,
    ['install-root RootMissing', 'enroll RootChanged'],
  ],
  [
    'root replaced, and the certificate too',
    replacing,
    having(
      { requested: { ...request, rootFingerprint: 'r2' } },
      { roots: [...empty.roots, { store: 'computer-root', fingerprint: 'r2' }] },
    ),
    0,
    ['remove-root RootNoLongerTrusted'],
  ],
  [
    'root taken away without another: it goes at once',
    { ...asking({ rootFingerprint: '' }), trustedRoots: [] },
    having({}),
    0,
    ['fail RootNotDeployed', 'remove-root RootNoLongerTrusted'],
  ],
]

t.test('what is planned', async (t) => {
  for (const [name, policy, state, now, expected] of rows) {
    const { actions } = planActions(policy, state, now, simple)
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
  for (const [name, state, now, expected] of wakes) t.equal(planActions(policy, state, now, simple).wakeAt, expected, name)
})

t.test('silence is explained', async (t) => {
  t.same(planActions(policy, failed({}), 0, simple).held, [{ key, until: 60_000 }])
  t.same(planActions(policy, failed({ retry: 'on-new-policy' }), 0, simple).held, [{ key }])
})

t.test('same arguments, same plan', async (t) => {
  const state = having({}, { keyLabels: new Set(['k0', 'k1']) })
  t.same(planActions(policy, state, 80 * day, simple), planActions(policy, state, 80 * day, simple))
})
