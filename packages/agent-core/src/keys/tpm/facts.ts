import type { UnwrapPadding } from '../../ports.ts'
import type { KeySpec } from '../../types.ts'
import { describeSpec } from '../choice.ts'

export type TpmVersion = '1.2' | '2.0'

/**
 * The keys that a TPM makes. 1.2 knows RSA alone, 2048 bits at most. 2.0: what the swtpm of Debian 12 makes, as far as certfleet has a use
 * for it; there are chips that stop at RSA-2048 (ST33GTPMISPI, data brief DB4278).
 */
export const tpmKeySpecs: Readonly<Record<TpmVersion, readonly KeySpec[]>> = {
  '1.2': [rsa(1024), rsa(2048)],
  '2.0': [rsa(1024), rsa(2048), rsa(3072), { algorithm: 'ec', curve: 'P-256' }, { algorithm: 'ec', curve: 'P-384' }],
}

function rsa(bits: number): KeySpec {
  return { algorithm: 'rsa', bits }
}

/**
 * What a TPM unwraps. A 1.2 key has one encryption scheme for life: TPM_ES_RSAESPKCSv15 here, as SCEP peers need it; its OAEP has the label
 * "TCPA", which none of them uses (TPM Main Part 2, 5.8.1; Part 1).
 */
export const tpmPaddings: Readonly<Record<TpmVersion, readonly UnwrapPadding[]>> = {
  '1.2': ['pkcs1'],
  '2.0': ['pkcs1', 'oaep-sha1', 'oaep-sha256'],
}

/**
 * Keys that a TPM has room for when nothing else is known: the least number of persistent objects that the PC Client profile asks for
 * (TPM_PT_HR_PERSISTENT_MIN, 7 on swtpm too). Systems that keep wrapped keys outside the TPM are not bound by it.
 */
export const defaultSlots = 7

/** How often a TPM lets itself be asked with a wrong authorization. */
export interface TpmLockout {
  /** Failures at which it locks itself (maxTries). At least 1. */
  readonly maxTries: number
  /** Time without a failure after which one is forgotten (recoveryTime). */
  readonly recoveryMs: number
}

/**
 * What Windows sets on a TPM 2.0: 32 failures, one forgotten every 10 minutes (Microsoft, "TPM fundamentals", anti-hammering). With a 1.2 it is
 * the manufacturer's choice; here the same.
 */
export const windowsLockout: TpmLockout = { maxTries: 32, recoveryMs: 600_000 }

export interface TpmKeyLatency {
  readonly generateMs: number
  readonly signMs: number
  readonly unwrapMs: number
}

/** By the name of the key: `RSA-2048`, `P-256`. What is not named takes no time. */
export type TpmLatency = Readonly<Record<string, TpmKeyLatency>>

/**
 * Measured on swtpm 0.7.1: RSA-2048 through tpm2-pkcs11 1.9, the others with tpm2-tools 5.4 less a command that does nothing. Unwrapping with
 * RSA-1024 and RSA-3072 was not measured and is taken to be as slow as signing.
 */
export const swtpmLatency: TpmLatency = {
  'RSA-1024': { generateMs: 15, signMs: 6, unwrapMs: 6 },
  'RSA-2048': { generateMs: 330, signMs: 9.3, unwrapMs: 9.9 },
  'RSA-3072': { generateMs: 690, signMs: 13, unwrapMs: 13 },
  'P-256': { generateMs: 8, signMs: 4, unwrapMs: 0 },
  'P-384': { generateMs: 8, signMs: 13, unwrapMs: 0 },
}

export const noLatency: TpmLatency = {}

export function latencyOf(spec: KeySpec, latency: TpmLatency): TpmKeyLatency {
  return latency[describeSpec(spec)] ?? { generateMs: 0, signMs: 0, unwrapMs: 0 }
}

export function makesKey(version: TpmVersion, spec: KeySpec): boolean {
  return tpmKeySpecs[version].some((made) => describeSpec(made) === describeSpec(spec))
}
