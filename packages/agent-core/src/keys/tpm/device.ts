import { AgentError, type AgentErrorCode } from '../../errors.ts'
import type { Clock, KeyReadiness } from '../../ports.ts'
import { whileBusy } from '../patience.ts'
import type { TpmLockout } from './facts.ts'
import { lockedOutUntil } from './lockout.ts'
import type { TpmStorage } from './storage.ts'

/** What a test or a scenario does to the hardware. */
export interface TpmConditions {
  /** Default true. */
  readonly isPresent: boolean
  /** Every command is answered with "try again". Default false. */
  readonly isBusy: boolean
  /** How many keys there is room for. 0: what there was, others have taken. */
  readonly slots: number
}

export interface TpmDeviceParts {
  readonly name: string
  readonly clock: Clock
  readonly lockout: TpmLockout
  readonly conditions: TpmConditions
  readonly openStorage: () => Promise<TpmStorage>
}

/** A chip: one command at a time, in the order in which they come. */
export interface TpmDevice {
  conditions(): TpmConditions
  set(conditions: Partial<TpmConditions>): void
  /**
   * Runs one command, which may wait its turn. Absent: `ERR_KEY_STORAGE_UNAVAILABLE`. Busy for longer than `whileBusy` has patience:
   * `ERR_KEY_STORAGE_BUSY`. A command that needs an authorization, while guessing is being held off: `ERR_KEY_STORAGE_LOCKED_OUT`.
   */
  run<T>(needs: { authorization: boolean }, command: (storage: TpmStorage) => Promise<T>): Promise<T>
  /** Does it in no less than `ms`: what the crypto takes of the machine's own time counts towards it. */
  take<T>(ms: number, work: () => Promise<T>): Promise<T>
  /** A command that leaves an empty storage behind, and calls `forget` on its way. Where it fails half way, the next command carries on. */
  clear(forget: () => void): Promise<void>
}

export function tpmDevice({ name, clock, lockout, conditions: initial, openStorage }: TpmDeviceParts): TpmDevice {
  let conditions = initial
  let opened: Promise<TpmStorage> | undefined
  let last: Promise<unknown> = Promise.resolve()

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }

  /** What could not be opened is tried again by the next command. */
  const storage = (): Promise<TpmStorage> => {
    opened ??= openStorage().catch((error) => {
      opened = undefined
      throw error
    })
    return opened
  }

  async function serve<T>(needsAuthorization: boolean, command: (storage: TpmStorage) => Promise<T>): Promise<T> {
    if (!conditions.isPresent) throw new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', `the ${name} is absent`)
    if (conditions.isBusy) throw new AgentError('ERR_KEY_STORAGE_BUSY', `the ${name} is busy`)
    const memory = await storage()
    const until = needsAuthorization ? lockedOutUntil(memory.failures(), clock.now(), lockout) : undefined
    if (until !== undefined) {
      const message = `the ${name} is locked out until ${new Date(until).toISOString()} after too many wrong authorizations`
      throw new AgentError('ERR_KEY_STORAGE_LOCKED_OUT', message)
    }
    return command(memory)
  }

  const run = <T>({ authorization }: { authorization: boolean }, command: (storage: TpmStorage) => Promise<T>) =>
    whileBusy(clock, () => inTurn(() => serve(authorization, command)))

  return {
    conditions: () => conditions,
    set(changed) {
      conditions = { ...conditions, ...changed }
    },
    run,
    async take(ms, work) {
      if (ms <= 0) return work()
      const [result] = await Promise.all([work(), clock.sleep(ms)])
      return result
    },
    clear: (forget) =>
      run({ authorization: false }, async (memory) => {
        opened = undefined
        forget()
        await memory.forget()
        await storage()
      }),
  }
}

const stateByCode: Partial<Record<AgentErrorCode, Exclude<KeyReadiness['state'], 'ready'>>> = {
  ERR_KEY_STORAGE_UNAVAILABLE: 'absent',
  ERR_KEY_STORAGE_BUSY: 'busy',
  ERR_KEY_STORAGE_LOCKED_OUT: 'locked-out',
  ERR_KEY_STORAGE_FULL: 'full',
}

/** What a command would meet, as an answer. */
export async function readinessOf(probe: () => Promise<unknown>): Promise<KeyReadiness> {
  try {
    await probe()
    return { state: 'ready' }
  } catch (error) {
    const state = error instanceof AgentError ? stateByCode[error.code] : undefined
    if (state === undefined) throw error
    return { state, message: (error as AgentError).message }
  }
}

/** What hardware that is absent holds: nothing. */
export async function unlessAbsent<T>(command: Promise<T>, nothing: T): Promise<T> {
  try {
    return await command
  } catch (error) {
    if (error instanceof AgentError && error.code === 'ERR_KEY_STORAGE_UNAVAILABLE') return nothing
    throw error
  }
}
