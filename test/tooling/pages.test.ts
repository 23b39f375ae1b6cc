import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { adviceByCode } from '@certfleet/agent-core'
import t from 'tap'
import { errorsPage } from '../../scripts/errors-page.ts'
import { pages } from '../../scripts/pages.ts'
import { root } from './root.ts'

for (const [path, page] of Object.entries(pages)) {
  t.ok(readFileSync(join(root, path), 'utf8') === page(), `${path} is current (npm run docs)`)
}

t.test('the errors page has a row a code, and explains every word in it', async (t) => {
  const lines = errorsPage().split('\n')
  for (const [code, { fixedBy, retry, attempt }] of Object.entries(adviceByCode)) {
    t.ok(lines.includes(`| \`${code}\` | ${fixedBy} | ${retry} | ${attempt} |`), code)
    for (const word of [fixedBy, retry, attempt])
      t.ok(
        lines.some((line) => line.startsWith(`- \`${word}\`: `)),
        word,
      )
  }
})
