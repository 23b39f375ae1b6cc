import { z } from 'zod'
import { retryAfterOf } from '../backoff.ts'
import { AgentError } from '../errors.ts'
import type { ChallengeSource, PfxSource, PolicySource, Reporter, Transport } from '../ports.ts'
import { besidePolicy, checkAuthorized, postJson, readJson } from './http.ts'
import type { ManagementIdentity } from './management.ts'
import { pfxSource } from './pfx.ts'
import { type PolicyServiceOptions, policySource } from './source.ts'

export interface RegistrationOptions {
  /** `…/device/policy`; registration is beside it. */
  readonly policyUrl: string
  readonly transport: Transport
  /** What entitles a device to register. A secret. */
  readonly registrationToken: string
  /** The id that the device asks for. */
  readonly deviceId: string
  readonly platform: string
  readonly osVersion: string
  /** What the device is enrolled as, in the words of the platform. Default: what the service takes for the platform's usual one. */
  readonly management?: string
  /** Whom its secrets are encrypted to, DER: of `managementIdentity`. A device without one is given no PFX. */
  readonly managementCertificate?: Uint8Array
}

export interface Registration {
  /** The id that the service gave. */
  readonly deviceId: string
  /** The device's own, for policy, push, challenge and report. A secret. */
  readonly credential: string
}

// RFC 6750 2.1: what can stand behind "Bearer".
const registrationSchema = z.object({ deviceId: z.string().min(1).max(256), credential: z.string().regex(/^[\w.~+/-]{1,4096}=*$/) })

/**
 * Registers a device: POST `register` with `{ deviceId, platform, osVersion }`, `management` where it is given, and `managementCertificate` in base64 where
 * there is one, the token as the bearer.
 * A token that is refused is `ERR_UNAUTHORIZED`; any other answer but a registration is `ERR_HTTP_STATUS`.
 */
export async function registerDevice(options: RegistrationOptions, signal?: AbortSignal): Promise<Registration> {
  const { policyUrl, transport, registrationToken, deviceId, platform, osVersion, management, managementCertificate: certificate } = options
  const managementCertificate = certificate && Buffer.from(certificate).toString('base64')
  const device = { deviceId, platform, osVersion, management, managementCertificate }
  const response = await postJson(transport, besidePolicy(policyUrl, 'register'), registrationToken, device, signal)
  checkAuthorized(response, `to register "${deviceId}"`)
  const registration = isSuccess(response.status) ? readJson(response, registrationSchema) : undefined
  if (registration === undefined) {
    throw new AgentError('ERR_HTTP_STATUS', `the policy service answered ${response.status} and no registration for "${deviceId}"`)
  }
  return registration
}

export interface PolicyService {
  readonly policySource: PolicySource
  readonly challengeSource: ChallengeSource
  /** Only with `management`. */
  readonly pfxSource?: PfxSource
  readonly reporter: Reporter
}

export interface PolicyClientOptions extends PolicyServiceOptions {
  /** Whose certificate the device was registered with. Default: none, and no PFX can be had. */
  readonly management?: ManagementIdentity
}

/** One device's client of the policy service. Every request bears the device's credential. */
export function policyService({ management, ...options }: PolicyClientOptions): PolicyService {
  return {
    policySource: policySource(options),
    challengeSource: challengeSource(options),
    ...(management && { pfxSource: pfxSource(options, management) }),
    reporter: reporter(options),
  }
}

// Far beyond the 255 of RFC 2985: services seal what they know of device and profile into it.
const maxChallengeCharacters = 16_384
const challengeSchema = z.object({ challenge: z.string().min(1).max(maxChallengeCharacters) })

/** 200 brings a challenge; 204 says that none is needed. */
function challengeSource({ policyUrl, credential, transport }: PolicyServiceOptions): ChallengeSource {
  const url = besidePolicy(policyUrl, 'challenge')
  return {
    async challengeFor(profileId, attemptId, signal) {
      const response = await postJson(transport, url, credential, { profileId, attemptId }, signal).catch((error) => {
        if (signal.aborted || !(error instanceof AgentError)) throw error
        throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', `no challenge for "${profileId}": ${error.message}`, { cause: error })
      })
      checkAuthorized(response, `a challenge for "${profileId}"`)
      if (response.status === 204) return undefined
      const answer = response.status === 200 ? readJson(response, challengeSchema) : undefined
      if (answer === undefined) {
        const message = `no challenge for "${profileId}": the policy service answered ${response.status}`
        throw new AgentError('ERR_CHALLENGE_UNAVAILABLE', message, { retryAfterMs: retryAfterOf(response) })
      }
      return answer.challenge
    },
  }
}

function reporter({ policyUrl, credential, transport }: PolicyServiceOptions): Reporter {
  const url = besidePolicy(policyUrl, 'report')
  return {
    async send(report, signal) {
      const response = await postJson(transport, url, credential, report, signal)
      checkAuthorized(response, 'a report')
      if (!isSuccess(response.status)) {
        const message = `the policy service answered ${response.status} to a report, expected 2xx`
        throw new AgentError('ERR_HTTP_STATUS', message, { retryAfterMs: retryAfterOf(response) })
      }
    },
  }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}
