import type { RunSubmission, ShardRecord } from '#emulator/fleet/queue/shard-queue.ts'
import type { ShardNews, ShardPorts } from '#emulator/fleet/shard.ts'
import { type MeasurementsTotal, measurementsTotal } from '#emulator/measure/add.ts'
import { createMeter } from '#emulator/measure/meter.ts'
import type { Step } from '#emulator/measure/types.ts'
import { chanceOf } from '#emulator/simulate/chance.ts'
import { FakeClock } from '../fakes/clock.ts'
import { noCost } from '../fakes/measured.ts'
import { planOf } from './simulated-device.ts'
import { type ModelFleet, modelFleet } from './simulated-fleet.ts'
import { simulatedProcess } from './simulated-process.ts'

export interface Judgement {
  readonly run: RunSubmission
  readonly records: readonly (readonly ShardRecord[])[]
  readonly fleet: ModelFleet
  /** False: it was stopped and resumed, and workers ended as they should; nothing else happened. */
  readonly isTroubled: boolean
}

/** Compares what was recorded of a run with what its devices did, and with the same run by one process that nothing happens to. */
export async function judge({ run, records, fleet, isTroubled }: Judgement): Promise<{ wrong: readonly string[]; repeated: number }> {
  const wrong: string[] = []
  const expect = (what: string, found: unknown, expected: unknown) => {
    if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${what}: ${JSON.stringify(found)} for ${JSON.stringify(expected)}`)
  }
  const news = records.flat().flatMap((record) => record.news)
  const devices = run.shards.flatMap((shard) => shard.devices)
  const through = news.flatMap((told) => (told.kind === 'devices' ? told.devices.map(({ index }) => index) : []))
  expect(
    'devices through',
    through.toSorted((a, b) => a - b),
    devices.map(({ index }) => index),
  )
  const undisturbed = await undisturbedRun(run)
  const total = totalOf(news)
  expect('counts', countsOf(total), countsOf(undisturbed.total))
  for (const { index } of devices) {
    const expected = planOf(run.shared.seed, index).fails ? 0 : 1
    expect(`certificates of device ${index}`, fleet.issued.get(index)?.length ?? 0, expected)
  }
  const repeated = repeatedIn(news)
  const measured = stepsOf(total)
  for (const [step, made] of fleet.made) {
    const again = made - (measured.get(step) ?? 0)
    const told = repeated.get(step) ?? 0
    // What a process did since its last record nobody can know once it is gone: what is told is at most what was made again.
    if (told > again) wrong.push(`${step}: ${told} told as repeated, ${again} were`)
    if (!isTroubled) expect(`${step} made again`, again, 0)
  }
  if (!isTroubled) expect('repeated', [...repeated], [])
  return { wrong, repeated: [...repeated.values()].reduce((sum, count) => sum + count, 0) }
}

async function undisturbedRun(run: RunSubmission): Promise<{ total: MeasurementsTotal }> {
  const clock = new FakeClock(1_800_000_000_000)
  const startedAt = clock.now()
  const { runIn } = modelFleet({ world: clock, chance: chanceOf(run.shared.seed, 'undisturbed') })
  const meter = createMeter({ sinceStartMs: () => clock.now() - startedAt, cost: { take: () => noCost } })
  const records = new Map<number, Map<string, Uint8Array>>()
  const keeperOf = (index: number) => {
    const kept = records.get(index) ?? new Map<string, Uint8Array>()
    records.set(index, kept)
    return { records: kept, meter, isDelayed: false, fence: async () => {}, settled() {} }
  }
  const ports: ShardPorts = {
    clock,
    tell() {},
    begin: async () => startedAt,
    keeping: { keeperOf },
    signal: new AbortController().signal,
  }
  let isOver = false
  const process = simulatedProcess('alone', clock)
  const running = Promise.all(run.shards.map((own) => runIn(process)({ ...run.shared, ...own }, ports))).finally(() => {
    isOver = true
  })
  while (!isOver) await clock.advance(1000)
  await running
  return { total: totalOf([{ kind: 'measured', measurements: meter.take() }]) }
}

function totalOf(news: readonly ShardNews[]): MeasurementsTotal {
  const total = measurementsTotal()
  for (const told of news) if (told.kind === 'measured') total.add(told.measurements, 'all')
  return total
}

/** Everything that does not depend on when it was. */
function countsOf(total: MeasurementsTotal) {
  const { lateness, pending, errors, bins } = total.sums
  const sum = (of: 'due' | 'started' | 'completed' | 'failed' | 'errors' | 'connected') =>
    [...bins.values()].reduce((all, bin) => all + bin[of], 0)
  return {
    steps: Object.fromEntries([...stepsOf(total)].toSorted()),
    enrolled: [...bins.values()].flatMap(({ enrollment }) => [...enrollment.values()]).reduce((all, histogram) => all + histogram.total, 0),
    errors: [...errors.values()].map(({ code, step, count }) => [code, step, count]),
    began: lateness.total,
    bins: (['due', 'started', 'completed', 'failed', 'errors', 'connected'] as const).map((of) => [of, sum(of)]),
    pending,
  }
}

const stepsOf = ({ steps }: MeasurementsTotal): ReadonlyMap<Step, number> =>
  new Map([...steps].map(([step, histogram]) => [step, histogram.total]))

function repeatedIn(news: readonly ShardNews[]): ReadonlyMap<Step, number> {
  const repeated = new Map<Step, number>()
  for (const told of news)
    if (told.kind === 'repeated')
      for (const [step, count] of Object.entries(told.steps)) repeated.set(step as Step, (repeated.get(step as Step) ?? 0) + count)
  return repeated
}
