import type { LiveFacts } from '#emulator/report/live.ts'

/** A run that is underway, with something in every member. */
export function liveFacts(facts: Partial<LiveFacts>): LiveFacts {
  return {
    total: 10_000,
    due: 5_000,
    started: 4_990,
    completed: 4_200,
    active: 780,
    connected: 3_900,
    installed: 4_180,
    failed: 12,
    pending: 18,
    late: 7,
    elapsedMs: 84_000,
    lastDueMs: 200_000,
    ratePerSecond: 52.1,
    rates: [1, 20, 40, 64, 0, 32],
    latency: { p50Ms: 15_000, p90Ms: 15_500, p99Ms: 16_230 },
    steps: [
      { step: 'connect', count: 4_990, p50Ms: 1.21, p90Ms: 4.5, p99Ms: 12.3, p999Ms: 40, sumMs: 7_000 },
      { step: 'enrollment', count: 4_180, p50Ms: 105, p90Ms: 400, p99Ms: 1_230, p999Ms: 2_000, sumMs: 600_000 },
    ],
    errors: [
      { code: 'ERR_NETWORK', step: 'connect', answer: null, count: 2 },
      { code: 'ERR_HTTP_STATUS', step: 'PKIOperation', answer: 'HTTP 503', count: 12 },
    ],
    workers: [
      { name: 'worker 1', state: 'running', cpuShare: 0.92, rssBytes: 180 * 2 ** 20, loopLagP99Ms: 12.3 },
      { name: 'worker 2', state: 'ended', cpuShare: 0, rssBytes: 0, loopLagP99Ms: undefined },
    ],
    warnings: ['the generator is the limit'],
    ...facts,
  }
}
