import {
  AgentError,
  type AgentErrorCode,
  type CertificateProfile,
  chooseKeyStorage,
  describeSpec,
  type KeySpec,
  type KeyStorageChoice,
  makesKey,
  type PolicyDocument,
  parsePolicy,
  type ReadinessByProtection,
  type TpmVersion,
  tpmKeySpecs,
} from '@certfleet/agent-core'
import { type Os, requestOf, treatmentOf } from '@certfleet/platforms'
import { deviceSpecOf } from '../fleet/device-spec.ts'
import { protectionsOf } from '../fleet/key-storage.ts'
import type { Device } from '../tenant/index.ts'

/** A profile as a policy delivers it. */
export type Delivered = PolicyDocument['scepProfiles'][number] | NonNullable<PolicyDocument['pfxProfiles']>[number]

/** Why a device makes no request, as its agent reports it. */
export interface NoRequest {
  readonly code: AgentErrorCode
  readonly message: string
  /** The fact that says so. Absent where the agent cannot read the profile. */
  readonly factId?: string
}

/** What a device's agent makes of what is delivered: the profile with its request as the OS makes it, or why there is none. */
export function agentRequest(delivered: Delivered, os: Os): CertificateProfile | NoRequest {
  const { scepProfiles, pfxProfiles, failedProfiles } = parsePolicy(policyOf(delivered))
  const [profile] = [...scepProfiles, ...pfxProfiles]
  const [failed] = failedProfiles
  if (profile === undefined) return { code: failed?.code ?? 'ERR_PROFILE_INVALID', message: failed?.message ?? 'it cannot be read' }
  try {
    return { ...profile, request: requestOf(profile, os) } as CertificateProfile
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    const { id } = error.cause as { id: string }
    return { code: error.code, message: error.message.replace(` (${id})`, ''), factId: id }
  }
}

/** With that profile alone. */
function policyOf(delivered: Delivered): Uint8Array {
  const [scepProfiles, pfxProfiles] = 'scepUrls' in delivered ? [[delivered], []] : [[], [delivered]]
  return Buffer.from(
    JSON.stringify({ schemaVersion: 1, revision: 1, deviceId: 'any', trustedRoots: [], scepProfiles, pfxProfiles, failedProfiles: [] }),
  )
}

/** The size of a key that is delivered is not known before; storages are asked for this one. */
const usualSpec: KeySpec = { algorithm: 'rsa', bits: 2048 }

/** Where the device's agent would put the key, and why. Its user has a PIN for Passport for Work and proved all factors. */
export function keyChoiceOf({ request }: CertificateProfile, os: Os, device: Device): KeyStorageChoice {
  const spec = 'keySpec' in request ? request.keySpec : usualSpec
  const isIgnored = treatmentOf('keyStorage', os) !== 'honoured'
  return chooseKeyStorage({ option: request.keyStorage, isIgnored }, readinessOf(spec, device))
}

function readinessOf(spec: KeySpec, device: Device): ReadinessByProtection {
  const protections = protectionsOf(deviceSpecOf(device))
  return Object.fromEntries(
    protections.map((protection) => [protection, protection === 'tpm' ? tpmReadiness(spec, device) : ({ state: 'ready' } as const)]),
  )
}

function tpmReadiness(spec: KeySpec, { hardware }: Device): NonNullable<ReadinessByProtection['tpm']> {
  const version: TpmVersion = hardware === 'tpm-1.2' ? '1.2' : '2.0'
  if (makesKey(version, spec)) return { state: 'ready' }
  const made = tpmKeySpecs[version].map(describeSpec).join(', ')
  return { state: 'unsupported', message: `its TPM ${version} makes keys of ${made}, and none of ${describeSpec(spec)}` }
}
