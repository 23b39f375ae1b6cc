import { AgentError, type AgentErrorCode } from '../../errors.ts'
import type { Cryptoki } from './cryptoki.ts'

/** A PKCS#11 function that did not return CKR_OK. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  /** `C_Login`. */
  readonly step: string
  /** `CKR_PIN_INCORRECT`. */
  readonly returnValue: string
  constructor(step: string, returnValue: string) {
    super(`${step} returned ${returnValue}`)
    this.step = step
    this.returnValue = returnValue
  }
}

/** The same functions; what they throw for a return value is a `Refusal`. */
export function withRefusals(cryptoki: Cryptoki): Cryptoki {
  return new Proxy(cryptoki, {
    get(target, step: string) {
      const call = target[step as keyof Cryptoki] as (...args: unknown[]) => unknown
      return (...args: unknown[]) => {
        try {
          return call.apply(target, args)
        } catch (error) {
          throw refusalOf(step, error)
        }
      }
    },
  })
}

function refusalOf(step: string, error: unknown): unknown {
  const [returnValue] = /CKR_\w+/.exec(error instanceof Error ? error.message : '') ?? []
  return returnValue === undefined ? error : new Refusal(step, returnValue)
}

const saysNothing = new Set(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR'])

type Meaning = Extract<AgentErrorCode, `ERR_KEY_${string}` | 'ERR_UNSUPPORTED'>

/** What PKCS#11 v2.40 5.1 says of the return values. Any other is a storage that cannot be used. */
const meanings = {
  ERR_KEY_SECRET_REFUSED: ['PIN_INCORRECT', 'PIN_INVALID', 'PIN_LEN_RANGE', 'PIN_EXPIRED'],
  ERR_KEY_STORAGE_LOCKED_OUT: ['PIN_LOCKED'],
  ERR_KEY_STORAGE_FULL: ['DEVICE_MEMORY'],
  // The last three say nothing of what is wrong. Taken for passing, they are asked again a few times and keep the attempt for later;
  // taken for the end, one hiccup of a TPM would stop an agent until its policy changes.
  ERR_KEY_STORAGE_BUSY: [
    'SESSION_COUNT',
    'FUNCTION_CANCELED',
    'HOST_MEMORY',
    'OPERATION_ACTIVE',
    'GENERAL_ERROR',
    'FUNCTION_FAILED',
    'DEVICE_ERROR',
  ],
  ERR_UNSUPPORTED: [
    'ARGUMENTS_BAD',
    'ATTRIBUTE_VALUE_INVALID',
    'DOMAIN_PARAMS_INVALID',
    'FUNCTION_NOT_SUPPORTED',
    'KEY_FUNCTION_NOT_PERMITTED',
    'KEY_SIZE_RANGE',
    'MECHANISM_INVALID',
    'MECHANISM_PARAM_INVALID',
    'TEMPLATE_INCOMPLETE',
    'TEMPLATE_INCONSISTENT',
    'TOKEN_WRITE_PROTECTED',
  ],
} as const satisfies Partial<Record<Meaning, readonly string[]>>

const codeByReturnValue: ReadonlyMap<string, Meaning> = new Map(
  Object.entries(meanings).flatMap(([code, names]) => names.map((name) => [`CKR_${name}`, code as Meaning])),
)

/** What a refusal means to the agent; the message names the function and its return value. */
export function agentErrorOf(refusal: Refusal, token: string): AgentError {
  const { step, returnValue } = refusal
  const code = codeByReturnValue.get(returnValue) ?? 'ERR_KEY_STORAGE_UNAVAILABLE'
  return new AgentError(code, `PKCS#11 token "${token}": ${step} returned ${returnValue}`, { cause: refusal })
}

const lost = new Set(
  [
    'DEVICE_REMOVED',
    'KEY_HANDLE_INVALID',
    'OBJECT_HANDLE_INVALID',
    'OPERATION_NOT_INITIALIZED',
    'SESSION_CLOSED',
    'SESSION_HANDLE_INVALID',
    'SLOT_ID_INVALID',
    'TOKEN_NOT_PRESENT',
    'USER_NOT_LOGGED_IN',
  ].map((name) => `CKR_${name}`),
)

/** Session, login or object went away: a new session and another look for the object may find all well. */
export function isLost(error: unknown): boolean {
  return error instanceof Refusal && lost.has(error.returnValue)
}

/** In place of a return value: what a library that confuses its objects does. */
export const wrongObject = 'the handle of another object'

/**
 * The library was finished by somebody else, confuses its objects, or says nothing of what is wrong: it may have lost its way to the token,
 * or hold more there than the token has room for. A new start cures that.
 */
export function isDeaf(error: unknown): boolean {
  if (!(error instanceof Refusal)) return false
  const { returnValue } = error
  return returnValue === 'CKR_CRYPTOKI_NOT_INITIALIZED' || returnValue === wrongObject || saysNothing.has(returnValue)
}

/** Does what may be refused, and makes nothing of it. */
export function unlessRefused(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
  }
}
