import { z } from 'zod'
import { steps } from '../measure/types.ts'

/** What a run's `results.json` holds beside what each device did. The JSON Schema of the package is made of this. */

const count = z.int().min(0)
const ms = z.number().min(0)
const platform = z.enum(['ios', 'macos', 'android', 'windows'])

export const latencySchema = z
  .strictObject({
    count,
    minMs: ms,
    meanMs: ms,
    p50Ms: ms,
    p90Ms: ms,
    p95Ms: ms,
    p99Ms: ms,
    p999Ms: ms,
    maxMs: ms,
  })
  .describe('Milliseconds, to three significant digits.')

export const stepResultSchema = z
  .strictObject({ step: z.enum(steps), platform: z.union([platform, z.literal('all')]), ...latencySchema.shape })
  .describe('Latency of one step. "enrollment" counts from when the device was due, so that a late start is in it.')

export const errorResultSchema = z.strictObject({
  code: z.string(),
  step: z.enum(steps).describe('The last thing that the device did before.'),
  answer: z.string().nullable().describe('What the server answered: "HTTP 503", "badRequest"; null where it answered nothing.'),
  count,
  first: z.strictObject({ device: z.string(), platform, message: z.string() }),
})

export const binSchema = z.strictObject({
  atMs: ms.describe('Since the start of the run.'),
  due: count.describe('Devices that were due by the plan of arrivals.'),
  started: count,
  completed: count.describe('Devices through with their first pass.'),
  failed: count.describe('Of those, with something that is not there.'),
  enrolled: count.describe('Certificates installed.'),
  errors: count,
  connected: count.describe('Devices with an open push connection at the end of the bin.'),
  latency: latencySchema.nullable().describe('Of the enrolments that ended in it.'),
  platforms: z.partialRecord(platform, latencySchema),
})

export const processSchema = z.strictObject({
  name: z.string().describe('"worker 1", "lab"'),
  cpuMs: ms.describe('User and system.'),
  cpuShare: z.number().min(0).describe('Of one core, over the time that it ran.'),
  rssBytes: count.describe('At its largest.'),
  loopLag: latencySchema.nullable().describe('How much later than asked a timer fired.'),
})

export const invariantSchema = z.strictObject({
  name: z.string(),
  checked: count.describe('How many things were looked at. 0: nothing to look at, or it could not be checked, which "note" tells.'),
  violations: count,
  found: z.array(z.string()).describe('The first of them.'),
  note: z.string().optional(),
})

export const thresholdSchema = z.strictObject({
  threshold: z.string().describe('As written.'),
  value: z.number().nullable().describe('In the unit of the threshold; null where nothing was measured, which fails.'),
  passed: z.boolean(),
})

export const crashSchema = z.strictObject({
  worker: z.string(),
  atMs: ms,
  why: z.string(),
  devicesRestarted: count,
})

/** What a load test adds to the results of a run. */
export const loadResultsSchema = z.strictObject({
  version: z.literal(1),
  startedAt: z.string().describe('ISO 8601, UTC.'),
  verdict: z.enum(['passed', 'failed', 'interrupted']),
  run: z.strictObject({
    target: z.enum(['lab', 'policy', 'scep']),
    url: z.string().describe('Of the service; "in process" where nothing was sent.'),
    keys: z.enum(['fresh', 'pool', 'primes']),
    marking: z.string().nullable().describe('What every report has to show of keys that are no secret.'),
    model: z.enum(['open', 'closed']).describe('Open: devices began by plan. Closed: as others ended.'),
    arrival: z.string().describe('In words.'),
    concurrency: count.nullable(),
    workers: count.describe('Processes that carried devices beside the first; 0: the first did.'),
    resumed: count.describe('Devices that went on from an earlier run.'),
  }),
  steps: z.array(stepResultSchema),
  errors: z.array(errorResultSchema),
  arrivals: z.strictObject({
    started: count,
    late: count.describe('Began more than 100 ms after they were due.'),
    lateness: latencySchema.nullable(),
  }),
  timeline: z.strictObject({ binMs: ms, bins: z.array(binSchema) }),
  generator: z.strictObject({
    cores: count,
    processes: z.array(processSchema),
    limited: z.boolean().describe('The fleet itself, not the server, was the limit: latencies are too high and rates too low.'),
    why: z.array(z.string()),
  }),
  invariants: z.array(invariantSchema).describe('What must hold of any run, and whether it did.'),
  thresholds: z
    .array(thresholdSchema)
    .describe('What the scenario asked for: its `thresholds`, or that nothing failed, is pending or waits.'),
  crashes: z
    .array(crashSchema)
    .describe('Processes of the fleet that ended before their work did; the figures around these moments are not those of a steady run.'),
  devicesLost: count.describe('Devices that were given up after their workers had crashed too often.'),
})

export type Latency = z.infer<typeof latencySchema>
export type StepResult = z.infer<typeof stepResultSchema>
export type ErrorResult = z.infer<typeof errorResultSchema>
export type BinResult = z.infer<typeof binSchema>
export type ProcessResult = z.infer<typeof processSchema>
export type InvariantResult = z.infer<typeof invariantSchema>
export type ThresholdResult = z.infer<typeof thresholdSchema>
export type CrashResult = z.infer<typeof crashSchema>
export type LoadResults = z.infer<typeof loadResultsSchema>
