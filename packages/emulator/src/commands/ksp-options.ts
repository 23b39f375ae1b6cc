import { type Ksp, parseKsp, type SecretNeed } from '@certfleet/agent-core'
import type { Command } from 'commander'
import { InputError } from '../scenario/input-error.ts'
import type { Io } from './io.ts'
import { readingInput } from './options.ts'
import { readSecret } from './secret-input.ts'

export interface KspOptions {
  /** Read by `kspOf` and not by commander, which repeats a bad value: somebody may have put a PIN in it. */
  readonly ksp?: string
  readonly pinFile?: string
}

export function withKsp(command: Command, description: string): Command {
  return command
    .option('--ksp <storage>', description)
    .option('--pin-file <file>', 'file whose first line is the PIN or passphrase of that key storage (default: CERTFLEET_PIN, or a prompt)')
}

/** The key storage that was named; undefined where none was. What cannot be one, and a file for a PIN that nothing asks for: `InputError`. */
export async function kspOf({ ksp: text, pinFile }: KspOptions): Promise<Ksp | undefined> {
  if (text === undefined && pinFile !== undefined) throw new InputError('--pin-file is for a key storage; name one with --ksp')
  if (text === undefined) return undefined
  const ksp = await readingInput(() => parseKsp(text)).catch((error: Error) => {
    throw new InputError(`--ksp: ${error.message}`, { cause: error })
  })
  if (ksp.kind === 'tpm' && pinFile !== undefined)
    throw new InputError('--pin-file: the modelled TPM asks for no PIN; leave the option out')
  return ksp
}

/** Answers what a key storage asks for. */
export function secretBy({ pinFile }: KspOptions, io: Io, signal: AbortSignal): (need: SecretNeed) => Promise<string> {
  return (need) => readSecret(need, { option: '--pin-file', path: pinFile, io, signal })
}
