import { type KeyObject, X509Certificate } from 'node:crypto'
import { dirname } from 'node:path'
import {
  type AgentState,
  type DevicePolicy,
  type EnrollmentAttempt,
  type Identity,
  type IdentityKey,
  identityKey,
  type KeyStorageProvider,
  type Pass,
} from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import { stays } from '../invariants/leftovers.ts'
import type { SimulatedDisk } from './disk.ts'
import type { Violations } from './invariants.ts'
import type { DevicePorts } from './ports.ts'

/** Sees every change of what one device keeps, as it happens, and judges it with no code of the agent's: I1-I3, I5-I7. */
export interface Witness {
  watch(ports: DevicePorts): DevicePorts
  watchDisk(disk: SimulatedDisk, statePath: string): SimulatedDisk
  /** I1, once a pass is over; `isBlind` where a key storage did not answer during it. */
  passed(pass: Pass, isBlind: boolean): void
  /** I7, after a crash: what is on disk before anybody reads it. */
  foundOnDisk(bytes: Uint8Array | undefined): void
  /** What a new life begins with. */
  restarted(state: AgentState, identities: readonly Identity[]): void
}

export interface WitnessOptions {
  readonly spec: DeviceSpec
  readonly violations: Violations
  /** Whether the service made a key, SubjectPublicKeyInfo, for this device: what it imports must come from there. */
  isFromService(publicKey: Uint8Array): boolean
}

/** Of the secrets that a device was given, the last ones: older ones are spent. */
const maxSecrets = 8

export function witness({ spec, violations, isFromService }: WitnessOptions): Witness {
  const { id: device } = spec
  const keys = new Map<string, Uint8Array>()
  const attempts = new Map<IdentityKey, EnrollmentAttempt>()
  const identities = new Map<IdentityKey, Identity>()
  const installed = new Map<string, X509Certificate>()
  /** Of those installed, the ones that need no issuer. */
  const anchors = new Set<string>()
  const secrets: string[] = []
  let policy: DevicePolicy | undefined
  let durable: Uint8Array | undefined
  let written: Uint8Array | undefined

  const isWanted = (key: IdentityKey) =>
    policy !== undefined &&
    [...policy.scepProfiles, ...policy.pfxProfiles, ...policy.failedProfiles].some(
      ({ principal, id }) => identityKey(principal, id) === key,
    )

  function keep(secret: string): void {
    secrets.push(secret)
    if (secrets.length > maxSecrets) secrets.shift()
  }

  function judgeLabel(label: string): void {
    const isOnRecord = [...attempts.values()].some(({ keyLabel }) => keyLabel === label)
    if (!isOnRecord) violations.add('I1', 'a key came that no attempt on record names', device)
  }

  function assertNoSecret(where: string, text: string): void {
    if (secrets.some((secret) => text.includes(secret))) violations.add('I6', `a secret is in ${where}`, device)
  }

  function judgeIdentity({ chain, keyLabel, profileId, principal, releasedBy }: Identity): void {
    const isAsked = releasedBy !== undefined || isWanted(identityKey(principal, profileId))
    if (!isAsked) violations.add('I5', `a certificate came for ${profileId}, which no policy asks for`, device)
    const [leaf, ...issuers] = chain.map((der, i) => (i === 0 ? new X509Certificate(der) : certificateOf(der)))
    const key = keys.get(keyLabel)
    const isItsKey = leaf && key && isSameKey(key, leaf.publicKey)
    if (!isItsKey) violations.add('I5', `the new certificate for ${profileId} is not for a key of the device`, device)
    const isTrusted = leaf && leadsToRoot(leaf, [...issuers, ...installed.values()], anchors, maxPathLength)
    if (!isTrusted) violations.add('I5', `the new certificate for ${profileId} leads to no installed root`, device)
  }

  function watchKeys(provider: KeyStorageProvider): KeyStorageProvider {
    const importing = provider.import && (provider as Required<KeyStorageProvider>)
    return {
      protection: provider.protection,
      name: provider.name,
      readiness: (wish) => provider.readiness(wish),
      open: (label) => provider.open(label),
      list: () => provider.list(),
      async generate(spec, label) {
        const handle = await provider.generate(spec, label)
        judgeLabel(label)
        keys.set(label, handle.publicKey)
        return handle
      },
      ...(importing && {
        async import(...given: Parameters<typeof importing.import>) {
          const handle = await importing.import(...given)
          judgeLabel(given[1])
          if (!isFromService(handle.publicKey)) violations.add('I5', 'a key was imported that the service did not make', device)
          keys.set(given[1], handle.publicKey)
          return handle
        },
      }),
      async destroy(label) {
        await provider.destroy(label)
        const owner = [...identities.values()].find(({ keyLabel }) => keyLabel === label)
        if (owner) violations.add('I2', `the key of the installed certificate for ${owner.profileId} was destroyed`, device)
        keys.delete(label)
      },
    }
  }

  function watch(ports: DevicePorts): DevicePorts {
    const { pfxSource } = ports
    return {
      keyStorageProviders: ports.keyStorageProviders.map(watchKeys),
      certificateStores: {
        ...ports.certificateStores,
        async install(store, der) {
          await ports.certificateStores.install(store, der)
          const certificate = certificateOf(der)
          const isAsked = policy?.trustedRoots.some((root) => Buffer.compare(root.certificate, der) === 0)
          if (!certificate.ca || !isAsked)
            violations.add('I5', `a certificate entered ${store} that is no CA's, or that no policy names`, device)
          installed.set(hexOf(certificate), certificate)
          if (store === 'computer-root') anchors.add(hexOf(certificate))
        },
        async remove(root) {
          await ports.certificateStores.remove(root)
          const user = [...identities].find(([key, { requested }]) => requested.rootFingerprint === root.fingerprint && isWanted(key))
          if (user) violations.add('I2', `the root of the certificate for ${user[0]} was removed while that is in use`, device)
          installed.delete(root.fingerprint)
          anchors.delete(root.fingerprint)
        },
      },
      identities: {
        ...ports.identities,
        async install(identity) {
          judgeIdentity(identity)
          await ports.identities.install(identity)
          identities.set(identityKey(identity.principal, identity.profileId), identity)
        },
        async remove(key) {
          await ports.identities.remove(key)
          const removed = identities.get(key)
          identities.delete(key)
          if (removed && isWanted(key)) violations.add('I2', `the certificate of ${key} was removed while its profile stands`, device)
          else if (removed && stays(removed, policy?.lifecycle ?? 'unassigned', spec))
            violations.add('I2', `the certificate of ${key} was removed, which its OS leaves`, device)
        },
      },
      state: {
        ...ports.state,
        async beginAttempt(key, attempt) {
          const unfinished = attempts.get(key)
          const begun = await ports.state.beginAttempt(key, attempt)
          if (unfinished && unfinished.id !== begun.id)
            violations.add('I3', `an attempt of ${key} began while another was unfinished`, device)
          attempts.set(key, begun)
          return begun
        },
        async endAttempt(key, options) {
          await ports.state.endAttempt(key, options)
          attempts.delete(key)
        },
      },
      policySource: {
        async fetch(signal) {
          policy = await ports.policySource.fetch(signal)
          return policy
        },
      },
      challengeSource: {
        async challengeFor(...asked) {
          const challenge = await ports.challengeSource.challengeFor(...asked)
          if (challenge !== undefined) keep(challenge)
          return challenge
        },
      },
      ...(pfxSource && {
        pfxSource: {
          async pfxFor(...asked) {
            const delivered = await pfxSource.pfxFor(...asked)
            keep(delivered.password)
            return delivered
          },
        },
      }),
      reporter: {
        send(report, signal) {
          assertNoSecret('a report', JSON.stringify(report))
          return ports.reporter.send(report, signal)
        },
      },
    }
  }

  return {
    watch,
    watchDisk: (disk, statePath) => ({
      ...disk,
      async write(path, bytes) {
        await disk.write(path, bytes)
        if (dirname(path) !== dirname(statePath)) return
        written = bytes.slice()
        assertNoSecret('the state', Buffer.from(bytes).toString('latin1'))
      },
      async syncFolder(folder) {
        await disk.syncFolder(folder)
        if (folder === dirname(statePath)) durable = written
      },
    }),
    passed({ report }, isBlind) {
      if (isBlind || report.results.some(({ status, kind }) => status === 'failed' && kind === 'destroy-key')) return
      const held = new Set([...attempts.values(), ...identities.values()].map(({ keyLabel }) => keyLabel))
      for (const label of keys.keys()) if (!held.has(label)) violations.add('I1', 'a key is left that nothing refers to', device)
    },
    foundOnDisk(bytes) {
      const isOldOrNew = isSame(durable, bytes) || isSame(written, bytes)
      if (!isOldOrNew) violations.add('I7', 'the state on disk is neither the one before nor the one being written', device)
      durable = bytes
    },
    restarted(state, kept) {
      attempts.clear()
      for (const [key, attempt] of state.attempts) attempts.set(key, attempt)
      identities.clear()
      for (const identity of kept) identities.set(identityKey(identity.principal, identity.profileId), identity)
    },
  }
}

const maxPathLength = 8

const authorities = new Map<string, X509Certificate>()

/** Of a CA: one certificate for all that it issued. */
function certificateOf(der: Uint8Array): X509Certificate {
  const key = Buffer.from(der.buffer, der.byteOffset, der.length).toString('latin1')
  const certificate = authorities.get(key) ?? new X509Certificate(der)
  authorities.set(key, certificate)
  return certificate
}

function leadsToRoot(
  certificate: X509Certificate,
  candidates: readonly X509Certificate[],
  roots: ReadonlySet<string>,
  depth: number,
): boolean {
  if (roots.has(hexOf(certificate))) return true
  if (depth === 0) return false
  const isIssuer = (issuer: X509Certificate) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  return candidates.some((issuer) => isIssuer(issuer) && leadsToRoot(issuer, candidates, roots, depth - 1))
}

/** By what the SubjectPublicKeyInfo ends with: to write a whole one costs OpenSSL more than to verify a signature. */
function isSameKey(spki: Uint8Array, key: KeyObject): boolean {
  const encoded = key.export({ format: 'der', type: key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'spki' })
  return Buffer.compare(spki.subarray(-encoded.length), encoded) === 0
}

/** SHA-256, lower-case hex. */
function hexOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(':', '').toLowerCase()
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0
}
