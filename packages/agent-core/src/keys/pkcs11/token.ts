import { createHash, timingSafeEqual } from 'node:crypto'
import { AgentError } from '../../errors.ts'
import { CKF, CKS_RW_USER_FUNCTIONS, CKU_USER, type Handle } from './cryptoki.ts'
import { readFacts, slotOf, type TokenFacts } from './facts.ts'
import type { Module } from './module.ts'
import type { Desk } from './objects.ts'
import { agentErrorOf, isDeaf, isLost, Refusal, unlessRefused } from './refusal.ts'

/** A token in one thread: one session, logged in, made anew when it is lost. */
export interface Token {
  readonly facts: TokenFacts
  /** Fails as any work would where the token cannot serve. */
  check(): void
  /** Hands `work` a session. When session, login, object or library turn out to be lost, once more with a new one. */
  run<T>(work: (desk: Desk) => T): T
  /** Does `work` once, whatever comes of it. */
  runOnce<T>(work: (desk: Desk) => T): T
  /** Starts the library anew, where that is ours to do. */
  restart(): void
  /** Whether it was opened with this PIN. Asks nothing of the token, so no try is spent. */
  isPin(pin: string): boolean
  close(): void
}

/** Logs in at once. The PIN stays in this thread's closures, and one that was refused is never tried again: that would lock the token. */
export function openToken({ cryptoki, restart, starts }: Module, label: string, pin: string): Token {
  let current: { slot: Handle; session: Handle; start: number } | undefined
  let refused: AgentError | undefined
  let hasLoggedIn = false

  function connect() {
    if (refused) throw refused
    const slot = slotOf(cryptoki, label)
    current = { slot, session: cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION), start: starts() }
    try {
      login(current)
    } catch (error) {
      drop()
      throw error
    }
    return current
  }

  function login({ slot, session }: { slot: Handle; session: Handle }): void {
    const { flags } = cryptoki.C_GetTokenInfo(slot)
    if (flags & CKF.USER_PIN_LOCKED) throw new AgentError('ERR_KEY_STORAGE_LOCKED_OUT', `the PIN of PKCS#11 token "${label}" is locked`)
    if (flags & CKF.USER_PIN_FINAL_TRY) throw lastTry(label)
    try {
      cryptoki.C_Login(session, CKU_USER, pin)
    } catch (error) {
      if (!(error instanceof Refusal && error.returnValue === 'CKR_USER_ALREADY_LOGGED_IN')) throw loginFailure(error)
    }
    hasLoggedIn = true
  }

  /** Until a PIN has been right, whatever the token says may mean that it was wrong, and counted: nothing of that is asked again at once. */
  function loginFailure(error: unknown): unknown {
    const failure = error instanceof Refusal ? agentErrorOf(error, label) : undefined
    if (failure?.code === 'ERR_KEY_SECRET_REFUSED') refused = failure
    if (failure?.code !== 'ERR_KEY_STORAGE_BUSY' || hasLoggedIn) return error
    return new AgentError('ERR_KEY_STORAGE_UNAVAILABLE', failure.message, { cause: error })
  }

  /** The end of the session logs out. */
  function drop(): void {
    const session = current?.start === starts() ? current.session : undefined
    current = undefined
    if (session) unlessRefused(() => cryptoki.C_CloseSession(session))
  }

  function attempt<T>(work: (desk: Desk & { slot: Handle }) => T): T {
    if (current && current.start !== starts()) drop()
    try {
      const desk = { cryptoki, ...(current ?? connect()) }
      checkLogin(desk)
      return work(desk)
    } catch (error) {
      // After a refusal the session may be gone, or hold an operation that failed: some libraries never end that one.
      if (!(error instanceof AgentError)) drop()
      throw error
    }
  }

  function run<T>(work: (desk: Desk & { slot: Handle }) => T): T {
    return told(() => {
      try {
        return attempt(work)
      } catch (error) {
        if (hasLoggedIn && isDeaf(error)) restart()
        else if (!isLost(error)) throw error
        return attempt(work)
      }
    })
  }

  function told<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw error instanceof Refusal ? agentErrorOf(error, label) : error
    }
  }

  const facts = run(({ slot }) => readFacts(cryptoki, slot))
  return {
    facts,
    check: () => void run(({ slot }) => cryptoki.C_GetTokenInfo(slot)),
    run,
    runOnce: (work) =>
      told(() => {
        try {
          return attempt(work)
        } catch (error) {
          if (hasLoggedIn && isDeaf(error)) restart()
          throw error
        }
      }),
    restart,
    isPin: (given) => timingSafeEqual(digest(given), digest(pin)),
    close: drop,
  }
}

/** Without a login private objects are not refused but not found, and a key would be taken for lost. */
function checkLogin({ cryptoki, session }: Desk): void {
  const { state } = cryptoki.C_GetSessionInfo(session)
  if (state !== CKS_RW_USER_FUNCTIONS) throw new Refusal('C_GetSessionInfo', 'CKR_USER_NOT_LOGGED_IN')
}

function lastTry(label: string): AgentError {
  const advice = 'that try is not spent here: log in with another program first, which resets the counter'
  return new AgentError('ERR_KEY_SECRET_REFUSED', `PKCS#11 token "${label}" is one wrong PIN from being locked, and ${advice}`)
}

const digest = (pin: string): Buffer => createHash('sha256').update(pin).digest()
