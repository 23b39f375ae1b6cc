import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Sabotage } from './simulated-queue.ts'
import { type SimulatedRun, simulateRun } from './simulated-run.ts'

const seeds = 200

const happening = [
  ...['killed', 'frozen', 'left', 'stopped', 'queue gone', 'merger killed'],
  ...['late', 'answer lost', 'taking not heard', 'deaf', 'refused', 'steps made again'],
]

t.test(`${seeds} runs over a queue: whatever happens to them, they come to the end that they have where nothing does`, async (t) => {
  // In a process of its own: under the hooks of tap promises take three times as long.
  const runner = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './run.ts' : './run.js', import.meta.url))
  const args = [...process.execArgv, runner, '--seeds', `${seeds}`, '--seed', 'suite']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  t.equal(status, 0, `${stdout}${stderr}`)
  t.match(stdout, `${seeds} seeds, 0 with something wrong`)
  for (const name of happening) {
    const count = Number(new RegExp(`(\\d+) ${name}\\b`).exec(stdout)?.[1])
    t.ok(count > seeds / 20, `${name}: ${count}`)
  }
})

t.test('the same seed, the same run', async (t) => {
  const [one, two] = [await simulateRun('again'), await simulateRun('again')]
  t.strictSame(two, one)
})

const sabotages: readonly { readonly what: string; readonly sabotage: Sabotage; readonly seen: RegExp }[] = [
  { what: 'a request is sent before its key is on record', sabotage: 'no fence', seen: /^certificates of device/ },
  {
    what: 'whoever had a shard before is not refused',
    sabotage: 'no epoch',
    seen: /^(devices through|certificates of device|counts|merged)/,
  },
  { what: 'what is sent again is recorded again', sabotage: 'saved again', seen: /^(devices through|counts)/ },
  { what: 'several add up a run', sabotage: 'merged by several', seen: /^merged 2 times/ },
]

for (const { what, sabotage, seen } of sabotages)
  t.test(`it would be seen that ${what}`, async (t) => {
    const runs: SimulatedRun[] = []
    while (runs.length < 50 && !runs.some(({ wrong }) => wrong.length > 0)) runs.push(await simulateRun(`broken/${runs.length}`, sabotage))
    t.ok(
      runs.at(-1)?.wrong.some((sentence) => seen.test(sentence)),
      `${runs.length} runs: ${runs.at(-1)?.wrong}`,
    )
  })
