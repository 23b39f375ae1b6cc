import { stat } from 'node:fs/promises'
import type { SecretNeed } from '@certfleet/agent-core'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { firstLineOf } from './read-input.ts'

/** What others may do with a file. */
const othersMode = 0o077

export interface SecretSource {
  /** What names a file for it: an option, or a key of the scenario. */
  readonly option: string
  /** The file that was named. */
  readonly path?: string | undefined
  readonly io: Io
  readonly signal: AbortSignal
}

/**
 * A PIN or passphrase: the first line of the file that was named, else CERTFLEET_PIN, else what the person at the terminal types, twice
 * where it is new. None of them: `InputError`. It is never an option's value: those show in the process list.
 */
export async function readSecret(need: SecretNeed, source: SecretSource): Promise<string> {
  if (source.path !== undefined) return secretIn(source.path, source, 'the PIN or passphrase')
  return source.io.env.CERTFLEET_PIN || typed(need, source)
}

/** The first line of the file; an empty one is `InputError`. Warns of who else could read it. */
export async function secretIn(path: string, { option, io }: Pick<SecretSource, 'option' | 'io'>, expected: string): Promise<string> {
  const secret = await firstLineOf(option, path, expected)
  // Windows keeps no such mode.
  if (process.platform !== 'win32' && ((await stat(path)).mode & othersMode) !== 0)
    io.err(printable(`warning: ${option} ${path}: others on this machine can read it; "chmod 600" ends that\n`))
  return secret
}

async function typed({ kind, of, isNew, signal: awaited }: SecretNeed, { option, io, signal }: SecretSource): Promise<string> {
  const what = kind === 'pin' ? 'PIN' : 'passphrase'
  const { promptSecret } = io
  if (!promptSecret)
    throw new InputError(`no ${what} for the ${of}: set CERTFLEET_PIN or name a file with ${option}; there is no terminal to ask on`)
  const until = awaited ? AbortSignal.any([signal, awaited]) : signal
  const secret = await promptSecret(printable(`${isNew ? 'new ' : ''}${what} for the ${of}: `), until)
  if (secret === '') throw new InputError(`the ${what} for the ${of} is empty`)
  if (isNew && (await promptSecret('the same again: ', until)) !== secret) throw new InputError('the two entries differ; nothing was done')
  return secret
}
