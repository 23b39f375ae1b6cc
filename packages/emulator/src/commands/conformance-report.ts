import { writeFile } from 'node:fs/promises'
import type { CheckResult } from '@certfleet/platforms/conformance'
import { isConformant, renderConformance } from '../report/conformance.ts'
import { junitXml } from '../report/junit.ts'
import { printable } from '../report/printable.ts'
import { InputError } from '../scenario/input-error.ts'
import type { ExitCode, Io } from './io.ts'

export interface ReportOptions {
  readonly junit?: string
  readonly json?: true
}

export interface CheckRow {
  readonly id: string
  readonly platform: string
  readonly given: string
  readonly expect: string
  readonly source: string
}

/** What would be run. */
export function tellChecks(rows: readonly CheckRow[], json: boolean, io: Io): ExitCode {
  const text = () =>
    rows.map(
      ({ id, platform, given, expect, source }) => `${platform}  ${id}\n  given   ${given}\n  expect  ${expect}\n  source  ${source}\n`,
    )
  io.out(json ? `${JSON.stringify({ checks: rows })}\n` : printable(`${text().join('')}${rows.length} checks\n`))
  return 0
}

/** Runs `total` checks and tells of each while they run, and of all at the end. A file that cannot be written is found before the first. */
export async function reported(
  total: number,
  { junit, json }: ReportOptions,
  io: Io,
  run: (onResult: (result: CheckResult) => void) => Promise<readonly CheckResult[]>,
): Promise<ExitCode> {
  if (junit !== undefined) await write(junit, '')
  const results = await run(progress(total, io))
  if (junit !== undefined) await write(junit, junitXml('certfleet conformance', results.map(junitCase)))
  io.out(json ? `${JSON.stringify({ checks: results })}\n` : printable(`\n${renderConformance(results)}\n`))
  return isConformant(results) ? 0 : 1
}

const junitCase = ({ id, platform, ...result }: CheckResult) => ({ suite: platform, name: id, ...result })

function progress(total: number, io: Io): (result: CheckResult) => void {
  let done = 0
  return ({ id, platform, status }) => {
    done++
    if (status === 'failed') io.err(`${io.errIsTerminal ? '\r\x1b[2K' : ''}failed  ${platform}  ${id}\n`)
    if (io.errIsTerminal) io.err(`\r\x1b[2K${done}/${total}  ${platform}  ${id}${done === total ? '\n' : ''}`)
    else if (done % Math.ceil(total / 10) === 0) io.err(`${done}/${total} checks\n`)
  }
}

async function write(file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`--junit ${file}: cannot be written (${error.code}); name a file in a folder that exists`)
  })
}
