import t from 'tap'
import { complaints } from './excused.ts'
import type { Failure, FailureKind, Score } from './suite.ts'

const limbo = 'x509-limbo applicable'

function score(name: string, ...failures: readonly (readonly [id: string, kind: FailureKind])[]): Score {
  const list: readonly Failure[] = failures.map(([id, kind]) => ({ id, kind }))
  return { name, total: 100, passed: 100 - list.length, falseAccepts: 0, falseRejects: 0, hangs: 0, excused: 0, failures: list }
}

function complain(scores: readonly Score[], excused: readonly string[], ran: readonly string[]): readonly string[] {
  return complaints(
    scores,
    excused.map((id) => ({ id, reason: 'because' })),
    new Set(ran),
  )
}

const many = (count: number, kind: FailureKind) =>
  Array.from({ length: count }, (_, i): readonly [string, FailureKind] => [`case-${i}`, kind])
const ids = Array.from({ length: 9 }, (_, i) => `case-${i}`)

const rows: readonly (readonly [name: string, complaints: readonly string[], expected: number])[] = [
  ['everything passed', complain([score(limbo)], [], ['a']), 0],
  ['a failure without an excuse', complain([score(limbo, ['a', 'false-reject'])], [], ['a']), 1],
  ['a hang without an excuse', complain([score(limbo, ['a', 'hang'])], [], ['a']), 1],
  ['an excused failure', complain([score(limbo, ['a', 'false-reject'])], ['a'], ['a']), 0],
  ['an excused case that passes', complain([score(limbo)], ['a'], ['a']), 1],
  ['an excused case that did not run', complain([score(limbo)], ['a'], []), 0],
  ['an excused core case', complain([score('x509-limbo core', ['a', 'false-reject'])], ['a'], ['a']), 1],
  ['eight excused limbo cases', complain([score(limbo, ...many(8, 'false-reject'))], ids, ids.slice(0, 8)), 0],
  ['nine excused limbo cases', complain([score(limbo, ...many(9, 'false-reject'))], ids, ids), 1],
  ['three excused false accepts', complain([score(limbo, ...many(3, 'false-accept'))], ids, ids.slice(0, 3)), 0],
  ['four excused false accepts', complain([score(limbo, ...many(4, 'false-accept'))], ids, ids.slice(0, 4)), 1],
]

t.test('complaints', (t) => {
  for (const [name, found, expected] of rows) t.equal(found.length, expected, name)
  t.end()
})
