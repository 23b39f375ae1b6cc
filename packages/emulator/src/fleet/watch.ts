import {
  type ActionResult,
  type Agent,
  type AgentErrorCode,
  type InapplicableProfile,
  identityKey,
  type ProfileStatus,
  type Report,
} from '@certfleet/agent-core'
import type { DeviceFailure, ProfileOutcome } from './outcome.ts'

export interface DeviceWatch {
  /** What still stands failed, one a subject, and the last pass if it could not be made. */
  failures(): readonly DeviceFailure[]
  /** What stands still until the user acts, one a subject. */
  waitingForUser(): readonly DeviceFailure[]
  /** By the last pass, once a profile. */
  ignoredSettings(): readonly string[]
  /** By the last pass. */
  profiles(): readonly ProfileOutcome[]
  /** By the last pass. */
  notApplicable(): readonly InapplicableProfile[]
}

/** Follows what an agent does, pass after pass. */
export function watchDevice(agent: Agent): DeviceWatch {
  const watch = new AgentWatch()
  agent.on('result', (result) => watch.seeResult(result))
  agent.on('error', (error) => watch.seeError(error))
  agent.on('pass', ({ report }) => watch.seeReport(report))
  return watch
}

/** For every list that is empty: those of ten thousand idle devices are. */
const none: readonly never[] = []

/** A class for the sake of memory, as `StepTimer`. */
class AgentWatch implements DeviceWatch {
  #failures: Map<string, DeviceFailure> | undefined
  #passFailure: DeviceFailure | undefined
  /** By the last pass, what it did nothing about: it failed in an earlier process, and the time to try again has not come. */
  #standing: readonly DeviceFailure[] = none
  #ignoredSettings: readonly string[] = none
  #profiles: readonly ProfileOutcome[] = none
  #notApplicable: readonly InapplicableProfile[] = none

  seeResult({ subject, status, code, message }: ActionResult): void {
    if (status === 'failed') {
      this.#failures ??= new Map()
      this.#failures.set(subject, { subject, code: code as AgentErrorCode, message: message ?? '' })
    } else if (this.#failures?.delete(subject) && this.#failures.size === 0) this.#failures = undefined
  }

  seeError({ code, message }: DeviceFailure): void {
    this.#passFailure = { code, message }
  }

  seeReport({ profiles, notApplicable }: Report): void {
    this.#passFailure = undefined
    this.#standing = orNone(profiles.flatMap(standingFailure))
    this.#ignoredSettings = orNone(profiles.flatMap((profile) => profile.ignoredSettings ?? none))
    this.#profiles = profiles.map(outcomeOf)
    this.#notApplicable = orNone(notApplicable ?? none)
  }

  failures(): readonly DeviceFailure[] {
    const failed = this.#failed(false)
    return this.#passFailure ? [this.#passFailure, ...failed] : failed
  }

  waitingForUser(): readonly DeviceFailure[] {
    return this.#failed(true)
  }

  ignoredSettings(): readonly string[] {
    return this.#ignoredSettings
  }

  profiles(): readonly ProfileOutcome[] {
    return this.#profiles
  }

  notApplicable(): readonly InapplicableProfile[] {
    return this.#notApplicable
  }

  #failed(onUser: boolean): readonly DeviceFailure[] {
    const standing = this.#standing.filter(({ subject = '' }) => !this.#failures?.has(subject))
    return [...(this.#failures?.values() ?? none), ...standing].filter(({ code }) => (code === 'ERR_USER_ACTION_REQUIRED') === onUser)
  }
}

const orNone = <T>(list: readonly T[]): readonly T[] => (list.length > 0 ? list : none)

function outcomeOf({ profileId, principal, state, os }: ProfileStatus): ProfileOutcome {
  return os ? { profileId, principal, state, os } : { profileId, principal, state }
}

function standingFailure({ profileId, principal, code, message = '' }: ProfileStatus): DeviceFailure[] {
  return code === undefined ? [] : [{ subject: identityKey(principal, profileId), code, message }]
}
