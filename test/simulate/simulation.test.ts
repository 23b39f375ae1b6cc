import t from 'tap'
import { invariantNames } from '#emulator/simulate/index.ts'
import { simulated } from './world.ts'

t.test('sixty days with every fault: no invariant is violated, and everybody gets there', async (t) => {
  const lines: string[] = []
  const outcome = await simulated({ seed: 'suite', days: 60, onLine: (line) => lines.push(line) })
  for (const { name, violations } of outcome.invariants) t.strictSame(violations, [], name)
  t.strictSame(
    outcome.invariants.map(({ name }) => name),
    invariantNames.slice(0, 8),
  )
  t.equal(outcome.converged, outcome.devices)
  t.ok(outcome.crashes > 5, `${outcome.crashes} crashes`)
  t.ok(outcome.renewals > 3, `${outcome.renewals} renewals`)
  for (const fault of ['request-lost', 'reply-lost', 'truncated', 'duplicated', 'profile-edited', 'locked'] as const) {
    t.ok((outcome.faults[fault] ?? 0) > 0, fault)
  }

  const again: string[] = []
  const { traceDigest } = await simulated({ seed: 'suite', days: 60, onLine: (line) => again.push(line) })
  t.equal(traceDigest, outcome.traceDigest, 'I9: the same seed, the same trace')
  t.strictSame(again, lines)
  const other = await simulated({ seed: 'another', days: 5 })
  t.not(other.traceDigest, outcome.traceDigest)
})

t.test('a device does the same whatever runs beside it', async (t) => {
  const traceOf = async (devicesEach: number) => {
    const lines: string[] = []
    await simulated({ seed: 'shards', devicesEach, days: 25, onLine: (line) => lines.push(line) })
    return lines.filter((line) => line.includes(' ios-000001 '))
  }
  t.strictSame(await traceOf(2), await traceOf(1))
})
