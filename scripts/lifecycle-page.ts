import {
  backoffBounds,
  type DevicePolicy,
  type DeviceState,
  type LifecycleRules,
  type ManagedKind,
  memoryIdentities,
  memoryStores,
  planActions,
  type RequestSpec,
  type ScepProfile,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { habitsOf, type LifecycleEvent, type PlatformName, platformAdapter, removalOf } from '@certfleet/platforms'
import { table, withParts } from './page-parts.ts'

/** What the platforms' rows and the planner decide. */
export function lifecyclePage(): string {
  return withParts('docs/lifecycle.md', {
    renewal: renewalTable(),
    edits: editsTable(),
    removal: removalTable(),
    backoff: backoffTable(),
  })
}

const platforms = [
  ['windows', 'Windows', '11'],
  ['ios', 'iOS', '17'],
  ['macos', 'macOS', '14'],
  ['android', 'Android', '14'],
] as const satisfies readonly (readonly [PlatformName, string, string])[]

function lifecycleOf(platform: PlatformName, osVersion: string): LifecycleRules {
  const [certificateStores, identities] = [memoryStores(), memoryIdentities()]
  const transport = { send: () => Promise.reject(new Error('a page asks nobody')) }
  const devices = { keyStorageProviders: [], certificateStores, identities, transport, clock: systemClock, jitter: systemJitter }
  return platformAdapter(platform, { osVersion, ...devices }).lifecycle
}

function renewalTable(): string {
  const rows = platforms.map(([platform, title, osVersion]) => {
    const { begunBy, onlyUnlocked, afterExpiry } = lifecycleOf(platform, osVersion).renewal
    return [
      title,
      begunBy === 'device' ? 'at the threshold, by a timer' : 'at the first check-in from the threshold on',
      onlyUnlocked ? 'waits until it is unlocked' : 'makes no difference',
      `\`${habitsOf(platform, osVersion, '').renewal}\``,
      afterExpiry === 'enroll' ? 'enrols anew' : 'stuck: `ERR_RENEWAL_MISSED`',
    ]
  })
  return table(['OS', 'Renews', 'Locked', 'Message', 'Expired before that'], rows)
}

const request: RequestSpec = {
  subject: 'CN=device',
  subjectAltNames: [],
  keySpec: { algorithm: 'rsa', bits: 2048 },
  keyStorage: 'useSoftwareKsp',
  keyUsages: ['digitalSignature'],
  extendedKeyUsages: [],
  validity: { value: 1, scale: 'years' },
  rootFingerprint: 'old',
}

const edits: readonly (readonly [name: string, request: Partial<RequestSpec>, profile: Partial<ScepProfile>])[] = [
  ['key storage provider', { keyStorage: 'useTpmKspOtherwiseFail' }, {}],
  ['key size', { keySpec: { algorithm: 'rsa', bits: 4096 } }, {}],
  ['subject', { subject: 'CN=other' }, {}],
  ['subject alternative names', { subjectAltNames: [{ type: 'dns', value: 'other' }] }, {}],
  ['key usage', { keyUsages: ['keyEncipherment'] }, {}],
  ['extended key usage', { extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'] }, {}],
  ['validity period', { validity: { value: 2, scale: 'years' } }, {}],
  ['root certificate', { rootFingerprint: 'new' }, {}],
  ['name', {}, { displayName: 'other' }],
  ['renewal threshold', {}, { renewalThresholdPercent: 30 }],
  ['SCEP server URLs', {}, { scepUrls: ['https://other.example'] }],
  ['hash algorithm', {}, { hash: 'sha512' }],
  ['multi-factor authentication', {}, { multiFactor: true }],
]

function editsTable(): string {
  const lifecycle = lifecycleOf('windows', '11')
  const rows = edits.map(([name, change, own]) => {
    const [action] = planActions(policyOf(change, own), installed(), 0, lifecycle).actions
    return [name, action ? `new key and certificate, \`${action.reason}\`` : 'nothing']
  })
  return table(['Edit of', 'Leads to'], rows)
}

function policyOf(change: Partial<RequestSpec>, own: Partial<ScepProfile>): DevicePolicy {
  const common = { displayName: '', assignedTo: ['device'] } as const
  const rest = { id: 'p', principal: 'device', scepUrls: [], rootProfileId: 'r', renewalThresholdPercent: 20 } as const
  const profile: ScepProfile = { ...common, ...rest, ...own, request: { ...request, ...change } }
  const root = { ...common, id: 'r', certificate: new Uint8Array(), fingerprint: 'old', destinationStore: 'computer-root' } as const
  return { revision: 1, trustedRoots: [root], scepProfiles: [profile], pfxProfiles: [], failedProfiles: [] }
}

function installed(): DeviceState {
  const identity = { profileId: 'p', principal: 'device', keyLabel: 'k', keyUsable: true, requested: request } as const
  const none = { attempts: new Map(), pending: new Map(), failures: new Map(), keyStorage: [], locked: false }
  const identities = new Map([['device/p', { ...identity, notBefore: 0, notAfter: 1000, renewalJitterMs: 0 }]] as const)
  return { ...none, identities, roots: [{ store: 'computer-root', fingerprint: 'old' }], keyLabels: new Set(['k']) }
}

const events: readonly (readonly [LifecycleEvent, string])[] = [
  ['unenrolled', 'user unenrols'],
  ['wiped', 'wipe'],
  ['retired', 'retire'],
  ['unassigned', 'profile unassigned'],
  ['edited', 'profile edited'],
  ['unlicensed', 'licence lost, user or group deleted'],
]

const kinds: readonly (readonly [ManagedKind, string])[] = [
  ['scep', 'SCEP'],
  ['pkcs', 'PKCS'],
  ['imported', 'imported PFX'],
  ['trusted-root', 'trusted root'],
]

function removalTable(): string {
  const rows = kinds.flatMap(([kind, kindTitle]) =>
    events.map(([event, eventTitle]) => [
      kindTitle,
      eventTitle,
      ...platforms.map(([platform, , osVersion]) => {
        const { device, ca } = removalOf(kind, event, platform, osVersion)
        return ca === 'revoked' ? `${device}, revoked` : device
      }),
    ]),
  )
  return table(['Certificate', 'Event', ...platforms.map(([, title]) => title)], rows)
}

function backoffTable(): string {
  const rows = Array.from({ length: 11 }, (_, i) => {
    const { minMs, maxMs } = backoffBounds(i + 1)
    return [
      i === 10 ? '11 and more' : String(i + 1),
      `${minMs / 1000} s`,
      maxMs < 3_600_000 ? `${maxMs / 60_000} min` : `${(maxMs / 3_600_000).toFixed(1)} h`,
    ]
  })
  return table(['Failures in a row', 'Waits at least', 'At most'], rows)
}
