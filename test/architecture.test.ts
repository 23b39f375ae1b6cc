import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import * as rules from './architecture/rules.ts'
import { readModule } from './architecture/source.ts'
import { root } from './tooling/root.ts'
import { partNames } from './tooling/run-part.ts'

process.chdir(root)

const packageFolders = ['agent-core', 'platforms', 'emulator'].map((name) => `packages/${name}`)
const modules = packageFolders.flatMap((folder) => sourceFiles(`${folder}/src`)).map((file) => readModule(file, readFileSync(file, 'utf8')))
const entryPoints = new Map(packageFolders.flatMap(entryPointsOf))
/** The program, and the processes that a fleet starts by fork. */
const entryFiles = [...entryPoints.values(), 'packages/emulator/src/cli.ts', 'packages/emulator/src/fleet/process.ts']

/** Files past 300 lines, with the lines they have and why they stay whole. The numbers only go down. */
const longer: ReadonlyMap<string, { lines: number; reason: string }> = new Map()

const holds: [string, rules.Findings][] = [
  ['packages import in one direction', rules.packageArrows(modules)],
  ['plan/ imports only types', rules.planImportsTypesOnly(modules)],
  ['lab/ uses no decision of the agent', rules.labKnowsNoAgent(modules, entryPoints)],
  ['platform folders never import each other', rules.platformsApart(modules)],
  ['the core touches no file outside state and policy cache, and does not ask for the host OS', rules.coreReadsNoHost(modules)],
  ['the core names no platform', rules.coreNamesNoPlatform(modules)],
  ['clock, timers, chance and network are read in system.ts alone', rules.hostClockOnlyInSystem(modules)],
  ['every source file is reached from an entry point', rules.noDeadFiles(modules, entryFiles)],
  ['no source file is over 300 lines', rules.noLongFiles(modules, 300, longer)],
  [
    'no file names a machine path or a registry host',
    ownFiles().flatMap((file) => rules.noMachineTraces(file, readFileSync(file, 'utf8'))),
  ],
]
for (const [name, findings] of holds) t.strictSame(findings, [], name)

t.test('entry points are files of their package', async (t) => {
  const known = new Set(modules.map(({ file }) => file))
  for (const file of entryFiles) t.ok(known.has(file), file)
})

t.test('every part of the suite has its entry, or its tests would not run', async (t) => {
  const entries = ['all', 'long'].flatMap((suite) => readdirSync(`test/${suite}`).map((file) => `${suite}/${file.replace('.ts', '')}`))
  t.strictSame(entries.sort(), partNames)
})

function sourceFiles(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return entries.filter((entry) => entry.endsWith('.ts')).map((entry) => `${folder}/${entry}`)
}

function entryPointsOf(folder: string): [string, string][] {
  const { name, exports } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as {
    name: string
    exports: Record<string, Record<string, string>>
  }
  return Object.entries(exports).map(([subpath, targets]) => [
    `${name}${subpath.slice(1)}`,
    `${folder}/${targets['certfleet-source']?.slice(2)}`,
  ])
}

/** What is committed or would be. */
function ownFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'], {
    encoding: 'utf8',
  })
  const deleted = new Set(execFileSync('git', ['ls-files', '-z', '--deleted'], { encoding: 'utf8' }).split('\0'))
  return listed.split('\0').filter((file) => file !== '' && !deleted.has(file))
}
