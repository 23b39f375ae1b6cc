import { AgentError } from '../../errors.ts'
import type { Clock } from '../../ports.ts'
import type { Instant } from '../../types.ts'
import { lockoutsMs, pinLength, triesInARow } from './facts.ts'
import { newSecret, type PinSecret, sealSecret, unsealSecret } from './pin.ts'
import type { ContainerRecord, RecordFile } from './record.ts'

/**
 * The PIN of one container and the secret behind it. One change follows another, so that no try is won by entering two PINs at once, and
 * nobody learns a secret that is being replaced.
 */
export interface Container {
  read(): Promise<ContainerRecord>
  note(news: Partial<Pick<ContainerRecord, 'hasPayload' | 'hasMultiFactor'>>): Promise<ContainerRecord>
  /** A fresh secret behind a fresh PIN. False where there is a PIN already: it stays. Waiting for the payload: `ERR_KEY_STORAGE_BUSY`. */
  provision(pin: string): Promise<boolean>
  /** Takes the right PIN alone. Each wrong one is counted, and too many lock out. */
  unlock(pin: string): Promise<void>
  /** The same secret behind another PIN. */
  change(pin: string, currentPin: string): Promise<void>
  /** A fresh secret behind a fresh PIN. `forget` destroys what the old one protected, before the new one counts. */
  reset(pin: string, forget: () => Promise<void>): Promise<void>
  /** Runs while nothing changes here. */
  inTurn<T>(step: () => Promise<T>): Promise<T>
}

export interface ContainerParts {
  readonly file: RecordFile
  readonly clock: Clock
  readonly secretOf: PinSecret
  readonly waitsForCertificate: boolean
  /** Called while nothing changes, each time that a PIN was set or accepted. Takes the 32 bytes over: they are its to wipe. */
  readonly onSecret: (secret: Buffer) => void
  readonly onLockedOut: () => void
}

export function container({ file, clock, secretOf, waitsForCertificate, onSecret, onLockedOut }: ContainerParts): Container {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const turn = last.then(step)
    last = turn.catch(() => undefined)
    return turn
  }
  const change = <T>(step: (record: ContainerRecord) => Promise<T>): Promise<T> => inTurn(async () => step(await file.load()))

  async function seal(record: ContainerRecord, secret: Buffer, pin: string): Promise<void> {
    await file.save({ ...record, ...noWrongPins, secret: await sealSecret(secret, secretOf(pin), record) })
    onSecret(secret)
  }

  async function unseal(record: ContainerRecord, pin: string): Promise<Buffer> {
    assertNotLockedOut(record, clock.now())
    if (!record.secret) throw noPin(record)
    const counted = withWrongPin(record, clock.now())
    // Counted before it is checked: who ends the process in between has won no try.
    await file.save(counted)
    const secret = await unsealSecret(record.secret, secretOf(pin), record)
    if (!secret) throw refused(counted)
    await file.save({ ...record, ...noWrongPins })
    return secret
  }

  function refused(record: ContainerRecord): AgentError {
    if (!isLockedOut(record, clock.now())) return wrongPin(record)
    onLockedOut()
    return lockedOut(record)
  }

  return {
    read: () => inTurn(file.load),
    note: (news) =>
      change(async (record) => {
        const next = { ...record, ...news }
        if (next.hasPayload !== record.hasPayload || next.hasMultiFactor !== record.hasMultiFactor) await file.save(next)
        return next
      }),
    provision: (pin) =>
      change(async (record) => {
        if (record.secret) return false
        if (waitsForCertificate && !record.hasPayload) throw waiting(record)
        assertPin(pin)
        await seal(record, newSecret(), pin)
        return true
      }),
    unlock: (pin) => change(async (record) => onSecret(await unseal(record, pin))),
    change: (pin, currentPin) =>
      change(async (record) => {
        assertPin(pin)
        return seal(record, await unseal(record, currentPin), pin)
      }),
    reset: (pin, forget) =>
      change(async (record) => {
        assertPin(pin)
        await forget()
        return seal(record, newSecret(), pin)
      }),
    inTurn,
  }
}

/** Wrong PINs up to the next lock-out. */
export const triesLeft = ({ wrongPins }: ContainerRecord): number => triesInARow - wrongPins

export const isLockedOut = ({ lockedUntil }: ContainerRecord, now: Instant): boolean => now < lockedUntil

/** Throws `ERR_KEY_STORAGE_LOCKED_OUT` while the container takes no PIN. */
export function assertNotLockedOut(record: ContainerRecord, now: Instant): void {
  if (isLockedOut(record, now)) throw lockedOut(record)
}

export function lockedOut({ user, lockedUntil }: ContainerRecord): AgentError {
  const until = new Date(lockedUntil).toISOString()
  return new AgentError('ERR_KEY_STORAGE_LOCKED_OUT', `the Passport container of ${user} takes no PIN until ${until}: too many wrong ones`)
}

export function noPin({ user }: ContainerRecord): AgentError {
  return new AgentError('ERR_USER_ACTION_REQUIRED', `${user} has to set a Windows Hello PIN first`)
}

function waiting({ user }: ContainerRecord): AgentError {
  return new AgentError('ERR_KEY_STORAGE_BUSY', `the PIN of ${user} waits for the certificate payload`)
}

const noWrongPins = { wrongPins: 0, lockouts: 0, lockedUntil: 0 }

function withWrongPin(record: ContainerRecord, now: Instant): ContainerRecord {
  if (triesLeft(record) > 1) return { ...record, wrongPins: record.wrongPins + 1 }
  const lockoutMs = lockoutsMs[Math.min(record.lockouts, lockoutsMs.length - 1)] as number
  return { ...record, wrongPins: 0, lockouts: record.lockouts + 1, lockedUntil: now + lockoutMs }
}

function wrongPin(record: ContainerRecord): AgentError {
  const left = triesLeft(record)
  return new AgentError('ERR_USER_ACTION_REQUIRED', `${record.user} entered a wrong PIN, ${left} ${left === 1 ? 'try' : 'tries'} left`)
}

function assertPin(pin: string): void {
  const length = [...pin].length
  if (length >= pinLength.min && length <= pinLength.max) return
  throw new AgentError('ERR_USER_ACTION_REQUIRED', `a Windows Hello PIN has ${pinLength.min} to ${pinLength.max} characters`)
}
