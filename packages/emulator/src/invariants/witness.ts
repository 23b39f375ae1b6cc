import {
  AgentError,
  type EnrollmentOutcome,
  type EnrollmentRequest,
  type HttpRequest,
  type HttpResponse,
  type Identity,
  type IdentityKey,
  type IdentityStore,
  openKey,
  type PlatformAdapter,
  type Transport,
} from '@certfleet/agent-core'
import type { DeviceStorage } from '../fleet/ports.ts'
import { leadsTo, nameText, type ReadCertificate, readCertificate } from './chain.ts'
import type { CertificateFinding } from './names.ts'
import { WatchedPlatform } from './watched-platform.ts'

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
  readonly notInstalled: ReadonlyMap<string, string>
}

/** What one saw that was there before it, in another process. */
export type SeenBefore = Pick<Seen, 'issued' | 'notInstalled'>

export function deviceWitness(storage: WitnessedStorage, before?: SeenBefore): DeviceWitness {
  return new Witness(storage, before)
}

// Thousands of devices are at rest: of each class one object a device, and collections only while there is something in them.

const none: readonly never[] = []
const nothing: ReadonlyMap<string, string> = new Map()

class Witness implements DeviceWitness {
  readonly identities: IdentityStore
  readonly #storage: WitnessedStorage
  #certificates: readonly KeptFinding[] = none
  #wrongKeys: readonly string[] = none
  #wrongRoots: readonly string[] = none
  #notInstalled = nothing
  #issued = 0
  #isAnswered = false

  constructor(storage: WitnessedStorage, before: SeenBefore | undefined) {
    this.#storage = storage
    if (before) {
      this.#issued = before.issued
      this.#notInstalled = before.notInstalled
    }
    this.identities = new WatchedIdentities(storage.identities, this)
  }

  watchTransport(transport: Transport): Transport {
    return new WatchedTransport(transport, this)
  }

  watchPlatform(platform: PlatformAdapter): PlatformAdapter {
    return new WatchedPlatform(platform, this)
  }

  async lookAgain(): Promise<void> {
    for (const identity of await this.#storage.identities.list()) await this.judge(identity)
  }

  seen(): Seen {
    const certificates = this.#certificates.map(findingOf)
    return {
      certificates,
      wrongKeys: this.#wrongKeys,
      wrongRoots: this.#wrongRoots,
      issued: this.#issued,
      notInstalled: this.#notInstalled,
    }
  }

  async installed(identity: Identity): Promise<void> {
    this.settle(identity.keyLabel)
    await this.judge(identity)
  }

  async judge(identity: Identity): Promise<void> {
    const [leaf, ...others] = identity.chain
    const certificate = readCertificate(leaf as Uint8Array)
    const kept = keptFinding(certificate)
    if (this.#certificates.some(({ octets }) => octets === kept.octets)) return
    this.#certificates = this.#certificates.concat(kept)
    if (!(await isForItsKey(certificate, identity, this.#storage)))
      this.#wrongKeys = this.#wrongKeys.concat(`${titleOf(certificate)} is for another key`)
    const roots = new Set((await this.#storage.certificateStores.list()).map((root) => root.fingerprint))
    if (!leadsTo(roots, certificate, others))
      this.#wrongRoots = this.#wrongRoots.concat(`${titleOf(certificate)} leads to no root that is installed`)
  }

  settle(label: string): void {
    if (!this.#notInstalled.has(label)) return
    const others = [...this.#notInstalled].filter(([other]) => other !== label)
    this.#notInstalled = others.length > 0 ? new Map(others) : nothing
  }

  suspect(label: string, what: string): void {
    this.#notInstalled = new Map(this.#notInstalled).set(label, what)
  }

  async watchAnswer(request: HttpRequest, send: () => Promise<HttpResponse>): Promise<HttpResponse> {
    if (!request.url.includes('operation=PKIOperation')) return send()
    this.#isAnswered = false
    const response = await send()
    this.#isAnswered = response.status === 200 && /^application\/x-pki-message\b/i.test(response.headers['content-type'] ?? '')
    return response
  }

  async watchOutcome({ key }: EnrollmentRequest, ask: () => Promise<EnrollmentOutcome>): Promise<EnrollmentOutcome> {
    this.#isAnswered = false
    try {
      const outcome = await ask()
      this.settle(key.label)
      if (outcome.status === 'issued') {
        this.#issued++
        this.suspect(key.label, `${issuedTitle(outcome.chain, key.publicKey)} was issued and not installed`)
      }
      return outcome
    } catch (error) {
      if (error instanceof AgentError && this.#isAnswered)
        this.suspect(key.label, `an answer of the CA could not be accepted (${error.code})`)
      throw error
    }
  }
}

class WatchedIdentities implements IdentityStore {
  readonly #inner: IdentityStore
  readonly #witness: Witness

  constructor(inner: IdentityStore, witness: Witness) {
    this.#inner = inner
    this.#witness = witness
  }

  list(): Promise<readonly Identity[]> {
    return this.#inner.list()
  }

  async install(identity: Identity, displayName?: string): Promise<void> {
    await this.#inner.install(identity, displayName)
    await this.#witness.installed(identity)
  }

  remove(key: IdentityKey): Promise<void> {
    return this.#inner.remove(key)
  }
}

class WatchedTransport implements Transport {
  readonly #inner: Transport
  readonly #witness: Witness

  constructor(inner: Transport, witness: Witness) {
    this.#inner = inner
    this.#witness = witness
  }

  send(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    return this.#witness.watchAnswer(request, () => this.#inner.send(request, signal))
  }
}

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
  let first: ReadCertificate | undefined
  for (const der of chain) {
    const certificate = readable(der)
    if (certificate && Buffer.compare(certificate.publicKey, publicKey) === 0) return titleOf(certificate)
    first ??= certificate
  }
  return first ? titleOf(first) : 'what cannot be read'
}

function readable(der: Uint8Array): ReadCertificate | undefined {
  try {
    return readCertificate(der)
  } catch (error) {
    if (error instanceof AgentError) return undefined
    throw error
  }
}

/** A finding in a third of the room. */
interface KeptFinding {
  /** One text for all that have it. */
  readonly issuer: string
  /** Fingerprint and serial number, a character an octet. */
  readonly octets: string
}

const fingerprintBytes = 32

function keptFinding({ issuer, fingerprint, serialNumber }: ReadCertificate): KeptFinding {
  return { issuer: nameText(issuer), octets: Buffer.from(fingerprint + serialNumber, 'hex').toString('latin1') }
}

function findingOf({ issuer, octets }: KeptFinding): CertificateFinding {
  const hex = Buffer.from(octets, 'latin1').toString('hex')
  return { issuer, serialNumber: hex.slice(2 * fingerprintBytes), fingerprint: hex.slice(0, 2 * fingerprintBytes) }
}
