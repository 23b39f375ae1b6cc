import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { renderHtml, renderResults, resultsJsonSchema, resultsSchema } from '@certfleet/emulator/fleet'
import t from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { command } from '../commands/terminal.ts'
import { root } from '../tooling/root.ts'
import { emptyReport, hostileReport, loadReport, machinesReport } from './sample.ts'

t.test('the samples are results', async (t) => {
  for (const report of [emptyReport, loadReport(), loadReport(480), hostileReport(), machinesReport()]) {
    // The codes of a hostile report are none of ours.
    t.strictSame(resultsSchema.parse(JSON.parse(JSON.stringify(report))), JSON.parse(JSON.stringify(report)))
  }
})

t.test('what a real run tells is what the schema says', async (t) => {
  const folder = t.testdir({ 's.yaml': `devices: { ios: 1, windows: 1 }\nprofiles: ${exampleProfiles}\n` })
  const { stdout } = await command(['run', join(folder, 's.yaml'), '--in-process', '--json'])
  const results = JSON.parse(stdout)
  t.strictSame(resultsSchema.parse(results), results)
})

t.test('the schema of the package refuses what is none', async (t) => {
  const text = readFileSync(join(root, 'packages/emulator/schema/results.schema.json'), 'utf8')
  t.strictSame(JSON.parse(text), JSON.parse(JSON.stringify(resultsJsonSchema())), 'current (npm run docs)')
  const rows: [string, unknown][] = [
    ['another version', { ...emptyReport, version: 2 }],
    ['a member that nobody knows', { ...emptyReport, more: 1 }],
    ['a count below 0', { ...emptyReport, devices: -1 }],
    ['bins without length', { ...emptyReport, timeline: { binMs: 0, bins: [] } }],
    ['too many bins', loadReport(481)],
    ['a code that is none', { ...emptyReport, failuresByCode: { ERR_NONE: 1 } }],
    ['a platform that is none', { ...emptyReport, platforms: { beos: loadReport(1).platforms.ios } }],
  ]
  for (const [name, value] of rows) t.notOk(resultsSchema.safeParse(value).success, name)
})

t.test('certfleet report', async (t) => {
  const report = loadReport(10)
  const folder = t.testdir({
    'results.json': JSON.stringify(report),
    'text.json': 'seed: 1',
    'other.json': JSON.stringify({ ...report, devices: 'many' }),
    'list.json': '[]',
  })
  const file = (name: string) => join(folder, name)
  const shown = await command(['report', file('results.json')])
  t.match(shown, { exitCode: 0, stderr: '', stdout: `${renderResults(report)}\n` })
  const written = await command(['report', file('results.json'), '--html', file('a.html'), '--junit', file('a.xml')])
  t.match(written, { exitCode: 0, stdout: '', stderr: '' })
  t.ok(readFileSync(file('a.html'), 'utf8') === renderHtml(report), 'the page of the same results')
  t.match(readFileSync(file('a.xml'), 'utf8'), /^<\?xml .*<testsuites name="certfleet run, keys: insecure/s)
  const rows: [string, string[], RegExp][] = [
    ['a file that is not there', [file('none.json')], /none\.json: cannot be read \(ENOENT\)/],
    ['text', [file('text.json')], /text\.json: is not JSON; expected the results\.json of a run/],
    ['a member of another type', [file('other.json')], /other\.json: devices: .*expected number.*of this version/],
    ['another document', [file('list.json')], /list\.json: Invalid input.*expected the results\.json/],
    [
      'a page in no folder',
      [file('results.json'), '--html', file('no/a.html')],
      /--html .*cannot be written \(ENOENT\); name a file in a folder/,
    ],
    ['no file', [], /missing required argument 'results'/],
  ]
  for (const [name, argv, message] of rows) t.match(await command(['report', ...argv]), { exitCode: 2, stdout: '', stderr: message }, name)
})
