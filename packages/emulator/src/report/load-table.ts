import { countText, durationText, momentText } from './quantity.ts'
import { queueLines } from './queue.ts'
import type { RunResults } from './results.ts'
import type { LoadResults } from './schema.ts'
import { textTable } from './text-table.ts'
import { measuredText, reasonsOf } from './verdict.ts'

type Report = RunResults & LoadResults

const shownErrors = 10

/** What a load test adds for people. Nothing of a kind is no line of it; the verdict stands last, where a terminal shows it. */
export function loadLines(results: Report): string[] {
  const { verdict, run } = results
  return [
    ...(run.marking === null ? [] : ['', `keys: ${run.marking}`]),
    ...stepLines(results),
    ...errorLines(results),
    ...crashLines(results),
    ...machineLines(results),
    ...thresholdLines(results),
    ...invariantLines(results),
    ...generatorLines(results),
    '',
    verdict.toUpperCase(),
    ...reasonsOf(results).map((reason) => `  ${reason}`),
  ]
}

/** Of all platforms together: those of each are in the other reports. */
function stepLines({ steps }: Report): string[] {
  const rows = steps.filter(({ platform }) => platform === 'all')
  if (rows.length === 0) return []
  const cells = rows.map((row) => [row.step, countText(row.count), ...[row.p50Ms, row.p90Ms, row.p99Ms, row.maxMs].map(durationText)])
  return ['', ...textTable([['step', 'count', 'p50', 'p90', 'p99', 'max'], ...cells])]
}

function errorLines({ errors }: Report): string[] {
  if (errors.length === 0) return []
  const shown = errors.slice(0, shownErrors).map(({ code, step, answer, count }) => {
    return `${countText(count).padStart(8)}  ${code} at ${step}: ${answer ?? 'no answer'}`
  })
  const left = errors.length - shown.length
  return ['', 'errors, what came right later included', ...shown, ...(left > 0 ? [`          and ${left} more kinds in results.json`] : [])]
}

function crashLines({ crashes, devicesLost }: Report): string[] {
  const lost = devicesLost > 0 ? [`${countText(devicesLost)} devices were given up after their processes had crashed too often`] : []
  const told = crashes.map(({ worker, atMs, why, devicesRestarted }) => {
    return `crashed: ${worker} at ${momentText(atMs)}, ${why}; ${countText(devicesRestarted)} devices restarted`
  })
  return told.length + lost.length === 0 ? [] : ['', ...told, ...lost]
}

function machineLines({ queue }: Report): string[] {
  return queue ? ['', ...queueLines(queue)] : []
}

function thresholdLines({ thresholds }: Report): string[] {
  if (thresholds.length === 0) return []
  return ['', ...thresholds.map((one) => `${one.passed ? 'met   ' : 'MISSED'}  ${one.threshold}  (${measuredText(one)})`)]
}

function invariantLines({ invariants }: Report): string[] {
  if (invariants.length === 0) return []
  return [
    '',
    ...invariants.flatMap(({ name, checked, violations, found, note }) => [
      `${violations > 0 ? 'VIOLATED   ' : checked > 0 ? 'held       ' : 'not checked'}  ${name}${note === undefined ? '' : ` (${note})`}`,
      ...found.map((one) => `               ${one}`),
    ]),
  ]
}

function generatorLines({ generator: { limited, why } }: Report): string[] {
  if (!limited) return []
  const meaning = 'warning: the load generator was the limit, not the server: latencies are too high and rates too low'
  return ['', meaning, ...why.map((one) => `  ${one}`)]
}
