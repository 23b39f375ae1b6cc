import { type AgentErrorCode, adviceByCode } from '../errors.ts'
import type { KeyReadiness } from '../ports.ts'
import type { KeyProtection, KeySpec, KeyStorageOption, KeyStorageReason } from '../types.ts'

export const keyProtections = ['software', 'tpm', 'passport', 'pkcs11'] as const satisfies readonly KeyProtection[]

/** Where a key may live, in order of preference (S25-S29). A later one counts only where the earlier is absent. */
export const protectionsByOption = {
  useTpmKspOtherwiseUseSoftwareKsp: ['tpm', 'software'],
  useTpmKspOtherwiseFail: ['tpm'],
  usePassportForWorkKspOtherwiseFail: ['passport'],
  useSoftwareKsp: ['software'],
} as const satisfies Record<KeyStorageOption, readonly KeyProtection[]>

type Unready = Exclude<KeyReadiness['state'], 'ready'>

/** What a profile fails with when its storage cannot make the key; the error table says when it is tried again. */
const codeByState = {
  absent: 'ERR_KEY_STORAGE_UNAVAILABLE',
  unsupported: 'ERR_UNSUPPORTED',
  busy: 'ERR_KEY_STORAGE_BUSY',
  'locked-out': 'ERR_KEY_STORAGE_LOCKED_OUT',
  full: 'ERR_KEY_STORAGE_FULL',
  'not-provisioned': 'ERR_USER_ACTION_REQUIRED',
  'multi-factor-missing': 'ERR_USER_ACTION_REQUIRED',
} as const satisfies Record<Unready, AgentErrorCode>

export const keyStorageReasons: readonly KeyStorageReason[] = [
  ...keyProtections.flatMap((protection) =>
    (['ready', ...(Object.keys(codeByState) as Unready[])] as const).map((state) => `${protection}-${state}` as const),
  ),
  'device-choice',
  'setting-ignored',
]

export interface KeyStorageWish {
  readonly option: KeyStorageOption
  /** Where the embedder wants every key. It may be stricter than the profile, never laxer. */
  readonly deviceChoice?: KeyProtection | undefined
  /** The OS has no such setting, and `option` is what it does instead. */
  readonly isIgnored?: boolean
}

export type KeyStorageChoice =
  | { readonly outcome: 'use'; readonly protection: KeyProtection; readonly reason: KeyStorageReason }
  | {
      /** `wait`: it can get better without a new policy. */
      readonly outcome: 'wait' | 'fail'
      readonly reason: KeyStorageReason
      readonly code: AgentErrorCode
      readonly message: string
    }

/** What each storage of the device answered; one that is missing is absent. */
export type ReadinessByProtection = Readonly<Partial<Record<KeyProtection, KeyReadiness>>>

/**
 * Where the key goes, and why. Pure: the same wish and answers, the same choice.
 *
 * Only absence lets `useTpmKspOtherwiseUseSoftwareKsp` fall back (S25): a TPM that is busy, full or locked out is present, and a key that it
 * cannot make fails, so that no key is ever quietly weaker than the device could have made it.
 */
export function chooseKeyStorage(
  { option, deviceChoice, isIgnored = false }: KeyStorageWish,
  device: ReadinessByProtection,
): KeyStorageChoice {
  const candidates: readonly KeyProtection[] = protectionsByOption[option]
  if (deviceChoice !== undefined) {
    if (!candidates.includes('software') && !candidates.includes(deviceChoice)) return excluded(option, deviceChoice)
    return judge(deviceChoice, 'device-choice', device, option)
  }
  const chosen = candidates.find((protection) => stateOf(protection, device) !== 'absent') ?? (candidates.at(-1) as KeyProtection)
  const decisive = candidates[0] as KeyProtection
  const reason = isIgnored ? 'setting-ignored' : (`${decisive}-${stateOf(decisive, device)}` as const)
  return judge(chosen, reason, device, option)
}

function judge(
  protection: KeyProtection,
  reason: KeyStorageReason,
  device: ReadinessByProtection,
  option: KeyStorageOption,
): KeyStorageChoice {
  const readiness = device[protection] ?? { state: 'absent', message: `the device has no ${nameOf[protection]}` }
  if (readiness.state === 'ready') return { outcome: 'use', protection, reason }
  const code = codeByState[readiness.state]
  const { retry } = adviceByCode[code]
  return {
    outcome: retry === 'backoff' || retry === 'on-user' ? 'wait' : 'fail',
    reason: `${protection}-${readiness.state}`,
    code,
    message: `${option} cannot be satisfied: ${readiness.message}`,
  }
}

function excluded(option: KeyStorageOption, deviceChoice: KeyProtection): KeyStorageChoice {
  const message = `the profile demands ${option}, the device is set to keep keys in its ${nameOf[deviceChoice]}; drop that setting or change the profile`
  return { outcome: 'fail', reason: 'device-choice', code: 'ERR_KEY_STORAGE_UNAVAILABLE', message }
}

const stateOf = (protection: KeyProtection, device: ReadinessByProtection): KeyReadiness['state'] => device[protection]?.state ?? 'absent'

const nameOf = { software: 'software KSP', tpm: 'TPM', passport: 'Passport for Work', pkcs11: 'PKCS#11 token' } as const satisfies Record<
  KeyProtection,
  string
>

/** `RSA-2048` or `P-256`. */
export function describeSpec(spec: KeySpec): string {
  return spec.algorithm === 'rsa' ? `RSA-${spec.bits}` : spec.curve
}
