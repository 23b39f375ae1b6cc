import type { CheckContext } from './types.ts'

/** One step of a profile's way to a device. */
export interface ExplainedStep {
  /** A few words: `assigned`, `applies`, `key storage`, `request`, `renewal`, `removal`. */
  readonly title: string
  /** `stops`: the way ends here. */
  readonly outcome: 'goes-on' | 'stops' | 'ignored' | 'told'
  readonly text: string
  /** Fact ids or source keys. */
  readonly source?: string
}

export interface Explanation {
  readonly profile: string
  readonly profileId: string
  readonly device: string
  readonly steps: readonly ExplainedStep[]
}

/**
 * Walks one profile on one device from assignment to removal, up to where it ends. `profile` is an id, or a display name that is unique.
 * `ERR_PROFILE_INVALID` for a profile or device that is not there.
 */
export function explain(_context: CheckContext, _profile: string, _deviceId: string): Explanation {
  throw new Error('not written')
}

/** For people: a line or two a step. */
export function explanationText(_explanation: Explanation): string {
  throw new Error('not written')
}
