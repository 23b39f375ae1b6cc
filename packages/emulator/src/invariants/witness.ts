import {
  AgentError,
  type EnrollmentOutcome,
  type EnrollmentRequest,
  type HttpRequest,
  type HttpResponse,
  type Identity,
  type IdentityStore,
  openKey,
  type PlatformAdapter,
  type Transport,
} from '@certfleet/agent-core'
import type { DeviceStorage } from '../fleet/ports.ts'
import { leadsTo, nameText, type ReadCertificate, readCertificate } from './chain.ts'
import type { CertificateFinding } from './names.ts'

export type WitnessedStorage = Pick<DeviceStorage, 'keyStorageProviders' | 'certificateStores' | 'identities' | 'state'>

/** Sees what one device is answered and what it installs, and judges that with no code of the agent's. */
export interface DeviceWitness {
  /** In place of the storage's. */
  readonly identities: IdentityStore
  watchTransport(transport: Transport): Transport
  watchPlatform(platform: PlatformAdapter): PlatformAdapter
  /** Judges what is installed and was not yet: of an earlier run. */
  lookAgain(): Promise<void>
  seen(): Seen
}

export interface Seen {
  readonly certificates: readonly CertificateFinding[]
  readonly wrongKeys: readonly string[]
  readonly wrongRoots: readonly string[]
  /** Certificates that the CA answered with. */
  readonly issued: number
  /** What came and was not installed, a sentence each, by the label of the key that it was asked for with. */
  readonly notInstalled: ReadonlyMap<string, () => string>
}

export function deviceWitness(storage: WitnessedStorage): DeviceWitness {
  const certificates: CertificateFinding[] = []
  // Made when they are needed: thousands of devices are at rest, and nothing is wrong with any.
  let wrongKeys = none
  let wrongRoots = none
  let notInstalled: Map<string, () => string> | undefined
  let issued = 0
  let isAnswered = false

  async function judge(identity: Identity): Promise<void> {
    const [leaf, ...others] = identity.chain
    const certificate = readCertificate(leaf as Uint8Array)
    const { fingerprint, serialNumber } = certificate
    if (certificates.some((known) => known.fingerprint === fingerprint)) return
    certificates.push({ issuer: nameText(certificate.issuer), serialNumber, fingerprint })
    if (!(await isForItsKey(certificate, identity, storage))) wrongKeys = [...wrongKeys, `${titleOf(certificate)} is for another key`]
    const roots = new Set((await storage.certificateStores.list()).map((root) => root.fingerprint))
    if (!leadsTo(roots, certificate, others)) wrongRoots = [...wrongRoots, `${titleOf(certificate)} leads to no root that is installed`]
  }

  function settle(label: string): void {
    notInstalled?.delete(label)
    if (notInstalled?.size === 0) notInstalled = undefined
  }

  function suspect(label: string, what: () => string): void {
    notInstalled = (notInstalled ?? new Map()).set(label, what)
  }

  async function watchAnswer(request: HttpRequest, send: () => Promise<HttpResponse>): Promise<HttpResponse> {
    if (!request.url.includes('operation=PKIOperation')) return send()
    isAnswered = false
    const response = await send()
    isAnswered = response.status === 200 && /^application\/x-pki-message\b/i.test(response.headers['content-type'] ?? '')
    return response
  }

  async function watchOutcome({ key }: EnrollmentRequest, ask: () => Promise<EnrollmentOutcome>): Promise<EnrollmentOutcome> {
    isAnswered = false
    try {
      const outcome = await ask()
      settle(key.label)
      if (outcome.status === 'issued') {
        issued++
        suspect(key.label, () => `${issuedTitle(outcome.chain, key.publicKey)} was issued and not installed`)
      }
      return outcome
    } catch (error) {
      if (error instanceof AgentError && isAnswered) suspect(key.label, () => `an answer of the CA could not be accepted (${error.code})`)
      throw error
    }
  }

  return {
    identities: {
      ...storage.identities,
      async install(identity, displayName) {
        await storage.identities.install(identity, displayName)
        settle(identity.keyLabel)
        await judge(identity)
      },
    },
    watchTransport: ({ send }) => ({ send: (request, signal) => watchAnswer(request, () => send(request, signal)) }),
    watchPlatform: (platform) => ({
      ...platform,
      protocolFor(profile, root) {
        const protocol = platform.protocolFor(profile, root)
        return {
          ...protocol,
          request: (request, signal) => watchOutcome(request, () => protocol.request(request, signal)),
          poll: (request, signal) => watchOutcome(request, () => protocol.poll(request, signal)),
        }
      },
    }),
    async lookAgain() {
      for (const identity of await storage.identities.list()) await judge(identity)
    },
    seen: () => ({ certificates, wrongKeys, wrongRoots, issued, notInstalled: notInstalled ?? new Map() }),
  }
}

const none: readonly string[] = []

async function isForItsKey(
  { publicKey }: ReadCertificate,
  identity: Identity,
  { keyStorageProviders }: WitnessedStorage,
): Promise<boolean> {
  try {
    const key = await openKey(identity, keyStorageProviders)
    return key !== undefined && Buffer.compare(key.publicKey, publicKey) === 0
  } catch (error) {
    // Hardware that does not answer shows nothing, and the agent tells of it.
    if (error instanceof AgentError) return true
    throw error
  }
}

const titleOf = ({ serialNumber, issuer }: ReadCertificate): string => `serial ${serialNumber} of ${nameText(issuer)}`

/** By the key: a CA answers in any order. */
function issuedTitle(chain: readonly Uint8Array[], publicKey: Uint8Array): string {
  const certificates = chain.flatMap(readable)
  const own = certificates.find((candidate) => Buffer.compare(candidate.publicKey, publicKey) === 0) ?? certificates[0]
  return own ? titleOf(own) : 'what cannot be read'
}

function readable(der: Uint8Array): ReadCertificate[] {
  try {
    return [readCertificate(der)]
  } catch (error) {
    if (error instanceof AgentError) return []
    throw error
  }
}
