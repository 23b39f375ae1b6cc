import { AgentError } from '../errors.ts'

export type NetworkFailure = Error & { code?: unknown; data?: unknown }

/** `ERR_NETWORK`: what failed, and by which code. */
export function networkError(what: string, cause: NetworkFailure): AgentError {
  // A parser's error quotes the response, which may be a challenge.
  if (cause.data !== undefined) cause.data = undefined
  return new AgentError('ERR_NETWORK', `${what}: ${String(cause.code ?? cause.message)}`, { cause })
}
