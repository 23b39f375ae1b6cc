import { writeFile } from 'node:fs/promises'
import { httpTransport } from '@certfleet/agent-core'
import {
  answersOf,
  type CheckFinding,
  type CheckInput,
  type CheckResult,
  checkExport,
  checkReportHtml,
  diffExports,
  type Emulation,
  emulate,
  explain,
  explanationText,
  exportScript,
  probeServers,
} from '../check/index.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { Seed } from '../scenario/schema.ts'
import { loadExport, loadTenant, type Platform, type Tenant } from '../tenant/index.ts'
import { checkJson, checkText, diffText } from './check-tell.ts'
import type { FactOptions } from './fact-option.ts'
import { type ExitCode, type Io, interruptSignal } from './io.ts'
import { readingInput } from './options.ts'

export interface CheckOptions extends FactOptions {
  readonly tenant?: string
  readonly platform?: Platform
  readonly device?: string
  readonly diff?: string
  readonly explain?: string
  readonly probe?: true
  readonly emulate?: true
  readonly seed?: Seed
  readonly html?: string
  readonly json?: true
  readonly howToExport?: true
}

export async function runCheck(path: string | undefined, options: CheckOptions, io: Io): Promise<ExitCode> {
  if (options.howToExport) {
    io.out(exportScript)
    return 0
  }
  refuseContradictions(path, options)
  const tenant = options.tenant === undefined ? undefined : await readingInput(() => loadTenant(options.tenant as string))
  refuseUnknownDevice(options, tenant)
  const input = await readInput(path as string, tenant, options, io)
  if (options.explain !== undefined) return tellExplanation(input, options, io)
  if (options.diff !== undefined) return tellDiff(await readInput(options.diff, tenant, options, io), input, options, io)
  return tellCheck(input, options, io)
}

function refuseContradictions(path: string | undefined, { explain, device, tenant, diff, emulate, html, probe }: CheckOptions): void {
  if (path === undefined) throw new InputError('expected the path of an export; --how-to-export prints a script that makes one')
  const alone = [explain !== undefined && '--explain', diff !== undefined && '--diff'].filter((name) => name !== false)
  const whole = [emulate && '--emulate', html !== undefined && '--html', probe && '--probe'].filter(
    (name) => name !== undefined && name !== false,
  )
  if (alone.length > 1) throw new InputError('--explain and --diff answer different questions; give one of them')
  if (alone.length > 0 && whole.length > 0) throw new InputError(`${whole[0]} has no effect with ${alone[0]}; leave one of them out`)
  if (explain !== undefined && device === undefined) throw new InputError('--explain walks a profile on one device; give it with --device')
  if (tenant === undefined && device !== undefined) throw new InputError('--device names a device of the tenant; give that with --tenant')
  if (tenant === undefined && emulate) throw new InputError('--emulate runs the devices of a tenant; give that with --tenant')
}

function refuseUnknownDevice({ device, platform }: CheckOptions, tenant: Tenant | undefined): void {
  if (device === undefined || tenant === undefined) return
  const found = tenant.devices.get(device)
  if (found === undefined) throw new InputError(`${tenant.file}: no device has the id "${device}"`)
  if (platform !== undefined && found.platform !== platform)
    throw new InputError(`"${device}" is a device of ${found.platform}; leave --platform out, or name that`)
}

async function readInput(path: string, tenant: Tenant | undefined, { fact }: CheckOptions, io: Io): Promise<CheckInput> {
  const imported = await readingInput(() => loadExport(path))
  return { imported, tenant, now: io.clock.now(), overrides: fact }
}

/** Probing and emulating take their time, and can be interrupted. */
async function tellCheck(input: CheckInput, options: CheckOptions, io: Io): Promise<ExitCode> {
  const { signal, release } = interruptSignal(io)
  try {
    return await checkAndTell(input, options, io, signal)
  } catch (error) {
    if (!signal.aborted) throw error
    io.err('interrupted; nothing was written\n')
    return 130
  } finally {
    release()
  }
}

async function checkAndTell(input: CheckInput, options: CheckOptions, io: Io, signal: AbortSignal): Promise<ExitCode> {
  const checked = checkExport(input, options)
  const probed = options.probe ? await probing(input, io, signal) : []
  const result: CheckResult = { ...checked, findings: [...checked.findings, ...probed] }
  const emulation = options.emulate ? await readingInput(() => emulating(result, options, io, signal)) : undefined
  const told = emulation ? { ...result, findings: emulation.findings } : result
  const answers = answersOf(told.context, { probed: options.probe === true, emulated: emulation !== undefined })
  if (options.html !== undefined)
    await writeReport(options.html, checkReportHtml({ result: told, answers, emulation, at: input.now, scope: options }))
  io.out(
    options.json
      ? `${JSON.stringify(checkJson(told, answers, emulation))}\n`
      : printable(checkText(told, answers, emulation, options.device)),
  )
  return exitCodeOf(told.findings, emulation)
}

async function probing(input: CheckInput, io: Io, signal: AbortSignal): Promise<readonly CheckFinding[]> {
  const transport = httpTransport({ clock: io.clock, timeoutMs: 10_000, allowLoopback: true })
  try {
    return await probeServers(input, transport, signal)
  } finally {
    await transport.close()
  }
}

function emulating(result: CheckResult, { seed = 1, json }: CheckOptions, io: Io, signal: AbortSignal): Promise<Emulation> {
  const onDevice = (done: number, of: number) => {
    if (!json && (done === of || done % 100 === 0)) io.err(`emulated ${done} of ${of} devices\n`)
  }
  return emulate(result, { seed, clock: io.clock, signal, onDevice })
}

async function writeReport(file: string, html: string): Promise<void> {
  await writeFile(file, html).catch(({ code }: NodeJS.ErrnoException) => {
    throw new InputError(`--html ${file}: cannot be written (${code})`)
  })
}

function tellExplanation(input: CheckInput, { explain: profile, device, json }: CheckOptions, io: Io): Promise<ExitCode> {
  return readingInput((): ExitCode => {
    const explanation = explain(checkExport(input, { device }).context, profile as string, device as string)
    io.out(json ? `${JSON.stringify(explanation)}\n` : printable(explanationText(explanation)))
    return exitCodeOf(unreadableIn(input), undefined)
  })
}

function tellDiff(before: CheckInput, after: CheckInput, { json }: CheckOptions, io: Io): ExitCode {
  const findings = diffExports(before, after)
  io.out(json ? `${JSON.stringify({ findings, errors: errorsOf(findings) })}\n` : printable(diffText(findings)))
  return exitCodeOf([...unreadableIn(before), ...unreadableIn(after), ...findings], undefined)
}

const errorsOf = (findings: readonly CheckFinding[]): number => findings.filter(({ severity }) => severity === 'error').length

const isUnreadable = ({ id }: CheckFinding): boolean => id === 'file-malformed' || id === 'links-file-invalid'
const unreadableIn = ({ imported }: CheckInput): readonly CheckFinding[] => imported.findings.filter(isUnreadable)

/** What could not be read was not checked: no verdict about it is worth anything. */
function exitCodeOf(findings: readonly CheckFinding[], emulation: Emulation | undefined): ExitCode {
  if (findings.some(isUnreadable)) return 2
  return errorsOf(findings) > 0 || (emulation?.disagreements.length ?? 0) > 0 ? 1 : 0
}
