import type { LoadResults, RunResults } from '@certfleet/emulator/fleet'
import { fleetPlatforms } from '@certfleet/emulator/fleet'
import { maxBins } from '#emulator/measure/types.ts'
import type { BinResult, Latency, QueueResult, StepResult } from '#emulator/report/schema.ts'

export type Report = RunResults & LoadResults

export const latency = (count: number, p50Ms: number, spread = 1): Latency => {
  const at = (factor: number) => Number((p50Ms * (1 + (factor - 1) * spread)).toPrecision(3))
  return { count, minMs: at(0.4), meanMs: at(1.1), p50Ms, p90Ms: at(1.8), p95Ms: at(2.3), p99Ms: at(4.1), p999Ms: at(8.2), maxMs: at(9.7) }
}

const noKeys = { keys: {}, keyStorageReasons: {}, ignoredSettings: {} }
const noLatency = { p50: null, p90: null, p99: null }

/** A run of nothing: no device, no bin, nothing measured. */
export const emptyReport: Report = {
  seed: 0,
  devices: 0,
  interrupted: true,
  durationMs: 0,
  outcomes: { installed: 0, failed: 0, pending: 0, waitingForUser: 0, notApplicable: 0 },
  failuresByCode: {},
  enrollmentsPerSecond: 0,
  latencyMs: noLatency,
  ...noKeys,
  platforms: {},
  profiles: [],
  failures: [],
  waitingForUser: [],
  notApplicable: [],
  version: 1,
  startedAt: '2026-01-01T00:00:00.000Z',
  verdict: 'interrupted',
  run: {
    target: 'lab',
    url: 'in process',
    keys: 'fresh',
    marking: null,
    model: 'closed',
    arrival: 'as others end',
    concurrency: 32,
    workers: 0,
    resumed: 0,
    node: 'v20.19.0',
  },
  steps: [],
  errors: [],
  arrivals: { started: 0, late: 0, lateness: null },
  timeline: { binMs: 250, bins: [] },
  generator: { cores: 1, processes: [], limited: false, why: [] },
  invariants: [],
  thresholds: [],
  crashes: [],
  faults: { lostRequests: 0, lostAnswers: 0, delayed: 0 },
  devicesLost: 0,
}

/** 10,000 devices over two minutes, a server that slows down in the middle and answers some 503, a worker that crashed. */
export function loadReport(bins = 150): Report {
  const binMs = 1000
  const devices = 10_000
  const perPlatform = devices / fleetPlatforms.length
  const platforms = fleetPlatforms.map((platform, i) => {
    const failed = [0, 0, 12, 29][i] as number
    const latencyMs = { p50: 210 + 40 * i, p90: 530 + 60 * i, p99: 1410 + 220 * i }
    const roots = { devices: perPlatform, rootsInstalled: perPlatform, certificatesInstalled: perPlatform - failed }
    return [platform, { ...roots, pending: 0, failed, failuresByCode: failed > 0 ? { ERR_HTTP_STATUS: failed } : {}, latencyMs, ...noKeys }]
  })
  return {
    ...emptyReport,
    seed: 'night-42',
    devices,
    interrupted: false,
    durationMs: bins * binMs,
    outcomes: { installed: 9_959, failed: 41, pending: 0, waitingForUser: 0, notApplicable: 2 },
    failuresByCode: { ERR_HTTP_STATUS: 41 },
    enrollmentsPerSecond: 66.39,
    latencyMs: { p50: 268, p90: 640, p99: 1820 },
    keys: { software: 7_470, tpm: 2_489 },
    keyStorageReasons: { 'software-ready': 7_470, 'tpm-ready': 2_489 },
    ignoredSettings: { keyStorage: 2_500 },
    overriddenFacts: { 'android.pending.polls': 5 },
    platforms: Object.fromEntries(platforms),
    failures: [{ device: 'windows-004711', platform: 'windows', code: 'ERR_HTTP_STATUS', message: 'the server answered 503' }],
    notApplicable: [1, 2].map((n) => ({
      device: `windows-00000${n}`,
      platform: 'windows',
      profileId: 'mail',
      profile: 'Mail',
      factId: 'windows.pfx-applies',
      reason: 'PFX profiles apply from Windows 10.',
    })),
    startedAt: '2026-03-14T15:09:26.535Z',
    verdict: 'failed',
    run: {
      target: 'scep',
      url: 'https://ndes.corp.example/certsrv/mscep/mscep.dll',
      keys: 'pool',
      marking: 'insecure: keys from a pool of 64 are shared by many devices and are no secret',
      model: 'open',
      arrival: '8 to 99 devices a second over 30s, then 99 a second',
      concurrency: null,
      workers: 2,
      resumed: 0,
      node: 'v22.14.0',
    },
    steps: sampleSteps(perPlatform),
    errors: sampleErrors(),
    arrivals: { started: devices, late: 212, lateness: latency(devices, 1.2) },
    timeline: { binMs, bins: Array.from({ length: bins }, (_, i) => sampleBin(i, bins, binMs)) },
    generator: {
      cores: 2,
      processes: [
        { name: 'first', cpuMs: 8_120, cpuShare: 0.0541, rssBytes: 141_000_000, loopLag: latency(14_000, 1.1) },
        { name: 'worker 1', cpuMs: 139_200, cpuShare: 0.928, rssBytes: 412_000_000, loopLag: latency(14_000, 22) },
        { name: 'worker 2', cpuMs: 141_900, cpuShare: 0.946, rssBytes: 420_000_000, loopLag: latency(14_000, 25) },
      ],
      limited: true,
      why: ['worker 2 used 94.6 % of one core', 'timers of worker 2 fired up to 243 ms late (p99 102 ms)'],
    },
    invariants: [
      { name: 'serial numbers are unique', checked: 9_959, violations: 0, found: [] },
      {
        name: 'no certificate was issued that its device refused',
        checked: 9_962,
        violations: 3,
        found: ['serial 4f1c…a0 of android-000112: not for the key that was asked for', 'serial 77e0…12 of android-003001: the same'],
      },
      { name: 'every certificate leads to the installed root', checked: 9_959, violations: 0, found: [] },
      { name: 'removal leaves nothing', checked: 0, violations: 0, found: [], note: 'no device was removed in this run' },
    ],
    thresholds: [
      { threshold: 'enrollment.p99 < 2s', value: 1.82, passed: true },
      { threshold: 'failed.rate < 0.1%', value: 0.41, passed: false },
      { threshold: 'enrollments >= 60/s', value: 66.39, passed: true },
      { threshold: 'invariants == 0', value: 3, passed: false },
      { threshold: 'check-in.p99 < 500ms', value: null, passed: false },
    ],
    crashes: [{ worker: 'worker 1', atMs: 84_300, why: 'ended by SIGKILL', devicesRestarted: 118 }],
  }
}

/** The same over two machines, of which one lost a worker and the whole was stopped once. */
export function machinesReport(): Report & { queue: QueueResult } {
  const queue = {
    id: 'b3kq7x2m',
    shards: 40,
    attempts: 46,
    takeovers: [{ shard: 7, atMs: 65_200, worker: 'north-2', devicesDelayed: 31 }],
    resumes: 5,
    devicesDelayed: 31,
    repeated: { PKIOperation: 4, connect: 0, policy: 9 },
    workers: [
      { name: 'north-1', host: 'north', node: 'v22.14.0', shards: 15 },
      { name: 'north-2', host: 'north', node: 'v22.14.0', shards: 16 },
      { name: 'south-1', host: 'south', node: 'v20.19.0', shards: 15 },
    ],
  }
  return { ...loadReport(), queue }
}

/** Of all devices, how many are due by then: a ramp to a fifth of the run, then a plateau. */
function dueBy(part: number): number {
  if (part <= 0) return 0
  return part < 0.2 ? 0.12 * part + 3.3 * part ** 2 : Math.min(1, 0.156 + (part - 0.2) * 1.4552)
}

/** The same curve at any number of bins, with a server that struggles from a half of the run to two thirds. */
function sampleBin(i: number, bins: number, binMs: number): BinResult {
  const struggle = (part: number) => Math.max(0, Math.min(part - 0.5, 0.66 - part)) * 8
  const noise = (at: number) => (Math.sin(at * 2.7) + 0.6 * Math.sin(at * 7.1)) * (at / bins > 0.8 ? 0 : 1200 / bins)
  const inBin = (by: (at: number) => number) => Math.max(0, Math.round(by(i + 1)) - Math.round(by(i)))
  const completedBy = (at: number) => 10_000 * dueBy(at / bins - 0.02 - 0.09 * Math.min(0.64, struggle(at / bins))) + noise(at)
  const part = (i + 0.5) / bins
  const isSlow = part > 0.5 && part < 0.66
  const completed = inBin(completedBy)
  const failed = isSlow ? Math.min(completed, Math.round((41 / bins) * 6)) : 0
  const p50Ms = Number((190 + 160 * part + 900 * struggle(part) + 0.4 * noise(i)).toPrecision(3))
  const latencies = fleetPlatforms.map((platform, n) => [platform, latency(completed, p50Ms * (0.8 + 0.15 * n), 0.9)])
  return {
    atMs: i * binMs,
    due: inBin((at) => 10_000 * dueBy(at / bins)),
    started: inBin((at) => 10_000 * dueBy(at / bins - 0.004 * struggle(at / bins))),
    completed,
    failed,
    enrolled: completed - failed,
    errors: isSlow ? Math.round(3300 / bins + noise(i) / 4) : part > 0.3 && i % 17 === 0 ? 1 : 0,
    connected: Math.round(9_959 * dueBy(part - 0.02)),
    latency: completed > 0 ? latency(completed, p50Ms) : null,
    platforms: completed > 0 ? Object.fromEntries(latencies) : {},
  }
}

const typicalMs = {
  connect: 3.1,
  policy: 8.2,
  keygen: 0.21,
  GetCACaps: 4.4,
  GetCACert: 5.6,
  PKIOperation: 148,
  install: 1.9,
  report: 7.4,
  push: 5.2,
  enrollment: 268,
} as const

function sampleSteps(perPlatform: number): StepResult[] {
  return Object.entries(typicalMs).flatMap(([name, p50Ms]) => {
    const step = name as StepResult['step']
    const of = (platform: StepResult['platform'], count: number, factor: number): StepResult => ({
      step,
      platform,
      ...latency(count, Number((p50Ms * factor).toPrecision(3))),
    })
    return [of('all', 4 * perPlatform, 1), ...fleetPlatforms.map((platform, i) => of(platform, perPlatform, 0.8 + 0.15 * i))]
  })
}

function sampleErrors(): Report['errors'] {
  const first = {
    device: 'windows-004711',
    platform: 'windows',
    message: 'PKIOperation: the server answered 503 Service Unavailable',
  } as const
  return [
    { code: 'ERR_HTTP_STATUS', step: 'PKIOperation', answer: 'HTTP 503', count: 431, first },
    { code: 'ERR_HTTP_STATUS', step: 'GetCACert', answer: 'HTTP 503', count: 88, first: { ...first, device: 'ios-000231' } },
    {
      code: 'ERR_NETWORK',
      step: 'connect',
      answer: null,
      count: 37,
      first: {
        device: 'android-000112',
        platform: 'android',
        message: 'no connection to ndes.corp.example: it was closed before the answer',
      },
    },
    {
      code: 'ERR_ENROLLMENT_REJECTED',
      step: 'PKIOperation',
      answer: 'badRequest',
      count: 3,
      first: { device: 'macos-001999', platform: 'macos', message: 'the CA rejected "Wi-Fi" (badRequest)' },
    },
  ]
}

/** Text that does something where it is not escaped; `hit` is what it would set. */
export const hostile =
  '</script><script>document.documentElement.dataset.hit=1</script><img src=x onerror="document.documentElement.dataset.hit=1">\'"&\u202e\u0007'

/** Every text that comes from outside is hostile. */
export function hostileReport(): Report {
  const report = loadReport(maxBins)
  return {
    ...report,
    seed: hostile,
    overriddenFacts: { [hostile]: hostile },
    ignoredSettings: { [hostile]: 1 },
    startedAt: `2026-01-01"${hostile}`,
    run: { ...report.run, url: hostile, arrival: hostile, marking: hostile, node: hostile },
    errors: report.errors.map((error) => ({
      ...error,
      code: hostile,
      answer: hostile,
      first: { ...error.first, device: hostile, message: hostile },
    })),
    notApplicable: report.notApplicable.map((one) => ({ ...one, device: hostile, profile: hostile, reason: hostile })),
    failures: report.failures.map((one) => ({ ...one, device: hostile, message: hostile })),
    waitingForUser: report.failures.map((one) => ({ ...one, device: hostile, message: hostile })),
    generator: { ...report.generator, processes: report.generator.processes.map((one) => ({ ...one, name: hostile })), why: [hostile] },
    invariants: [{ name: hostile, checked: 1, violations: 2, found: [hostile], note: hostile }],
    thresholds: [{ threshold: hostile, value: 1, passed: false }],
    crashes: [{ worker: hostile, atMs: 1000, why: hostile, devicesRestarted: 1 }],
    queue: {
      ...machinesReport().queue,
      id: hostile,
      takeovers: [{ shard: 7, atMs: 65_200, worker: hostile, devicesDelayed: 31 }],
      workers: [{ name: hostile, host: hostile, node: hostile, shards: 1 }],
    },
  }
}
