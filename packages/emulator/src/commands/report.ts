import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { renderHtml } from '../report/html/index.ts'
import { loadJunit } from '../report/load-junit.ts'
import { printable } from '../report/printable.ts'
import { type Results, resultsSchema } from '../report/schema.ts'
import { renderResults } from '../report/table.ts'
import { InputError } from '../scenario/input-error.ts'
import type { ExitCode, Io } from './io.ts'
import { readInput } from './read-input.ts'

interface ReportOptions {
  readonly html?: string
  readonly junit?: string
}

const maxResultsBytes = 256 * 2 ** 20

const examples = `
Examples:
  $ certfleet report out/results.json
  $ certfleet report out/results.json --html report.html
  $ certfleet report out/results.json --junit junit.xml

results.json is what "certfleet run --out DIR" leaves there, and what "certfleet run --json" prints.
report.html holds all it needs: it opens from the file, fetches nothing, and prints on A4.
Files of these names are replaced. Exit code 0 whatever the verdict of the run was.`

export function defineReport(program: Command, io: Io, end: (code: ExitCode) => void): void {
  program
    .command('report')
    .description('Show the results of an earlier run again: as text, as a page with plots, or as JUnit')
    .argument('<results>', 'results.json of a run')
    .option('--html <file>', 'write a self-contained page with plots over time')
    .option('--junit <file>', 'write thresholds, invariants and platforms as JUnit XML')
    .addHelpText('after', examples)
    .action(async (file: string, options: ReportOptions) => end(await report(file, options, io)))
}

/** The text is for whoever asked for no file. */
async function report(file: string, { html, junit }: ReportOptions, io: Io): Promise<ExitCode> {
  const results = await readResults(file)
  if (html !== undefined) await write('--html', html, renderHtml(results))
  if (junit !== undefined) await write('--junit', junit, loadJunit(results))
  if (html === undefined && junit === undefined) io.out(`${printable(renderResults(results))}\n`)
  return 0
}

async function readResults(file: string): Promise<Results> {
  const bytes = await readInput('results', file, maxResultsBytes)
  const { success, data, error } = resultsSchema.safeParse(jsonOf(bytes, file))
  if (success) return data
  const [first] = error.issues
  const where = first?.path.map(String).join('.') ?? ''
  throw new InputError(`${file}: ${where === '' ? '' : `${where}: `}${first?.message}; expected the results.json of a run of this version`)
}

function jsonOf(bytes: Buffer, file: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new InputError(`${file}: is not JSON; expected the results.json of a run`)
  }
}

async function write(option: string, file: string, text: string): Promise<void> {
  await writeFile(file, text).catch((error: NodeJS.ErrnoException) => {
    throw new InputError(`${option} ${file}: cannot be written (${error.code}); name a file in a folder that exists`)
  })
}
