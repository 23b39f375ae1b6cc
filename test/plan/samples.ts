import type {
  DevicePolicy,
  DeviceState,
  EnrollmentAttempt,
  Failure,
  IdentityFacts,
  LifecycleRules,
  PfxProfile,
  PfxSpec,
  Principal,
  RequestSpec,
  ScepProfile,
  TrustedRootProfile,
} from '@certfleet/agent-core'

export const day = 86_400_000
export const key = 'device/wifi'
export const request: RequestSpec = {
  subject: 'CN=dev',
  subjectAltNames: [{ type: 'dns', value: 'dev.example' }],
  keySpec: { algorithm: 'rsa', bits: 2048 },
  keyStorage: 'useSoftwareKsp',
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
  validity: { value: 100, scale: 'days' },
  rootFingerprint: 'r1',
}
export const profile: ScepProfile = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  assignedTo: ['device'],
  scepUrls: ['http://lab.example/scep'],
  rootProfileId: 'root',
  request,
  renewalThresholdPercent: 20,
  digest: 'd1',
}
export const root: TrustedRootProfile = {
  id: 'root',
  displayName: 'Root',
  certificate: new Uint8Array(),
  fingerprint: 'r1',
  destinationStore: 'computer-root',
  assignedTo: ['device'],
}
export const policy: DevicePolicy = { revision: 7, trustedRoots: [root], scepProfiles: [profile], pfxProfiles: [], failedProfiles: [] }
export const delivery: PfxSpec = {
  kind: 'pkcs',
  certificateRevision: 'v1',
  keyStorage: 'useSoftwareKsp',
  exportable: false,
  rootFingerprint: 'r1',
}
export const pfx: PfxProfile = {
  id: 'wifi',
  displayName: 'Mail',
  principal: 'device',
  assignedTo: ['device'],
  rootProfileId: 'root',
  request: delivery,
  renewalThresholdPercent: 20,
  digest: 'd1',
}
export const pfxPolicy: DevicePolicy = { ...policy, scepProfiles: [], pfxProfiles: [pfx] }
export const delivering = (change: Partial<PfxSpec>): DevicePolicy => ({
  ...pfxPolicy,
  pfxProfiles: [{ ...pfx, request: { ...delivery, ...change } }],
})
export const healthy: IdentityFacts = {
  profileId: 'wifi',
  principal: 'device',
  keyLabel: 'k0',
  keyUsable: true,
  requested: request,
  notBefore: 0,
  notAfter: 100 * day,
  renewalJitterMs: 0,
}
export const empty: DeviceState = {
  roots: [{ store: 'computer-root', fingerprint: 'r1' }],
  identities: new Map(),
  pending: new Map(),
  attempts: new Map(),
  failures: new Map(),
  keyLabels: new Set(),
  keyStorage: [],
  locked: false,
}
export const placement = { protection: 'software', provider: 'software KSP', reason: 'software-ready' } as const
export const attempt: EnrollmentAttempt = { id: 'a1', keyLabel: 'k1', placement, requested: request }
export const failure: Failure = { code: 'ERR_NETWORK', retry: 'backoff', count: 1, lastAt: 0, retryAt: 60_000, revision: 7, digest: 'd1' }

export const having = (facts: Partial<IdentityFacts>, state: Partial<DeviceState> = {}): DeviceState => ({
  ...empty,
  identities: new Map([[key, { ...healthy, ...facts }]]),
  keyLabels: new Set(['k0']),
  ...state,
})
export const asking = (change: Partial<RequestSpec>): DevicePolicy => ({
  ...policy,
  scepProfiles: [{ ...profile, request: { ...request, ...change } }],
})
export const pending = (pollAt: number): Partial<DeviceState> => ({
  attempts: new Map([[key, attempt]]),
  pending: new Map([[key, { transactionId: 'T', pollAt, pollsLeft: 3 }]]),
  keyLabels: new Set(['k1']),
})
export const failed = (change: Partial<Failure>): DeviceState => ({ ...empty, failures: new Map([[key, { ...failure, ...change }]]) })
export const assigned = (scep: Principal[], trusted: Principal[]): DevicePolicy => ({
  ...policy,
  trustedRoots: [{ ...root, assignedTo: trusted }],
  scepProfiles: [{ ...profile, assignedTo: scep }],
})

const all = ['trusted-root', 'scep', 'pkcs', 'imported'] as const

/** An OS that renews by itself, and that everything goes from at once. */
export const simple: LifecycleRules = {
  renewal: { begunBy: 'device', onlyUnlocked: false, afterExpiry: 'enroll' },
  removal: {
    unassigned: { removed: all, revoked: ['scep'] },
    retired: { removed: all, revoked: ['scep'] },
    wiped: { removed: all, revoked: ['scep'] },
    unenrolled: { removed: all, revoked: ['scep'] },
    unlicensed: { removed: [], revoked: [] },
  },
}
