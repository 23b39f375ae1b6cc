import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from './root.ts'

const page = readFileSync(join(root, 'docs/security.md'), 'utf8')
const rows = [...page.matchAll(/^\| [^|]+ \| (\d+)(?: (\w+))? \| `([^`]+)` \| `([^`]+)` \|$/gm)]
const units: ReadonlyMap<string | undefined, number> = new Map([
  [undefined, 1],
  ['KiB', 1024],
  ['MiB', 1024 * 1024],
  ['s', 1000],
])

t.test('the limits on the page are those of the source', async (t) => {
  t.ok(rows.length > 30, 'the table was found')
  for (const [row, amount, unit, file, name] of rows) {
    const source = readFileSync(join(root, 'packages', file as string), 'utf8')
    t.equal(limitIn(source, name as string), Number(amount) * (units.get(unit) as number), row)
  }
})

t.test('the tests that it names are there', async (t) => {
  const named = [...page.matchAll(/`((?:cms|der|fleet|keys|lab|pfx|pki|policy|queue|scep|security|stores|tenant|transport)\/[a-z0-9-]+)`/g)]
  t.ok(named.length > 30)
  for (const [, name] of named) t.ok(existsSync(join(root, 'test', `${name}.test.ts`)), String(name))
})

/** What stands behind the name: a product, a shift, or the `.max()` of a schema. */
function limitIn(source: string, name: string): number | undefined {
  const schema = new RegExp(`\\b${name}: z\\..*?\\.max\\(([\\d_]+)\\)`).exec(source)?.[1]
  const written = schema ?? new RegExp(`\\b${name}(?: =|:) ([\\d_]+(?: (?:\\*|<<) [\\d_]+)*)`).exec(source)?.[1]
  if (written === undefined) return undefined
  const [first = 0, ...rest] = written.split(/ \* | << /).map((digits) => Number(digits.replaceAll('_', '')))
  return written.includes('<<') ? first * 2 ** (rest[0] ?? 0) : rest.reduce((product, factor) => product * factor, first)
}
