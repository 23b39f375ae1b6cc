import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { root } from '../tooling/root.ts'

/** A part of the default suite for each process, and which of the files it has; `rest` has what no other has. */
const parts: Readonly<Record<string, RegExp>> = {
  check: /^check\//,
  queue: /^(queue\/|commands\/queue)/,
  commands: /^commands\//,
  conformance: /^conformance\//,
  fleet: /^(fleet|interop|tenant)\//,
  formats: /^(cms|der|oracles|pfx|pki|vectors)\//,
  keys: /^keys\//,
  'lab-a-m': /^lab\/[a-m]/,
  'lab-n-z': /^lab\/[n-z]/,
  reconcile: /^(reconcile|security)\//,
}

/** Tests of processes and of tokens, and those that take minutes. .taprc and package.json name them. */
const alone =
  /^(hardware|package)\/|^lab\/(flood|kill|power-cut)|^conformance\/foreign|^simulate\/events|^queue\/(canary|crashes|crashes-again|fresh-keys|frozen|redis-lost|stop)\./

/** For each file, as `timeout` in .taprc is for a file that runs alone. */
const fileTimeoutMs = 240_000

const compiled = join(root, '.build', 'test')

/**
 * Runs the test files of the part that `entry` is named after, in this process, one after the other: a process for each would cost more
 * than most of them do. Each has the root test to itself: its time, its `t.testdir()`, and what it tears down at its end.
 */
export async function runPart(entry: string): Promise<void> {
  for (const file of filesOf(basename(entry, '.js'))) await runFile(file)
}

/** The names of all parts, sorted. */
export const partNames: readonly string[] = [...Object.keys(parts), 'rest'].sort()

function filesOf(part: string): string[] {
  const names = readdirSync(compiled, { recursive: true, encoding: 'utf8' }).map((name) => name.replaceAll('\\', '/'))
  const files = names.filter((name) => name.endsWith('.test.js') && !alone.test(name)).sort()
  return files.filter((file) => (Object.entries(parts).find(([, has]) => has.test(file))?.[0] ?? 'rest') === part)
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
