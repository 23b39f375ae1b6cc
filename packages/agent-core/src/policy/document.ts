import { isUtf8 } from 'node:buffer'
import { z } from 'zod'
import { AgentError } from '../errors.ts'
import type { DevicePolicy } from '../types.ts'
import { expected, invalid, where } from './problem.ts'
import { Failures, parseCertificateProfiles, parseFailedProfile, parseRoots } from './profiles.ts'
import {
  type failedProfileSchema,
  headerSchema,
  inapplicableProfileSchema,
  type pfxProfileSchema,
  type scepProfileSchema,
  type trustedRootSchema,
} from './schema.ts'

/** No tenant's policy for one device comes near them; a document beyond is `ERR_LIMIT_EXCEEDED`. */
export const maxPolicyBytes = 8 * 1024 * 1024
export const maxPolicyProfiles = 10_000
/** The document itself is four deep; JSON.parse spends half a second on 8 MiB of brackets. */
const maxPolicyDepth = 64

/** The version of the wire document that this agent reads. */
export const policySchemaVersion = 1

/**
 * The wire document of one device: JSON, UTF-8. Members that are not named here are ignored, at the top and in
 * profiles alike, so that a newer server can add some; a change of meaning raises `schemaVersion`.
 */
export type PolicyDocument = Omit<
  z.input<typeof headerSchema>,
  'trustedRoots' | 'scepProfiles' | 'pfxProfiles' | 'failedProfiles' | 'notApplicable'
> & {
  readonly trustedRoots: readonly z.input<typeof trustedRootSchema>[]
  readonly scepProfiles: readonly z.input<typeof scepProfileSchema>[]
  /** Default none. */
  readonly pfxProfiles?: readonly z.input<typeof pfxProfileSchema>[]
  readonly failedProfiles: readonly z.input<typeof failedProfileSchema>[]
  /** For the report alone. Default none. */
  readonly notApplicable?: readonly z.input<typeof inapplicableProfileSchema>[]
}

/**
 * The policy that the document's bytes describe, for `deviceId` where it is given.
 *
 * An error of the document is `ERR_POLICY_INVALID` and names the field and what was expected; so is a profile whose
 * `id` or `principal` cannot be read, because nobody could tell which one has failed. Any other error inside one
 * profile, or an id used twice, makes that profile a `FailedProfile` (`ERR_PROFILE_INVALID`), and the others go on. What cannot be read of
 * `notApplicable` is passed over.
 * More than 8 MiB or 10,000 profiles: `ERR_LIMIT_EXCEEDED`.
 */
export function parsePolicy(bytes: Uint8Array, deviceId?: string): DevicePolicy {
  const header = parseHeader(bytes)
  if (deviceId !== undefined && header.deviceId !== deviceId) throw invalid('deviceId', `expected "${deviceId}"`)
  const { trustedRoots, scepProfiles, pfxProfiles = [], failedProfiles, notApplicable = [] } = header
  const count = trustedRoots.length + scepProfiles.length + pfxProfiles.length + failedProfiles.length + notApplicable.length
  if (count > maxPolicyProfiles) {
    throw new AgentError('ERR_LIMIT_EXCEEDED', `the policy document has ${count} profiles; at most ${maxPolicyProfiles} are read`)
  }
  const failures = new Failures()
  for (const [i, value] of failedProfiles.entries()) failures.add(parseFailedProfile(value, `failedProfiles[${i}]`))
  const roots = parseRoots(trustedRoots, failures)
  const fingerprints = new Map(roots.map((root) => [root.id, root.fingerprint]))
  const profiles = parseCertificateProfiles({ scepProfiles, pfxProfiles }, fingerprints, failures)
  const lifecycle = header.lifecycle && { lifecycle: header.lifecycle }
  const inapplicable = notApplicable.flatMap((value) => inapplicableProfileSchema.safeParse(value).data ?? [])
  return {
    revision: header.revision,
    ...lifecycle,
    trustedRoots: roots,
    ...profiles,
    failedProfiles: failures.list(),
    ...(inapplicable.length > 0 && { notApplicable: inapplicable }),
  }
}

const versionSchema = z.object({ schemaVersion: z.unknown() })

function parseHeader(bytes: Uint8Array): z.output<typeof headerSchema> {
  if (bytes.length > maxPolicyBytes) {
    throw new AgentError('ERR_LIMIT_EXCEEDED', `the policy document has ${bytes.length} bytes; at most ${maxPolicyBytes} are read`)
  }
  const json = parseJson(bytes)
  const version = versionSchema.safeParse(json).data?.schemaVersion
  if (typeof version === 'number' && version !== policySchemaVersion) {
    throw invalid('schemaVersion', `${version} is not supported, expected ${policySchemaVersion}`)
  }
  const header = headerSchema.safeParse(json)
  if (!header.success) throw invalid(where('', header.error), expected(header.error))
  return header.data
}

function parseJson(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) throw invalid('', 'expected JSON in UTF-8')
  if (depthOf(bytes) > maxPolicyDepth) throw invalid('', `expected JSON at most ${maxPolicyDepth} deep`)
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // The parser's message quotes the input, which nobody has checked for secrets.
    throw invalid('', 'expected JSON')
  }
}

/** How deep the brackets stand that are in no string, or just beyond the limit. */
function depthOf(json: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < json.length && deepest <= maxPolicyDepth; i++) {
    const octet = json[i]
    if (octet === quote) inString = !inString
    else if (inString && octet === backslash) i++
    else if (!inString && (octet === openBracket || octet === openBrace)) deepest = Math.max(deepest, ++depth)
    else if (!inString && (octet === closeBracket || octet === closeBrace)) depth--
  }
  return deepest
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = Buffer.from('"\\[]{}')
