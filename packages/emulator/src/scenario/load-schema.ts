import { z } from 'zod'
import { durationSchema } from './duration.ts'
import { thresholdSchema } from './threshold.ts'

const maxRatePerSecond = 100_000
const rate = z.number().min(0).max(maxRatePerSecond)
const positiveRate = z.number().positive().max(maxRatePerSecond)
const share = z.number().min(0).max(1)
export const maxWorkers = 256
const maxStages = 100
const maxThresholds = 100

const stage = z.strictObject({
  to: rate.meta({ description: 'Devices a second at its end.' }),
  for: durationSchema.meta({ description: 'How long it takes to get there.' }),
})

export const arrivalSchema = z
  .union(
    [
      z.literal('all-at-once'),
      z.strictObject({ over: durationSchema.meta({ description: 'All devices, evenly over that time.' }) }),
      z.strictObject({ rate: positiveRate.meta({ description: 'So many devices a second.' }) }),
      z.strictObject({
        from: rate.meta({ description: 'Devices a second at first.', otherwise: 0 }).optional(),
        stages: z.array(stage).min(1).max(maxStages).meta({
          description: "In a straight line to each stage's rate, one after the other; then the last rate goes on.",
        }),
      }),
    ],
    {
      error:
        'expected all-at-once, or { over: 60s }, or { rate: 50 } (devices a second), or { stages: [{ to: 100, for: 30s }] } (a rate that changes)',
    },
  )
  .meta({
    description:
      'When devices begin, whatever the fleet or the server can take (an open model): who begins late is counted, and latency is counted from when it was due. Without it the next begins as one ends (a closed model), "concurrency" at a time.',
    samples: ['all-at-once', { over: '60s' }, { rate: 50 }, { from: 0, stages: [{ to: 100, for: '30s' }] }],
  })

export type Arrival = z.output<typeof arrivalSchema>

const file = z.string().min(1)
const url = z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).meta({ pattern: '^[Hh][Tt][Tt][Pp][Ss]?:' })

const policyTarget = z.strictObject({
  url: url.meta({ description: 'Its …/device/policy, as "certfleet lab" prints it.' }),
  'token-file': file.meta({ description: 'File whose first line entitles devices to register.' }),
  ca: file.meta({ description: 'For https: the certificates to trust, PEM.', otherwise: 'what Node trusts' }).optional(),
})

const challenge = z.union(
  [
    z.strictObject({ file: file.meta({ description: 'File whose first line is the challenge of all.' }) }),
    z.strictObject({
      mscepAdmin: url.meta({ description: 'The page of NDES that hands out challenges, one a request.' }),
      user: z.string().min(1).meta({ description: 'Its account.' }),
      'password-file': file.meta({ description: 'File whose first line is the password of that account.' }),
    }),
  ],
  { error: 'expected { file } or { mscepAdmin, user, password-file }' },
)

const scepTarget = z.strictObject({
  url,
  root: file.meta({
    description: 'The root that its certificates lead to, PEM or DER: nothing is sent to a CA that does not lead there.',
  }),
  ca: file.meta({ description: 'For https: the certificates to trust, PEM.', otherwise: 'what Node trusts' }).optional(),
  challenge: challenge.meta({ description: 'What entitles a device to a certificate.', otherwise: 'none is sent' }).optional(),
})

export const targetSchema = z
  .union(
    [
      z.strictObject({ policy: policyTarget.meta({ description: 'A policy service, as "certfleet lab" is one.' }) }),
      z.strictObject({
        scep: scepTarget.meta({ description: 'A SCEP server alone: each device makes its own policy of "profiles".' }),
      }),
    ],
    { error: 'expected policy: { url, token-file } or scep: { url, root, challenge }; leave "target" out for the embedded lab' },
  )
  .meta({
    description: 'What the fleet enrols with. Paths are relative to the scenario file; secrets stand in files, first line.',
    otherwise: 'an embedded lab',
    samples: [
      { policy: { url: 'http://127.0.0.1:8080/device/policy', 'token-file': 'token.txt' } },
      { scep: { url: 'http://127.0.0.1:2016/scep', root: 'root.pem', challenge: { file: 'challenge.txt' } } },
      {
        scep: {
          url: 'https://ndes.example/certsrv/mscep/mscep.dll',
          root: 'root.pem',
          challenge: { mscepAdmin: 'https://ndes.example/certsrv/mscep_admin/', user: 'ndes', 'password-file': 'password.txt' },
        },
      },
    ],
  })

export type TargetDocument = z.output<typeof targetSchema>

export const faultsSchema = z
  .strictObject({
    lostRequests: share.meta({ description: 'Requests that never arrive.', otherwise: 0 }).optional(),
    lostAnswers: share.meta({ description: 'Answers that never arrive: the service has done what was asked.', otherwise: 0 }).optional(),
    delayed: share.meta({ description: 'Requests that are held up.', otherwise: 0 }).optional(),
    delay: durationSchema.meta({ description: 'For how long at most. Only with "delayed".', otherwise: '1s' }).optional(),
  })
  .meta({
    description: 'What goes wrong on the way between devices and service, by chance, as shares of requests.',
    otherwise: 'nothing',
    samples: [{ lostRequests: 0.01, delayed: 0.1, delay: '2s' }],
  })

export type FaultsDocument = z.output<typeof faultsSchema>

/** Keys of a scenario that make it a load test. */
export const loadKeys = {
  target: targetSchema.optional(),
  arrival: arrivalSchema.optional(),
  keys: z
    .enum(['fresh', 'pool', 'primes'])
    .meta({
      description: 'How RSA keys come about. "pool" and "primes" are cheap and no secret: such certificates are for tests alone.',
      otherwise: 'fresh; primes on a virtual clock',
      samples: ['primes'],
    })
    .optional(),
  workers: z
    .int()
    .min(0)
    .max(maxWorkers)
    .meta({ description: 'Processes that carry devices; 0: this one does.', otherwise: 'by the number of devices and cores', samples: [2] })
    .optional(),
  duration: durationSchema
    .meta({
      description: 'The run lasts that long, and devices stay once they have enrolled, with their push connection open.',
      otherwise: 'until every device is through',
      samples: ['10m'],
    })
    .optional(),
  checkIn: durationSchema
    .meta({ description: 'How often a device that stays checks in. Only with "duration".', otherwise: '8h', samples: ['1m'] })
    .optional(),
  think: durationSchema
    .meta({
      description: 'A pause that each device makes before each check-in, drawn from 0 to this. Only with "duration".',
      otherwise: 'none',
      samples: ['10s'],
    })
    .optional(),
  faults: faultsSchema.optional(),
  timeout: durationSchema
    .transform(Math.round)
    .refine((ms) => ms >= 1, 'expected at least 1ms')
    .meta({
      description: 'How long a device waits for an answer, connecting included, before it gives the request up.',
      otherwise: '30s',
      samples: ['5s'],
    })
    .optional(),
  thresholds: z
    .array(thresholdSchema)
    .max(maxThresholds)
    .meta({
      description: 'What has to hold at the end; they decide the exit code.',
      otherwise: 'nothing failed, is pending, waits or was lost, and no invariant is violated',
      samples: [['enrollment.p99 < 2s', 'failed.rate < 1%', 'invariants == 0']],
    })
    .optional(),
} as const
