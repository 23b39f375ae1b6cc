import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { root } from './root.ts'

/** Those that take more than some seven seconds, by what makes them take it: `npm run test:long`. */
const long: Readonly<Record<string, RegExp>> = {
  commands: /^commands\/(enroll-ksp|lab|queue|render|run|run-canary|run-shown|secret-input|secrets)\./,
  crashes: /^kill\/|^queue\/(carry|redis-crashes)\.|^reconcile\/crash|^simulate\/sabotage\./,
  fleet: /^fleet\/(bad-servers|fleet-state|interrupt|key-pool|processes|resume|workers)\./,
  peers: /^interop\/|^lab\/curl-walk\.|^pfx\/openssl\./,
  surveys:
    /^check\/(agreement|html-browser)\.|^conformance\/(command|mutation)\.|^examples\.|^keys\/passport(-folder)?\.|^lab\/ca-issuance\.|^security\/parse-entries\.|^vectors\//,
}

/** The default suite, `npm test`. `rest` has what no other has. */
const all: Readonly<Record<string, RegExp>> = {
  check: /^(check|conformance)\//,
  queue: /^queue\//,
  commands: /^commands\//,
  fleet: /^fleet\//,
  formats: /^(cms|der|oracles|pfx|pki)\//,
  keys: /^keys\//,
  lab: /^lab\//,
  platforms: /^(platforms|policy|scep|state|tenant|transport)\//,
  reconcile: /^(reconcile|security)\//,
}

/** The first that has a file has it. */
const parts: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = { long, all }

/** Tests that need a process for each, or a token. .taprc and package.json name them. */
const alone =
  /^(hardware|package)\/|^lab\/(flood|kill|power-cut)|^conformance\/foreign|^simulate\/events|^queue\/(canary|crashes|crashes-again|fresh-keys|frozen|redis-lost|stop)\./

/** For each file, as `timeout` in .taprc is for a file that runs alone. */
const fileTimeoutMs = 240_000

const compiled = join(root, '.build', 'test')

/**
 * Runs the test files of the part that `entry` is named after, "long/fleet.js" those of `fleet` among the long ones, in this process, one
 * after the other: a process for each would cost more than most of them do. Each has the root test to itself: its time, its `t.testdir()`,
 * and what it tears down at its end.
 */
export async function runPart(entry: string): Promise<void> {
  const part = `${basename(dirname(entry))}/${basename(entry, '.js')}`
  for (const file of testFiles()) if (partOf(file) === part) await runFile(file)
}

/** The names of all parts, as `partOf` gives them, sorted. */
export const partNames: readonly string[] = [
  ...Object.entries(parts).flatMap(([suite, names]) => Object.keys(names).map((name) => `${suite}/${name}`)),
  'all/rest',
].sort()

function testFiles(): readonly string[] {
  const names = readdirSync(compiled, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'))
  return names.filter((name) => name.endsWith('.test.js') && !alone.test(name)).sort()
}

function partOf(file: string): string {
  for (const [suite, names] of Object.entries(parts))
    for (const [name, has] of Object.entries(names)) if (has.test(file)) return `${suite}/${name}`
  return 'all/rest'
}

async function runFile(file: string): Promise<void> {
  const endings: (() => unknown)[] = []
  t.comment(file)
  t.setTimeout(fileTimeoutMs)
  t.testdirName = join(root, '.tap', 'fixtures', file.replaceAll('/', '-'))
  t.teardown = (ending: () => unknown) => void endings.unshift(ending)
  const failed = (error: unknown) => t.fail(file, { cause: error })
  await import(pathToFileURL(join(compiled, file)).href).catch(failed)
  if (!t.idle) await new Promise<void>((resolve) => t.once('idle', resolve))
  await tearDown(endings).catch(failed)
}

async function tearDown(endings: readonly (() => unknown)[]): Promise<void> {
  for (const ending of endings) await ending()
}
