import type { SimulationOutcome } from '../simulate/index.ts'
import { type Overridden, overriddenLines } from './overridden.ts'

/** What `certfleet run --virtual --json` prints. */
export interface SimulationResults extends Omit<SimulationOutcome, 'authority'>, Overridden {
  readonly virtual: true
  /** What the keys are; absent where they are fresh. */
  readonly marking?: string
  /** Of the machine's time. */
  readonly durationMs: number
}

export function simulationResults(
  { authority: _, ...outcome }: SimulationOutcome,
  more: Overridden & { marking?: string; durationMs: number },
): SimulationResults {
  return { ...outcome, virtual: true, ...more }
}

/** No invariant was violated, and every device got there. */
export function isSound({ invariants, converged, devices }: SimulationResults): boolean {
  return converged === devices && invariants.every(({ violations }) => violations.length === 0)
}

const dayMs = 86_400_000
const shownViolations = 5

/** The end of a simulation for people. */
export function renderSimulation(results: SimulationResults): string {
  const { days, devices, converged, certificatesIssued, renewals, crashes, durationMs, traceDigest, traceLines, marking } = results
  return [
    `${days} days of ${devices} devices in ${(durationMs / 1000).toFixed(1)} s: ${certificatesIssued} certificates, ${renewals} renewals, ${crashes} crashes`,
    `${converged} of ${devices} devices end with a valid certificate for each profile`,
    ...(marking ? [`keys: ${marking}`] : []),
    ...overriddenLines(results),
    ...faultLines(results),
    ...waveLines(results),
    '',
    ...results.invariants.flatMap(({ name, violations }) => [
      `${violations.length === 0 ? 'held    ' : 'VIOLATED'}  ${name}`,
      ...violations
        .slice(0, shownViolations)
        .map(({ atMs, device, found }) => `            day ${Math.floor(atMs / dayMs)}, ${device ?? 'service'}: ${found}`),
    ]),
    '',
    `trace: ${traceLines} lines, SHA-256 ${traceDigest}`,
  ].join('\n')
}

function faultLines({ faults }: SimulationResults): string[] {
  const told = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`)
  return told.length === 0 ? [] : [`faults: ${told.join(', ')}`]
}

/** The herd, or its absence: eight levels of a bar, a character a bin. */
function waveLines({ firstWave }: SimulationResults): string[] {
  if (!firstWave) return []
  const { bins, fromMs, toMs, peakToMean } = firstWave
  const peak = Math.max(...bins)
  const bar = bins
    .map((count) => (count === 0 ? ' ' : levels[Math.min(levels.length - 1, Math.floor((count * levels.length) / peak))]))
    .join('')
  const window = `day ${(fromMs / dayMs).toFixed(1)} to ${(toMs / dayMs).toFixed(1)}`
  return ['', `first renewals, ${window}, in ${bins.length} bins; the fullest has ${peakToMean.toFixed(2)} times the mean`, `|${bar}|`]
}

const levels = '▁▂▃▄▅▆▇█'
