import { AgentError, openKeyStorage } from '@certfleet/agent-core'
import type { Command } from 'commander'
import { closeKeyStorage } from '../fleet/key-storage.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import { type FoundKey, keysOfFolder, keysOfToken } from './found-keys.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { type KspOptions, kspOf, secretBy, withKsp } from './ksp-options.ts'
import { tellProblem } from './tell.ts'

interface KeysOptions extends KspOptions {
  readonly state?: string
  readonly json?: true
}

interface DestroyOptions extends KeysOptions {
  readonly yes?: true
}

const keysExamples = `
Examples:
  $ certfleet keys list --state laptop-1
  $ certfleet keys destroy LABEL --state laptop-1`

const listExamples = `
Examples:
  $ certfleet keys list --state laptop-1
  $ certfleet keys list --ksp 'pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=dev0' --pin-file pin.txt --json

A folder's keys are listed without their passphrase or PIN; of a token's, those that "certfleet enroll" made.
A certificate is told where the folder has it as cert.pem.`

const destroyExamples = `
Examples:
  $ certfleet keys destroy certfleet-2f1c9f5e-8a41-4a0e-9d1b-3f6f0a1f7c55 --state laptop-1
  $ certfleet keys destroy k1 --ksp 'pkcs11:/usr/lib/softhsm/libsofthsm2.so?token=dev0' --pin-file pin.txt --yes

A key that is destroyed is gone for good; its certificate can no longer be used. Without a terminal to ask on, --yes is required.
Exit code 1 when there is no such key, or when the answer is no.`

export function defineKeys(program: Command, io: Io, end: (code: ExitCode) => void): void {
  const keys = program.command('keys').description("List or destroy the keys of an agent's state folder, or of a PKCS#11 token")
  keys.addHelpText('after', keysExamples)
  const list = keys.command('list').description('Tell what keys there are: label, storage, size, SHA-256 of the public key, certificate')
  withPlace(list)
    .addHelpText('after', listExamples)
    .action(async (options: KeysOptions) => end(await withKeys(options, io, async (found) => tellKeys(found, options, io))))
  const destroy = keys.command('destroy').description('Destroy one key for good').argument('<label>', 'the label, as "keys list" tells it')
  withPlace(destroy)
    .option('--yes', 'do not ask')
    .addHelpText('after', destroyExamples)
    .action(async (label: string, options: DestroyOptions) =>
      end(await withKeys(options, io, (found, signal) => destroyKey(label, found, options, io, signal))),
    )
}

function withPlace(command: Command): Command {
  command.option('--state <dir>', 'folder of an agent\'s state, such as the --out of "certfleet enroll"')
  return withKsp(command, 'a token: pkcs11:MODULE?token=LABEL').option('--json', 'print one JSON document on stdout')
}

type Work = (found: readonly FoundKey[], signal: AbortSignal) => Promise<ExitCode>

/** Finds the keys of folder and token, and holds the token's session until the work is done. */
async function withKeys(options: KeysOptions, io: Io, work: Work): Promise<ExitCode> {
  const { state } = options
  const ksp = await kspOf(options)
  if (state === undefined && ksp === undefined) throw new InputError('expected --state DIR, or --ksp pkcs11:MODULE?token=LABEL, or both')
  if (ksp !== undefined && ksp.kind !== 'pkcs11')
    throw new InputError('--ksp: expected a token; keys in a folder are found by --state alone')
  const interrupt = interruptSignal(io)
  try {
    const ofFolder = state === undefined ? [] : await keysOfFolder(state)
    if (ksp === undefined) return await work(ofFolder, interrupt.signal)
    const token = await openKeyStorage(ksp, { clock: io.clock, secret: secretBy(options, io, interrupt.signal) })
    try {
      return await work([...ofFolder, ...(await keysOfToken(token, state))], interrupt.signal)
    } finally {
      await closeKeyStorage(token)
    }
  } catch (error) {
    if (error !== interrupt.signal.reason) throw error
    tellProblem({ code: 'INTERRUPTED', message: 'interrupted; nothing was destroyed' }, options.json === true, io)
    return 130
  } finally {
    interrupt.release()
  }
}

function tellKeys(found: readonly FoundKey[], { json }: KeysOptions, io: Io): ExitCode {
  if (json) io.out(`${JSON.stringify({ keys: found.map(shown) })}\n`)
  else if (found.length === 0) io.out('no keys\n')
  else io.out(printable(`${table(found).join('\n')}\n`))
  return 0
}

async function destroyKey(
  label: string,
  found: readonly FoundKey[],
  options: DestroyOptions,
  io: Io,
  signal: AbortSignal,
): Promise<ExitCode> {
  const meant = found.filter((key) => key.label === label)
  if (meant.length === 0) throw new AgentError('ERR_KEY_UNAVAILABLE', `no key "${label}"; ${thereIs(found)}`)
  if (!(await isConfirmed(meant, options, io, signal))) {
    tellProblem({ code: 'DECLINED', message: `"${label}" was not destroyed` }, options.json === true, io)
    return 1
  }
  for (const key of meant) await key.destroy()
  if (options.json) io.out(`${JSON.stringify({ destroyed: meant.map(shown) })}\n`)
  else io.out(printable(meant.map((key) => `destroyed ${describe(key)}\n`).join('')))
  return 0
}

async function isConfirmed(meant: readonly FoundKey[], { yes }: DestroyOptions, { promptLine }: Io, signal: AbortSignal): Promise<boolean> {
  if (yes) return true
  if (!promptLine) throw new InputError('there is no terminal to ask on; give --yes to destroy the key')
  const answer = await promptLine(printable(`destroy ${meant.map(describe).join(' and ')} for good? [y/N] `), signal)
  return /^y(es)?$/i.test(answer.trim())
}

function describe({ label, storage, key, certificate }: FoundKey): string {
  return `"${label}" (${storage}, ${key}${certificate ? `, used by ${certificate}` : ''})`
}

function thereIs(found: readonly FoundKey[]): string {
  return found.length === 0 ? 'there are none' : `there are ${found.map(({ label }) => `"${label}"`).join(', ')}`
}

function shown({ destroy: _, ...facts }: FoundKey): Omit<FoundKey, 'destroy'> {
  return facts
}

function table(found: readonly FoundKey[]): string[] {
  const cells = found.map(({ label, storage, key, publicKeySha256, certificate }) => [
    label,
    storage,
    key,
    publicKeySha256,
    certificate ?? '-',
  ])
  const rows = [['label', 'storage', 'key', 'SHA-256 of the public key', 'certificate'], ...cells]
  const widths = (rows[0] as string[]).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
