import { fleetPlatforms } from '../scenario/schema.ts'
import { type JunitCase, junitXml } from './junit.ts'
import { countText } from './quantity.ts'
import { queueLines } from './queue.ts'
import type { RunResults } from './results.ts'
import type { LoadResults } from './schema.ts'
import { measuredText } from './verdict.ts'

type Report = RunResults & LoadResults

/** A load test as CI shows it: a case a threshold, an invariant and a platform, one for a run that was interrupted, and one each where processes of it crashed or were lost with their shards. */
export function loadJunit(results: Report): string {
  const cases = [
    ...thresholdCases(results),
    ...invariantCases(results),
    ...platformCases(results),
    ...runCases(results),
    ...crashCases(results),
    ...takeoverCases(results),
  ]
  const { marking } = results.run
  return junitXml(marking === null ? 'certfleet run' : `certfleet run, keys: ${marking}`, cases)
}

function thresholdCases({ thresholds }: Report): JunitCase[] {
  return thresholds.map((one) => ({
    suite: 'thresholds',
    name: one.threshold,
    status: one.passed ? 'passed' : 'failed',
    reason: `measured: ${measuredText(one)}`,
    source: '',
  }))
}

/** What could not be looked at is skipped, so that nobody takes it for held. */
function invariantCases({ invariants }: Report): JunitCase[] {
  return invariants.map(({ name, checked, violations, found, note = 'there was nothing to check' }) => ({
    suite: 'invariants',
    name,
    status: violations > 0 ? 'failed' : checked > 0 ? 'passed' : 'skipped',
    reason: violations > 0 ? `${countText(violations)} violations in ${countText(checked)}` : note,
    source: found.join('\n'),
  }))
}

function platformCases({ platforms, failures }: Report): JunitCase[] {
  return fleetPlatforms.flatMap((platform) => {
    const row = platforms[platform]
    if (row === undefined) return []
    const first = failures.find((failure) => failure.platform === platform)
    const codes = Object.entries(row.failuresByCode).map(([code, count]) => `${count} ${code}`)
    return {
      suite: 'platforms',
      name: platform,
      status: row.failed > 0 ? 'failed' : 'passed',
      reason: `${countText(row.failed)} failed on ${countText(row.devices)} devices: ${codes.join(', ')}`,
      source: first ? `first: ${first.device}: ${first.message}` : '',
    }
  })
}

function runCases({ verdict, interrupted }: Report): JunitCase[] {
  const reason = 'the figures are of what was done until then'
  return [{ suite: 'run', name: 'to its end', status: interrupted || verdict === 'interrupted' ? 'failed' : 'passed', reason, source: '' }]
}

/** Its devices came to their end in another process, but the figures are not those of a steady run: neither passed nor failed. */
function crashCases({ crashes, devicesLost }: Report): JunitCase[] {
  if (crashes.length === 0) return []
  const source = crashes.map(({ worker, why }) => `${worker} ${why}`).join('\n')
  const reason = `${countText(crashes.length)} processes of the fleet crashed, and ${countText(devicesLost)} devices were given up`
  return [{ suite: 'run', name: 'without a crash', status: devicesLost > 0 ? 'failed' : 'skipped', reason, source }]
}

/** As with crashes: the whole came to its end, elsewhere. */
function takeoverCases({ queue }: Report): JunitCase[] {
  if (!queue || queue.takeovers.length === 0) return []
  const [told = '', ...source] = queueLines(queue)
  const reason = `shards taken over from lost workers: ${countText(queue.takeovers.length)}; ${told}`
  return [{ suite: 'run', name: 'without a takeover', status: 'skipped', reason, source: source.map((line) => line.trim()).join('\n') }]
}
