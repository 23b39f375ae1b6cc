import type {
  Clock,
  HttpRequest,
  HttpResponse,
  Instant,
  Jitter,
  KeyProtection,
  KeyStorageProvider,
  PfxProfile,
  ScepProfile,
  StoreName,
  Transport,
  TrustedRootProfile,
} from '@certfleet/agent-core'
import { memoryIdentities, memoryStores } from '@certfleet/agent-core'
import type { PlatformBindings } from '@certfleet/platforms'

/** Stands still. */
export function clockAt(instant: Instant): Clock {
  return { now: () => instant, sleep: async () => {} }
}

/** Always the least. */
export const jitter: Jitter = { between: (minMs) => minMs }

/** Answers with `answer` and keeps what was sent. */
export function recordingTransport(answer: (request: HttpRequest) => HttpResponse): Transport & { readonly sent: HttpRequest[] } {
  const sent: HttpRequest[] = []
  return {
    sent,
    async send(request) {
      sent.push(request)
      return answer(request)
    },
  }
}

export function bindings(own: Partial<PlatformBindings> & Pick<PlatformBindings, 'osVersion'>): PlatformBindings {
  return {
    keyStorageProviders: [provider('software')],
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    transport: recordingTransport(() => ({ status: 404, headers: {}, body: new Uint8Array() })),
    clock: clockAt(Date.UTC(2026, 0, 15, 12)),
    jitter,
    ...own,
  }
}

/** Stands for what a device has; makes no keys. */
export function provider(protection: KeyProtection): KeyStorageProvider {
  return {
    protection,
    name: protection,
    readiness: async () => ({ state: 'ready' }),
    generate: async () => {
      throw new Error('no key is made in this test')
    },
    open: async () => undefined,
    list: async () => [],
    destroy: async () => {},
  }
}

export function scepProfile(own: { request?: Partial<ScepProfile['request']> } & Partial<Omit<ScepProfile, 'request'>> = {}): ScepProfile {
  return {
    id: 'wifi',
    displayName: 'Corporate Wi-Fi',
    principal: 'device',
    assignedTo: ['device'],
    scepUrls: ['https://ndes.example.test/certsrv/mscep/mscep.dll'],
    rootProfileId: 'root',
    renewalThresholdPercent: 20,
    ...own,
    request: {
      subject: 'CN=device-1',
      subjectAltNames: [],
      keySpec: { algorithm: 'rsa', bits: 2048 },
      keyStorage: 'useSoftwareKsp',
      keyUsages: ['digitalSignature', 'keyEncipherment'],
      extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
      validity: { value: 30, scale: 'days' },
      rootFingerprint: '00'.repeat(32),
      ...own.request,
    },
  }
}

export function pfxProfile(request: Partial<PfxProfile['request']> = {}): PfxProfile {
  const rootFingerprint = '00'.repeat(32)
  return {
    id: 'mail',
    displayName: 'Mail',
    principal: 'user',
    assignedTo: ['user'],
    rootProfileId: 'root',
    renewalThresholdPercent: 20,
    request: { kind: 'pkcs', certificateRevision: 'v1', keyStorage: 'useSoftwareKsp', exportable: false, rootFingerprint, ...request },
  }
}

export function trustedRoot(certificate: Uint8Array, destinationStore: StoreName): TrustedRootProfile {
  return { id: 'root', displayName: 'Root', certificate, fingerprint: '00'.repeat(32), destinationStore, assignedTo: ['device'] }
}
