import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Profiler } from 'node:inspector'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type LineCoverage, lineCoverage, type ModuleRun } from './line-coverage.ts'

export interface FileCoverage extends LineCoverage {
  /** From the root, with forward slashes. */
  readonly file: string
}

/**
 * The line coverage of every `src` file of every package, loaded by a test or not.
 *
 * Only runs of the compiled modules in `dist` count. A child process that ran the sources through tsx leaves counts too,
 * but their offsets belong to code that exists only in memory, and would make every line look covered.
 */
export function measureCoverage(root: string, coverageFolder: string): FileCoverage[] {
  const runs = readRuns(coverageFolder)
  return packageFolders(root).flatMap((folder) =>
    sourceFiles(join(root, folder, 'src')).map((file) => measureFile(root, folder, file, runs)),
  )
}

function readRuns(coverageFolder: string): Map<string, ModuleRun[]> {
  const runs = new Map<string, ModuleRun[]>()
  for (const name of readdirSync(coverageFolder).filter((entry) => entry.endsWith('.json'))) {
    const { result } = JSON.parse(readFileSync(join(coverageFolder, name), 'utf8')) as { result: Profiler.ScriptCoverage[] }
    for (const { url, functions } of result) runs.set(url, [...(runs.get(url) ?? []), functions])
  }
  return runs
}

function packageFolders(root: string): string[] {
  return readdirSync(join(root, 'packages')).map((name) => `packages/${name}`)
}

function sourceFiles(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return entries
    .filter((entry) => entry.endsWith('.ts'))
    .map((entry) => entry.replaceAll('\\', '/'))
    .sort()
}

function measureFile(root: string, folder: string, source: string, runs: Map<string, ModuleRun[]>): FileCoverage {
  const file = `${folder}/src/${source}`
  const emitted = join(root, folder, 'dist', source.replace(/\.ts$/, '.js'))
  if (!existsSync(emitted)) throw new Error(`${file} is not compiled: run "npm run build"`)
  const map = readFileSync(`${emitted}.map`, 'utf8')
  const text = readFileSync(join(root, file), 'utf8')
  return { file, ...lineCoverage(readFileSync(emitted, 'utf8'), map, text, runs.get(pathToFileURL(emitted).href) ?? []) }
}
