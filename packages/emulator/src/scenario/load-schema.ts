import { z } from 'zod'
import { durationSchema } from './duration.ts'

const maxRatePerSecond = 100_000
const rate = z.number().min(0).max(maxRatePerSecond)
const positiveRate = z.number().positive().max(maxRatePerSecond)
const share = z.number().min(0).max(1)

/**
 * When devices begin, whatever the fleet or the server can take (an open model): who begins late is counted, and latency is counted
 * from when it was due. Without it the next begins as one ends (a closed model), `concurrency` at a time.
 */
export const arrivalSchema = z.union(
  [
    z.literal('all-at-once'),
    /** All devices, evenly over that time. */
    z.strictObject({ over: durationSchema }),
    /** So many devices a second. */
    z.strictObject({ rate: positiveRate }),
    /** Devices a second, from `from` (default 0) in a straight line to each stage's `to`, over its `for`; then the last rate goes on. */
    z.strictObject({
      from: rate.optional(),
      stages: z
        .array(z.strictObject({ to: rate, for: durationSchema }))
        .min(1)
        .max(100),
    }),
  ],
  {
    error:
      'expected all-at-once, or { over: 60s }, or { rate: 50 } (devices a second), or { stages: [{ to: 100, for: 30s }] } (a rate that changes)',
  },
)

export type Arrival = z.output<typeof arrivalSchema>

const file = z.string().min(1)
const url = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' })

/** What the fleet enrols with. Absent: an embedded lab. Paths are relative to the scenario file; secrets stand in files, first line. */
export const targetSchema = z.union(
  [
    z.strictObject({
      /** A policy service, as `certfleet lab` is one. */
      policy: z.strictObject({ url, 'token-file': file, ca: file.optional() }),
    }),
    z.strictObject({
      /** A SCEP server alone: each device makes its own policy of `profiles`. */
      scep: z.strictObject({
        url,
        /** The root that its certificates lead to, PEM or DER: nothing is sent to a CA that does not lead there. */
        root: file,
        /** For https: the certificates to trust, PEM. Default: what Node trusts. */
        ca: file.optional(),
        /** Default: none is sent. */
        challenge: z
          .union([z.strictObject({ file }), z.strictObject({ mscepAdmin: url, user: z.string().min(1), 'password-file': file })])
          .optional(),
      }),
    }),
  ],
  { error: 'expected policy: { url, token-file } or scep: { url, root, challenge }; leave "target" out for the embedded lab' },
)

export type TargetDocument = z.output<typeof targetSchema>

/** What goes wrong on the way between devices and service, by chance, as shares of requests. */
export const faultsSchema = z.strictObject({
  /** Requests that never arrive. */
  lostRequests: share.optional(),
  /** Answers that never arrive: the service has done what was asked. */
  lostAnswers: share.optional(),
  /** Requests that are held up, for up to `delay`. */
  delayed: share.optional(),
  /** Default 1s. */
  delay: durationSchema.optional(),
})

export type FaultsDocument = z.output<typeof faultsSchema>

/** Keys of a scenario that make it a load test. */
export const loadKeys = {
  target: targetSchema.optional(),
  arrival: arrivalSchema.optional(),
  /** How RSA keys come about: `fresh` by default; `pool` and `primes` are cheap and no secret, and stay on this machine. */
  keys: z.enum(['fresh', 'pool', 'primes']).optional(),
  /** Processes that carry devices. Default: by the number of devices and cores. */
  workers: z.int().min(0).max(256).optional(),
  /** The run lasts that long, and devices stay once they have enrolled, with their push connection open. Default: until every device is through. */
  duration: durationSchema.optional(),
  /** How often a device that stays checks in. Only with `duration`. Default: 8h. */
  checkIn: durationSchema.optional(),
  /** A pause that each device makes before each check-in, drawn from 0 to this. Only with `duration`. Default: none. */
  think: durationSchema.optional(),
  faults: faultsSchema.optional(),
  /** How long a device waits for an answer, connecting included, before it gives the request up. Default: 30s. */
  timeout: durationSchema
    .transform(Math.round)
    .refine((ms) => ms >= 1, 'expected at least 1ms')
    .optional(),
  /** What has to hold at the end, such as `enrollment.p99 < 2s`; they decide the exit code. Default: nothing failed, is pending or waits. */
  thresholds: z.array(z.string()).max(100).optional(),
} as const
