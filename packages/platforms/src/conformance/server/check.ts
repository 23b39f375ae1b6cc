import type { PlatformName } from '../../os.ts'
import type { ServerSession } from './session.ts'

/** One expectation of a SCEP server, as devices of one or more platforms would meet it. */
export interface ServerCheck {
  /** `server.<topic>.<what>`; never changes once published. With a platform it is unique. */
  readonly id: string
  readonly on: readonly PlatformName[]
  readonly given: string
  readonly expect: string
  /** Source keys and rows, as in facts. */
  readonly source: string
  /** Rejects with an `AssertionError` that says what the server did wrong, with `Skipped`, or with what the device threw. */
  run(session: ServerSession): Promise<void>
}

export const everywhere = ['ios', 'macos', 'android', 'windows'] as const satisfies readonly PlatformName[]
