import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { measureCoverage } from '../../scripts/measure-coverage.ts'

const tsc = fileURLToPath(new URL('lib/tsc.js', import.meta.resolve('typescript/package.json')))
const compilerOptions = {
  target: 'ES2023',
  module: 'nodenext',
  rootDir: 'src',
  outDir: 'dist',
  sourceMap: true,
  rewriteRelativeImportExtensions: true,
  types: [],
}

const called = `import { twice } from './twice.ts'

/** Reports on a number. */
export interface Report {
  readonly value: number
}

export function called(value: number): Report {
  if (value > 100) {
    throw new Error('too large')
  }
  return { value: twice(value) }
}

// Nobody calls this one.
export function neverCalled(value: number): number {
  const doubled = value * 2
  return doubled
}

called(1)
`
const twice = 'export const twice = (value: number): number => value * 2\n'
const neverLoaded = 'export const answer = 42\n\nexport function ask(): number {\n  return answer\n}\n'

t.test('coverage is counted on what really ran', async (t) => {
  const root = t.testdir({
    packages: {
      demo: {
        'package.json': '{ "type": "module" }',
        'tsconfig.json': JSON.stringify({ compilerOptions, include: ['src'] }),
        src: { 'called.ts': called, 'twice.ts': twice, 'never-loaded.ts': neverLoaded, 'types.ts': 'export type Name = string\n' },
      },
    },
  })
  execFileSync(process.execPath, [tsc, '-p', join(root, 'packages/demo')])
  const counts = join(root, 'counts')
  count(counts, join(root, 'packages/demo/dist/called.js'))
  const before = measureCoverage(root, counts)

  t.strictSame(before, [
    { file: 'packages/demo/src/called.ts', covered: [1, 8, 9, 12, 16, 21], uncovered: [10, 17, 18] },
    { file: 'packages/demo/src/never-loaded.ts', covered: [], uncovered: [1, 3, 4] },
    { file: 'packages/demo/src/twice.ts', covered: [1], uncovered: [] },
    { file: 'packages/demo/src/types.ts', covered: [], uncovered: [] },
  ])

  t.test('a second process adds to the first', async (t) => {
    const script = `import(${JSON.stringify(join(root, 'packages/demo/dist/never-loaded.js'))}).then((demo) => demo.ask())`
    count(counts, '-e', script)
    const after = measureCoverage(root, counts)
    t.strictSame(after[0], before[0])
    t.strictSame(after[1], { file: 'packages/demo/src/never-loaded.ts', covered: [1, 3, 4], uncovered: [] })
  })

  t.test('sources that tsx ran do not count', async (t) => {
    const sourceCounts = join(root, 'source-counts')
    const script = join(root, 'packages/demo/src/called.ts')
    count(sourceCounts, `--import=${import.meta.resolve('tsx')}`, script)
    t.strictSame(
      measureCoverage(root, sourceCounts).flatMap(({ covered }) => covered),
      [],
    )
  })
})

/** Runs Node with V8's counting on. Through env, because tap instruments the Node processes that a test starts, and that ends the counting. */
function count(folder: string, ...args: string[]): void {
  execFileSync('env', ['-i', `NODE_V8_COVERAGE=${folder}`, process.execPath, ...args])
}
