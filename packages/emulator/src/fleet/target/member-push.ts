import type { Clock, Jitter, PushChannel, PushOptions } from '@certfleet/agent-core'
import type { Admission, PushEvents } from '../ports.ts'
import type { PolicyServiceTargetOptions } from './policy-service.ts'

type PushCallbacks = Required<Pick<PushOptions, 'onWake' | 'onUp' | 'onDown'>>

/** A connection that was open has ended at the end of the channel, too. */
export class MemberPush implements PushChannel {
  readonly #events: PushEvents
  readonly #channel: PushChannel
  #isOpen = false

  constructor(events: PushEvents, connect: (watch: Omit<PushCallbacks, 'onWake'>) => PushChannel) {
    this.#events = events
    this.#channel = connect({ onUp: (durationMs) => this.#up(durationMs), onDown: () => this.#down() })
  }

  async close(): Promise<void> {
    await this.#channel.close()
    if (this.#isOpen) this.#down()
  }

  #up(durationMs: number): void {
    this.#isOpen = true
    this.#events.onOpen(durationMs)
  }

  #down(): void {
    const wasOpen = this.#isOpen
    this.#isOpen = false
    this.#events.onDown(wasOpen)
  }
}

/** A class: a getter on a literal would give each device a shape of its own. */
export class MemberPushOptions implements PushOptions {
  readonly policyUrl: string
  readonly clock: Clock
  readonly jitter: Jitter
  readonly onWake: () => void
  readonly onUp: (durationMs: number) => void
  readonly onDown: PushCallbacks['onDown']
  declare readonly localAddress?: string
  readonly #credentialOf: () => string

  constructor(
    { policyUrl, localAddress, trust }: Pick<PolicyServiceTargetOptions, 'policyUrl' | 'localAddress' | 'trust'>,
    { clock, jitter }: Pick<Admission, 'clock' | 'jitter'>,
    credentialOf: () => string,
    { onWake, onUp, onDown }: PushCallbacks,
  ) {
    this.policyUrl = policyUrl
    this.clock = clock
    this.jitter = jitter
    this.onWake = onWake
    this.onUp = onUp
    this.onDown = onDown
    if (localAddress !== undefined) this.localAddress = localAddress
    Object.assign(this, trust)
    this.#credentialOf = credentialOf
  }

  /** Read at each connection: a device may have registered again. */
  get credential(): string {
    return this.#credentialOf()
  }
}
