import t from 'tap'
import { runKills } from './kill.ts'
import { failures, isWithin, told } from './tell.ts'

const runs = 6
const seed = process.env.CERTFLEET_KILL_SEED ?? String(process.pid)

t.test(`a device is killed ${runs} times in the middle of its life, and nothing is lost`, { timeout: 120_000 }, async (t) => {
  const tally = await runKills({ runs, seed, folder: t.testdir(), parallel: 2 })
  for (const line of told(tally)) t.comment(line)
  t.same(tally.problems, [], `seed ${seed}`)
  t.ok(tally.kills.filter(isWithin).length >= runs / 2, 'and at least half of the kills fell between the first and the last call')
})

t.test('a run counts as a success only where nothing is lost and the kills fell within', async (t) => {
  const kill = { stage: 'renewal', how: 'at a call', call: 'before disk write' } as const
  const outside = { stage: 'renewal', how: 'at a time' } as const
  const four = [kill, kill, kill, kill]
  t.same(failures({ lives: 1, kills: [...four, outside], problems: [] }), [])
  t.match(failures({ lives: 1, kills: [...four, outside, outside], problems: [] }), [/fewer than 80 %/])
  t.match(failures({ lives: 1, kills: four, problems: ['life 0: a key was lost'] }), [/1 problems/])
  t.match(
    told({ lives: 1, kills: [...four, outside], problems: [] }).join('\n'),
    /5 kills in 1 lives; 4 \(80\.0 %\)(.|\n)* 4 {2}disk write\n {6}1 {2}\(outside\)/,
  )
})
