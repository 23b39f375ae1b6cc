import type { GestureAnswer, GesturePrompt, ModelledPassport, PassportOptions } from '#agent-core/keys/passport/passport.ts'
import { modelledPassport } from '#agent-core/keys/passport/passport.ts'
import { FakeClock } from '../fakes/clock.ts'
import { passportFolderBefore } from '../fakes/key-folders.ts'

export const pin = '739148-alice'
export const rsa2048 = { algorithm: 'rsa', bits: 2048 } as const
export const wish = { spec: rsa2048, hash: 'sha256', multiFactor: false } as const

export type Act = GestureAnswer | ((prompt: GesturePrompt, signal: AbortSignal) => Promise<GestureAnswer>)

/** Somebody at the device: does what `next` says, first to last, and then enters the PIN; remembers every prompt. */
export interface User {
  readonly clock: FakeClock
  readonly prompts: GesturePrompt[]
  readonly next: Act[]
  readonly passport: ModelledPassport
  /** The same container as a process that starts anew finds it. */
  restart(): ModelledPassport
}

export function alice(options: Partial<PassportOptions> = {}): User {
  const clock = new FakeClock(Date.UTC(2026, 0, 1))
  const prompts: GesturePrompt[] = []
  const next: Act[] = []
  const onGesture = async (prompt: GesturePrompt, signal: AbortSignal): Promise<GestureAnswer> => {
    prompts.push(prompt)
    const act = next.shift() ?? { pin }
    return typeof act === 'function' ? act(prompt, signal) : act
  }
  const restart = () => modelledPassport({ clock, user: 'alice', containerName: 'ngc-7', onGesture, ...options })
  return { clock, prompts, next, passport: restart(), restart }
}

/** With the PIN set. */
export async function provisioned(options: Partial<PassportOptions> = {}): Promise<User> {
  const user = alice(options)
  await user.passport.setPin(pin)
  return user
}

/** With the PIN set in an earlier process. */
export async function provisionedBefore(folder: string, options: Partial<PassportOptions> = {}): Promise<User> {
  await passportFolderBefore(folder, pin, { user: 'alice', containerName: 'ngc-7' })
  return alice({ folder, ...options })
}

export const wrong: Act = { pin: 'not the PIN' }

/** What it fails with; undefined where it does not. */
export async function codeOf(doing: Promise<unknown>): Promise<string | undefined> {
  return doing.then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  )
}
