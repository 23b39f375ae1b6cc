import { countText, durationText, numberText, rateText, shareText } from './quantity.ts'
import type { RunResults } from './results.ts'
import type { LoadResults, ThresholdResult } from './schema.ts'

/** What was measured, in the unit of its threshold: `2.31 s` for `enrollment.p99 < 2s`. */
export function measuredText({ threshold, value }: ThresholdResult): string {
  if (value === null) return 'not measured'
  const unit = /[\d.]\s*([a-zµ%/]{0,3})\s*$/.exec(threshold)?.[1] ?? ''
  return unit === '' ? numberText(value) : unit === '/s' ? rateText(value) : `${numberText(value)} ${unit}`
}

/** Why the verdict is what it is, a sentence each; at least one. */
export function reasonsOf(results: RunResults & LoadResults): readonly string[] {
  const found = [...interruption(results), ...missed(results), ...violated(results), ...lost(results), ...undone(results)]
  return results.verdict === 'passed'
    ? [...kept(results), ...found]
    : found.length > 0
      ? found
      : ['nothing that this report holds says why']
}

function interruption({ interrupted, devices, durationMs }: RunResults): string[] {
  return interrupted ? [`stopped after ${durationText(durationMs)}, with ${countText(devices)} devices begun or through`] : []
}

function missed({ thresholds }: LoadResults): string[] {
  const failed = thresholds.filter(({ passed }) => !passed)
  return failed.map((one) => `threshold missed: ${one.threshold} (${one.value === null ? '' : 'it was '}${measuredText(one)})`)
}

function violated({ invariants }: LoadResults): string[] {
  const broken = invariants.filter(({ violations }) => violations > 0)
  return broken.map(({ name, violations }) => `invariant violated: ${name} (${countText(violations)} times)`)
}

function lost({ devicesLost, crashes, queue }: LoadResults): string[] {
  const crashed = crashes.length > 0 ? [`${counted(crashes.length, 'process', 'processes')} of the fleet crashed`] : []
  const gone = devicesLost > 0 ? [`${counted(devicesLost, 'device')} given up after their processes had crashed too often`] : []
  const takeovers = queue?.takeovers.length ?? 0
  const elsewhere = takeovers > 0 ? [`${counted(takeovers, 'shard')} taken over from a lost worker`] : []
  return [...crashed, ...elsewhere, ...gone]
}

function undone({ outcomes: { installed, failed, pending, waitingForUser } }: RunResults): string[] {
  const rows: readonly [number, string][] = [
    [failed, `failed beside ${countText(installed)} installed (${shareText(failed / Math.max(1, failed + installed))})`],
    [pending, 'still pending: the CA has not decided'],
    [waitingForUser, 'waiting for a user'],
  ]
  return rows.flatMap(([count, what]) => (count > 0 ? [`${countText(count)} ${what}`] : []))
}

function kept({ thresholds, invariants }: LoadResults): string[] {
  const met = thresholds.length > 0 ? [`${counted(thresholds.length, 'threshold')} met`] : []
  const looked = invariants.filter(({ checked }) => checked > 0).length
  const held = `${counted(looked, 'invariant')} of ${invariants.length} checked, and held`
  return [...met, ...(invariants.length > 0 ? [held] : [])]
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}
