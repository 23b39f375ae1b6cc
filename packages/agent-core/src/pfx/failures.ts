import { AgentError } from '../errors.ts'

/** The file is not what can be imported; `problem` continues "the PFX …". */
export function invalidPfx(problem: string, cause?: unknown): never {
  throw new AgentError('ERR_PFX_INVALID', `the PFX ${problem}`, cause === undefined ? undefined : { cause })
}

/** No cause and no detail: whether password, MAC, padding or what came out was wrong is for nobody to learn. */
export function wrongPassword(): never {
  throw new AgentError('ERR_PFX_PASSWORD', 'the password is wrong, or the file was changed')
}

/** `what` is where it is used, `name` the algorithm. */
export function refusedAlgorithm(what: string, name: string): never {
  throw new AgentError('ERR_ALGORITHM_REFUSED', `the ${what} of the PFX uses ${name}, which is not supported`)
}

export function needsLegacy(what: string, name: string): never {
  throw new AgentError('ERR_ALGORITHM_REFUSED', `the ${what} of the PFX uses ${name}, which only the switch legacy allows`)
}

export function exceeded(what: string, limit: number): never {
  throw new AgentError('ERR_LIMIT_EXCEEDED', `the PFX has ${what}, expected at most ${limit}`)
}

/** What the codec found wrong in the file is wrong with the file. */
export function asInvalidPfx(error: unknown): unknown {
  if (!(error instanceof AgentError) || error.code !== 'ERR_DER_MALFORMED') return error
  return new AgentError('ERR_PFX_INVALID', `the PFX cannot be read: ${error.message}`, { cause: error })
}
