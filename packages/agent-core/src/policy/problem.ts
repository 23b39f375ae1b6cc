import type { z } from 'zod'
import { AgentError } from '../errors.ts'

/** Where the first problem lies, below `path`: `scepProfiles[0].validity.value`. */
export function where(path: string, error: z.ZodError): string {
  const steps = error.issues[0]?.path ?? []
  return steps.reduce<string>(
    (at, step) => (typeof step === 'number' ? `${at}[${step}]` : at ? `${at}.${String(step)}` : String(step)),
    path,
  )
}

/** What was expected there. Never the value that was found: nobody has checked it for secrets. */
export function expected(error: z.ZodError): string {
  const message = error.issues[0]?.message ?? 'expected another value'
  const start = message.indexOf('expected')
  return start === -1 ? message.charAt(0).toLowerCase() + message.slice(1) : message.slice(start)
}

/** The whole document is refused for what stands at `path`. */
export function invalid(path: string, problem: string): AgentError {
  return new AgentError('ERR_POLICY_INVALID', `policy document${path && ` at ${path}`}: ${problem}`)
}
