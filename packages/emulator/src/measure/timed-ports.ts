import type { EnrollmentProtocol, KeyStorageProvider, PlatformAdapter, Transport } from '@certfleet/agent-core'
import type { StepTimer } from './step-timer.ts'
import type { Step } from './types.ts'

export function timedTransport(transport: Transport, timer: StepTimer): Transport {
  return {
    async send(request, signal) {
      const step = stepOf(request.url)
      const send = () => transport.send(request, signal)
      return timer.note(await (step ? timer.time(step, send) : send()))
    },
  }
}

export function timedPlatform(adapter: PlatformAdapter, timer: StepTimer): PlatformAdapter {
  const { identities } = adapter
  return {
    ...adapter,
    keyStorageProviders: adapter.keyStorageProviders.map((provider) => timedKeys(provider, timer)),
    identities: { ...identities, install: (...given) => timer.time('install', () => identities.install(...given)) },
    protocolFor: (profile, root) => timedProtocol(adapter.protocolFor(profile, root), timer),
  }
}

function timedKeys(provider: KeyStorageProvider, timer: StepTimer): KeyStorageProvider {
  const importKey = provider.import
  return {
    ...provider,
    generate: (...given) => timer.time('keygen', () => provider.generate(...given)),
    ...(importKey && { import: (...given) => timer.time('keygen', () => importKey(...given)) }),
  }
}

function timedProtocol(protocol: EnrollmentProtocol, timer: StepTimer): EnrollmentProtocol {
  return {
    ...protocol,
    request: async (...given) => timer.note(await protocol.request(...given)),
    poll: async (...given) => timer.note(await timer.time('poll', () => protocol.poll(...given))),
  }
}

const byOperation = /[?&]operation=(GetCACaps|GetCACert|PKIOperation)(?:&|$)/
/** The last name of a path. */
const byName = /([^/?#]+)\/?(?:[?#]|$)/
const stepsByName: ReadonlyMap<string, Step> = new Map([
  ['register', 'register'],
  ['policy', 'policy'],
  ['challenge', 'challenge'],
  // The page on which NDES gives out its challenges.
  ['mscep_admin', 'challenge'],
  ['pfx', 'pfx'],
  ['report', 'report'],
])

/** What a device asks for by that URL: of SCEP by the operation (RFC 8894 4.1), of the policy service by the name. Undefined for others. */
export function stepOf(url: string): Step | undefined {
  const operation = byOperation.exec(url)?.[1] as Step | undefined
  return operation ?? stepsByName.get(byName.exec(url)?.[1] ?? '')
}
