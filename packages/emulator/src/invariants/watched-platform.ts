import type {
  CertificateProfile,
  CertificateStores,
  EnrollmentOutcome,
  EnrollmentProtocol,
  EnrollmentRequest,
  IdentityStore,
  Inapplicable,
  KeyStorageProvider,
  LifecycleRules,
  PendingSchedule,
  PfxProfile,
  PfxRules,
  PfxSpec,
  PlatformAdapter,
  ProfileStanding,
  ProfileType,
  RequestSpec,
  ScepProfile,
  StoreName,
  TrustedRootProfile,
} from '@certfleet/agent-core'

/** Sees every answer of a CA. */
export interface OutcomeWatch {
  watchOutcome(request: EnrollmentRequest, ask: () => Promise<EnrollmentOutcome>): Promise<EnrollmentOutcome>
}

/** An adapter that shows what its CAs answer, and does what it did. A copy of its members would cost each device a quarter of a KiB. */
export class WatchedPlatform implements PlatformAdapter {
  readonly #inner: PlatformAdapter
  readonly #watch: OutcomeWatch

  constructor(inner: PlatformAdapter, watch: OutcomeWatch) {
    this.#inner = inner
    this.#watch = watch
  }

  get name(): string {
    return this.#inner.name
  }
  get keyStorageProviders(): readonly KeyStorageProvider[] {
    return this.#inner.keyStorageProviders
  }
  get certificateStores(): CertificateStores {
    return this.#inner.certificateStores
  }
  get identities(): IdentityStore {
    return this.#inner.identities
  }
  get pendingSchedule(): PendingSchedule {
    return this.#inner.pendingSchedule
  }
  get pfxRules(): PfxRules {
    return this.#inner.pfxRules
  }
  get lifecycle(): LifecycleRules {
    return this.#inner.lifecycle
  }

  storeFor(root: TrustedRootProfile): StoreName {
    return this.#inner.storeFor(root)
  }
  requestFor(profile: ScepProfile): RequestSpec {
    return this.#inner.requestFor(profile)
  }
  pfxRequestFor(profile: PfxProfile): PfxSpec {
    return this.#inner.pfxRequestFor(profile)
  }
  inapplicable(type: ProfileType): Inapplicable | undefined {
    return this.#inner.inapplicable?.(type)
  }
  ignoredSettings(profile: CertificateProfile): readonly string[] {
    return this.#inner.ignoredSettings(profile)
  }
  isLocked(): Promise<boolean> {
    return this.#inner.isLocked()
  }
  shownOf(standing: ProfileStanding): Readonly<Record<string, unknown>> {
    return this.#inner.shownOf?.(standing) ?? {}
  }

  protocolFor(profile: ScepProfile, root: Uint8Array): EnrollmentProtocol {
    const protocol = this.#inner.protocolFor(profile, root)
    return {
      name: protocol.name,
      request: (request, signal) => this.#watch.watchOutcome(request, () => protocol.request(request, signal)),
      poll: (request, signal) => this.#watch.watchOutcome(request, () => protocol.poll(request, signal)),
    }
  }
}
