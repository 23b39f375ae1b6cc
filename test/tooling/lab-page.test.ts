import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from './root.ts'

const page = readFileSync(join(root, 'docs/lab.md'), 'utf8')
const rows = [...page.matchAll(/^\| .+ \| .+ \| `([a-z-]+)`(?:: (.+))? \|$/gm)]

t.test('the tests that the page names are there', async (t) => {
  t.ok(rows.length > 25, 'the table was found')
  for (const [row, file, name] of rows) {
    const path = join(root, 'test/lab', `${file}.test.ts`)
    t.ok(existsSync(path), row)
    if (name !== undefined) t.ok(readFileSync(path, 'utf8').includes(name), row)
  }
})
