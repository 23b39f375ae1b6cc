import type { HashName, KeyStorageOption, PendingSchedule, PfxSpec, RenewalRules, ScepHabits } from '@certfleet/agent-core'

/** What one OS at one version does, read from its facts. Pure; `adapter.ts` binds it to a device. */
export interface Behaviour {
  readonly pendingSchedule: PendingSchedule
  /** Whether a SCEP URL may have a query or a fragment. Default true. */
  readonly allowsUrlQuery?: boolean
  /** Whether a SCEP URL may be plain http. */
  readonly allowsHttp: boolean
  /** The RSA key size that the OS takes when a profile names none. Absent where a profile must name one. */
  readonly defaultKeyBits?: number
  /** How its SCEP client looks on the wire for a profile of this display name. */
  habits(displayName: string): ScepHabits
  /** Where the key really goes; absent where that is simply what the profile says. What the OS refuses: `ERR_UNSUPPORTED`. */
  keyStorage?(wish: KeyWish): KeyStorageOption
  readonly pfx: PfxBehaviour
  /** Of SCEP certificates. */
  readonly renewal: RenewalRules
}

export interface PfxBehaviour {
  /** In one file. Absent: any number. */
  readonly maxCertificates?: number
  /** It knows 3DES and RC2, and no PBES2. Default false. */
  readonly readsLegacyAlone?: boolean
  /** As that of `Behaviour`, for the key of a PFX. */
  keyStorage?(request: Pick<PfxSpec, 'keyStorage' | 'exportable'>): KeyStorageOption
}

export interface KeyWish {
  readonly option: KeyStorageOption
  /** Of an RSA key. */
  readonly keyBits: number
  readonly hash: HashName | undefined
  /** Dotted OIDs. */
  readonly extendedKeyUsages: readonly string[]
}
