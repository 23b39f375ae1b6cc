import { z } from 'zod'
import { maxBins, steps } from '../measure/types.ts'
import { countSchema as count, msSchema as ms, platformSchema as platform, runResultsSchema } from './run-schema.ts'

/** What a run's `results.json` holds. The JSON Schema of the package and docs/results.md are made of this. */

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
  .meta({ id: 'latency', description: 'Milliseconds, to three significant digits.' })

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
  worker: z.string().describe('Its name among the processes of the generator.'),
  atMs: ms.describe('Since the start of the run.'),
  why: z.string().describe('Its exit code or signal.'),
  devicesRestarted: count.describe('Those that it had not brought to their end.'),
})

export const queueSchema = z.strictObject({
  id: z.string().describe('Of the run, for `certfleet stop` and `certfleet resume`.'),
  shards: count,
  attempts: count.describe('How often a shard was taken: once each, where nothing went wrong.'),
  takeovers: z
    .array(
      z.strictObject({
        shard: count,
        atMs: ms.describe('Since the start of the run.'),
        worker: z.string().describe('Who took it over.'),
        devicesDelayed: count,
      }),
    )
    .describe('Shards whose worker was lost, and which went on elsewhere from their last checkpoint.'),
  resumes: count.describe('How often a parked shard was taken up again.'),
  devicesDelayed: count.describe('Devices that a takeover delayed: in every count, and left out of `enrollmentsPerSecond`.'),
  repeated: z.partialRecord(z.enum(steps), count).describe('Steps that devices made again after a takeover; measured once.'),
  workers: z.array(z.strictObject({ name: z.string(), host: z.string(), node: z.string(), shards: count })),
})

/** All platforms together, and each. */
const rowsPerStep = 5

/** What a load test adds to the results of a run. */
export const loadResultsSchema = z.strictObject({
  version: z.literal(1).describe('Of this form.'),
  startedAt: z.string().describe('ISO 8601, UTC.'),
  verdict: z.enum(['passed', 'failed', 'interrupted']).describe('What the exit code says: 0, 1 or 130.'),
  run: z.strictObject({
    target: z.enum(['lab', 'policy', 'scep']).describe('The embedded lab, a policy service, or a SCEP server alone.'),
    url: z.string().describe('Of the service; "in process" where nothing was sent.'),
    keys: z.enum(['fresh', 'pool', 'primes']).describe('How RSA keys came about.'),
    marking: z.string().nullable().describe('What every report has to show of keys that are no secret.'),
    model: z.enum(['open', 'closed']).describe('Open: devices began by plan. Closed: as others ended.'),
    arrival: z.string().describe('In words.'),
    concurrency: count.nullable().describe('Devices at work at the same time in a closed model; null in an open one.'),
    workers: count.describe('Processes that carried devices beside the first; 0: the first did.'),
    resumed: count.describe('Devices that went on from an earlier run.'),
    node: z.string().describe('Version of Node.js.'),
  }),
  steps: z
    .array(stepResultSchema)
    .max(steps.length * rowsPerStep)
    .describe('Latency by step and platform; only what was measured.'),
  errors: z.array(errorResultSchema).describe('Whatever went wrong on the way, what came right later included, most frequent first.'),
  arrivals: z.strictObject({
    started: count.describe('Devices that began.'),
    late: count.describe('Began more than 100 ms after they were due.'),
    lateness: latencySchema.nullable().describe('Of all that began.'),
  }),
  timeline: z
    .strictObject({ binMs: z.number().positive(), bins: z.array(binSchema).max(maxBins) })
    .describe('What happened in each stretch of `binMs`.'),
  generator: z.strictObject({
    cores: count.describe('Of the machine.'),
    processes: z.array(processSchema),
    limited: z.boolean().describe('The fleet itself, not the server, was the limit: latencies are too high and rates too low.'),
    why: z.array(z.string()).describe('What showed it.'),
  }),
  invariants: z.array(invariantSchema).describe('What must hold of any run, and whether it did.'),
  thresholds: z
    .array(thresholdSchema)
    .describe('What the scenario asked for: its `thresholds`, or that nothing failed, is pending or waits.'),
  crashes: z
    .array(crashSchema)
    .describe('Processes of the fleet that ended before their work did; the figures around these moments are not those of a steady run.'),
  faults: z.strictObject({ lostRequests: count, lostAnswers: count, delayed: count }).describe("How often the scenario's faults happened."),
  devicesLost: count.describe('Devices that were given up after their workers had crashed too often.'),
  queue: queueSchema.optional().describe('Of a run over several machines.'),
})

/** The whole document. */
export const resultsSchema = z
  .strictObject({ ...runResultsSchema.shape, ...loadResultsSchema.shape })
  .describe('What `certfleet run` writes to results.json: what its devices did, what was measured, and the verdict.')

export type Latency = z.infer<typeof latencySchema>
export type StepResult = z.infer<typeof stepResultSchema>
export type ErrorResult = z.infer<typeof errorResultSchema>
export type BinResult = z.infer<typeof binSchema>
export type ProcessResult = z.infer<typeof processSchema>
export type InvariantResult = z.infer<typeof invariantSchema>
export type ThresholdResult = z.infer<typeof thresholdSchema>
export type QueueResult = z.infer<typeof queueSchema>
export type CrashResult = z.infer<typeof crashSchema>
export type LoadResults = z.infer<typeof loadResultsSchema>
export type Results = z.infer<typeof resultsSchema>
