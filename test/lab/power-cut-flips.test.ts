import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededJitter } from '@certfleet/agent-core/system'
import t from 'tap'
import { prepareLab } from './kill-clients.ts'

const script = fileURLToPath(new URL(`./power-cut-flips${extname(import.meta.url)}`, import.meta.url))
const count = Number(process.env.CERTFLEET_FLIPS ?? 150)
const pageBytes = 4096

/** A start for each place, in as many processes as it takes; one that a start ends by a signal is told as `crash`. */
function starts(template: string, folder: string, places: readonly number[]): Map<number, string> {
  const outcomes = new Map<number, string>()
  for (let left = places; left.length > 0; left = left.slice(1)) {
    const { stdout, signal } = spawnSync(process.execPath, [...process.execArgv, script, template, folder, ...left.map(String)], {
      encoding: 'latin1',
    })
    const lines = stdout.split('\n').filter((line) => line !== '')
    for (const line of lines) outcomes.set(Number.parseInt(line, 10), line.slice(line.indexOf(' ') + 1))
    left = left.slice(lines.length)
    if (left[0] === undefined) break
    outcomes.set(left[0], `crash ${signal}`)
  }
  return outcomes
}

t.test('whatever octet of a closed database is flipped, it is named or changes nothing', async (t) => {
  const top = t.testdir()
  await prepareLab(join(top, 'lab'), 40)
  const template = join(top, 'lab', 'lab.mdb')
  const { length } = readFileSync(template)
  const { between } = seededJitter('flips')
  const heads = Array.from({ length: length / pageBytes }, (_, page) => [8, 16, 20, 24].map((offset) => page * pageBytes + offset)).flat()
  const metas = Array.from({ length: 40 }, (_, i) => 16 + i * 4).flatMap((offset) => [offset, pageBytes + offset])
  const places = [...new Set([...heads, ...metas, ...Array.from({ length: count }, () => between(0, length - 1))])]
  const [right] = starts(template, join(top, 'untouched'), [length]).values()
  t.match(right, /^works /, 'untouched')
  const outcomes = starts(template, join(top, 'flipped'), places)
  const kinds = new Map<string, number>()
  for (const outcome of outcomes.values()) {
    const kind = outcome === right ? 'the right records' : outcome.startsWith('works') ? 'wrong records' : outcome
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  const told = [...kinds].map(([kind, number]) => `${kind}: ${number}`).join('; ')
  t.comment(`${outcomes.size} starts; ${told}`)
  const unforeseen = [...kinds.keys()].filter((kind) => kind !== 'the right records' && kind !== 'ERR_STATE_INVALID true')
  t.same(unforeseen, [], 'nothing else happens')
})
