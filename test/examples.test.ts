import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { endsAs, run, serve } from './tooling/process.ts'
import { root } from './tooling/root.ts'

t.test('the embedding example enrols against certfleet lab', async (t) => {
  const { line } = await serve(t, process.execPath, [join(root, 'packages/emulator/dist/cli.js'), 'lab'], /^\{/)
  const { policyUrl, registrationToken } = JSON.parse(line) as { policyUrl: string; registrationToken: string }
  const args = [join(root, '.build/examples/embed-agent.js'), policyUrl, registrationToken, join(t.testdir(), 'agent')]
  const first = await run(process.execPath, args)
  endsAs(t, first, { exitCode: 0, output: / installed [0-9a-f]+\n/ })
  endsAs(t, await run(process.execPath, args), { exitCode: 0, output: first.output })
})

t.test('README shows that file', async (t) => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  t.ok(readme.includes(`\`\`\`ts\n${readFileSync(join(root, 'examples/embed-agent.ts'), 'utf8')}\`\`\``))
})
