import { type AgentErrorCode, adviceByCode, type IssuanceState, type KeyProtection } from '@certfleet/agent-core'
import { z } from 'zod'
import type { RunResults } from './results.ts'

/** What every run's `results.json` holds of what its devices did. `RunResults` is the same for the compiler, and is checked against it. */

export const countSchema = z.int().min(0)
export const msSchema = z.number().min(0)
export const platformSchema = z.enum(['ios', 'macos', 'android', 'windows'])

export const errorCodeSchema = z
  .enum(Object.keys(adviceByCode) as [AgentErrorCode, ...AgentErrorCode[]])
  .meta({ id: 'errorCode', description: 'What docs/errors.md explains.' })

const protections = ['software', 'tpm', 'passport', 'pkcs11'] as const satisfies readonly KeyProtection[]
const states = [
  'unknown',
  'requestCreationFailed',
  'requestSubmitFailed',
  'issueFailed',
  'issuePending',
  'issued',
  'responseProcessingFailed',
  'installed',
  'renewalRequested',
] as const satisfies readonly IssuanceState[]

const failuresByCode = z.partialRecord(errorCodeSchema, countSchema).describe('Failures by error code, most frequent first.')

const percentilesSchema = z
  .strictObject({ p50: msSchema.nullable(), p90: msSchema.nullable(), p99: msSchema.nullable() })
  .describe(
    'Enrolment, from when its device was due until it was installed, milliseconds, to three significant digits; null where nothing was enrolled.',
  )

const keyMembers = {
  keys: z.partialRecord(z.enum(protections), countSchema).describe('Keys of installed certificates, by what protects them.'),
  keyStorageReasons: z.record(z.string(), countSchema).describe('Why they are there.'),
  ignoredSettings: z.record(z.string(), countSchema).describe('Settings that an OS ignored, counted once a profile and device.'),
}

const platformResultsSchema = z.strictObject({
  devices: countSchema,
  rootsInstalled: countSchema,
  certificatesInstalled: countSchema,
  pending: countSchema,
  failed: countSchema.describe('Profiles, roots and devices that failed.'),
  failuresByCode,
  latencyMs: percentilesSchema,
  ...keyMembers,
})

const ofDevice = { device: z.string(), platform: platformSchema }

const failureSchema = z.strictObject({
  ...ofDevice,
  subject: z.string().exactOptional().describe('The profile or root that it was about; absent where the device itself failed.'),
  code: errorCodeSchema,
  message: z.string(),
})

const profileSchema = z.strictObject({
  ...ofDevice,
  profileId: z.string(),
  principal: z.enum(['device', 'user']),
  state: z.enum(states).describe("By Graph's certificateIssuanceStates."),
  os: z.record(z.string(), z.unknown()).exactOptional().describe('What its OS would show.'),
})

const inapplicableSchema = z.strictObject({
  ...ofDevice,
  profileId: z.string(),
  profile: z.string().describe('Its name.'),
  factId: z.string().exactOptional().describe('The fact that says so, by its id in docs/platforms.md.'),
  reason: z.string(),
})

const outcomesSchema = z.strictObject({
  installed: countSchema.describe('Certificates installed.'),
  failed: countSchema.describe('Profiles, roots and devices that failed.'),
  pending: countSchema.describe('Requests that the CA has not decided.'),
  waitingForUser: countSchema.describe('Roots and profiles that go on once a user has done something.'),
  notApplicable: countSchema.describe('Profiles that are not for the OS of their device: neither installed nor failed.'),
})

export const runResultsSchema = z.strictObject({
  seed: z.union([countSchema, z.string()]).describe("Replays the run's chance."),
  overriddenFacts: z
    .record(z.string(), z.unknown())
    .exactOptional()
    .describe('By fact id, what was said instead of the fact. Absent: all is as sourced.'),
  devices: countSchema.describe('Devices that were run.'),
  interrupted: z.boolean().describe('The run was stopped before every device was through: the figures are of what was done until then.'),
  durationMs: msSchema.describe('From the first device to the last.'),
  outcomes: outcomesSchema.describe('In all.'),
  failuresByCode,
  enrollmentsPerSecond: z.number().min(0).describe('Certificates installed over the duration of the whole run.'),
  latencyMs: percentilesSchema,
  ...keyMembers,
  platforms: z.partialRecord(platformSchema, platformResultsSchema).describe('Platforms that had a device.'),
  profiles: z.array(profileSchema).describe('Where each profile stands on each device.'),
  failures: z.array(failureSchema).describe('What failed, and did not come right later.'),
  waitingForUser: z.array(failureSchema).describe('What goes on once its user has done something.'),
  notApplicable: z.array(inapplicableSchema).describe('Profiles that are not for the OS of their device.'),
}) satisfies z.ZodType<RunResults>
