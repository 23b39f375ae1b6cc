import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../tooling/root.ts'
import { complaints, readExcuses } from './excused.ts'
import { runSuite } from './run-suite.ts'
import { type Score, type Suite, UnreadableVectors, type VectorCase } from './suite.ts'
import { limboFileSuite, suites } from './suites/index.ts'

const usage = 'usage: npm run vectors -- DIR [--json] | npm run vectors -- --limbo FILE [--json]'

/** A suite that could be there, or a folder that no suite knows, with the reason. */
interface NotScored {
  readonly name: string
  readonly reason: string
}

interface Loaded {
  readonly found: readonly { readonly suite: Suite; readonly cases: readonly VectorCase[] }[]
  readonly notScored: readonly NotScored[]
}

await main()

/**
 * Scores every suite that is in DIR, or one limbo file, and says what it does not score.
 * Exit status 1 when a failure has no excuse or an excuse no failure, 2 for wrong usage and for files that cannot be read.
 */
async function main(): Promise<void> {
  const { path, isFile, isJson } = readArguments()
  if (path === undefined) return wrong(usage)
  try {
    const excuses = readExcuses(join(root, 'test', 'vectors', 'excused.json'))
    const excused = new Set(excuses.map(({ id }) => id))
    const { found, notScored } = load(path, isFile)
    const scores: Score[] = []
    for (const { suite, cases } of found) scores.push(await runSuite(suite, cases, { path, isFile, excused }))
    const ran = new Set(found.flatMap(({ cases }) => cases.map(({ id }) => id)))
    print(scores, notScored, scores.length === 0 ? [`no suite found in ${path}`] : complaints(scores, excuses, ran), isJson)
  } catch (error) {
    if (!(error instanceof UnreadableVectors)) throw error
    wrong(error.message)
  }
}

function readArguments(): { path: string | undefined; isFile: boolean; isJson: boolean } {
  try {
    const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' }, limbo: { type: 'string' } } })
    const isFile = values.limbo !== undefined
    const paths = [...(values.limbo === undefined ? [] : [values.limbo]), ...positionals]
    return { path: paths.length === 1 ? paths[0] : undefined, isFile, isJson: values.json ?? false }
  } catch {
    return { path: undefined, isFile: false, isJson: false }
  }
}

function wrong(line: string): void {
  console.error(line)
  process.exitCode = 2
}

function load(path: string, isFile: boolean): Loaded {
  const wanted = isFile ? [limboFileSuite(path)] : suites
  const folders = isFile ? [] : foldersIn(path)
  const all = wanted.map((suite) => ({ suite, cases: casesOf(suite, path) }))
  const known = new Set(wanted.map(({ folder }) => folder))
  return {
    found: all.flatMap(({ suite, cases }) => (cases ? [{ suite, cases }] : [])),
    notScored: [
      ...all.flatMap(({ suite, cases }) => (cases ? [] : [{ name: suite.name, reason: `not in ${path}` }])),
      ...folders.filter((folder) => !known.has(folder)).map((name) => ({ name, reason: 'no suite' })),
      ...wanted.flatMap((suite) =>
        (suite.unscored?.(path) ?? []).map((file) => ({ name: `${suite.name}/${file}`, reason: 'nothing says what to expect of it' })),
      ),
    ],
  }
}

/** A file of another shape than its suite's fails somewhere in its making; where, is of no use to whoever typed the path. */
function casesOf(suite: Suite, path: string): readonly VectorCase[] | undefined {
  try {
    return suite.load(path)
  } catch (error) {
    throw error instanceof UnreadableVectors ? error : new UnreadableVectors(`${suite.name}: it cannot be read (${error})`)
  }
}

function foldersIn(path: string): readonly string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name)
  } catch (error) {
    throw new UnreadableVectors(`${path}: no folder that can be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

function print(scores: readonly Score[], notScored: readonly NotScored[], problems: readonly string[], isJson: boolean): void {
  if (isJson) console.log(JSON.stringify({ suites: scores, notScored, complaints: problems }, undefined, 2))
  else for (const line of [table(scores), ...notScored.map(({ name, reason }) => `not scored: ${name} (${reason})`)]) console.log(line)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}

function table(scores: readonly Score[]): string {
  const rows = scores.map(({ name, total, passed, falseAccepts, falseRejects, hangs, excused }) =>
    [name, `${passed}/${total}`, falseAccepts, falseRejects, hangs, excused].map(String),
  )
  const lines = [['suite', 'passed', 'false accepts', 'false rejects', 'hangs', 'excused'], ...rows]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  return lines
    .map((line) =>
      line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  '),
    )
    .join('\n')
}
