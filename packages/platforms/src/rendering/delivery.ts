import type { HashName, KeyStorageOption, KeyUsage, PfxSpec, Principal, StoreName, SubjectAltName, Validity } from '@certfleet/agent-core'

/** What one device receives: everything resolved, challenges and PFX included, which makes it a secret. */
export interface Delivery {
  readonly deviceId: string
  readonly roots: readonly RootDelivery[]
  readonly scep: readonly ScepDelivery[]
  readonly pfx: readonly PfxDelivery[]
}

export interface RootDelivery {
  readonly id: string
  readonly displayName: string
  /** DER. */
  readonly certificate: Uint8Array
  /** Absent in forms that know one store alone. */
  readonly destinationStore?: StoreName
}

/** One SCEP request. What a form cannot carry is absent when it is read back. */
export interface ScepDelivery {
  readonly id: string
  readonly displayName: string
  readonly principal: Principal
  readonly urls: readonly string[]
  readonly challenge?: string
  /** Distinguished name as text, as in `RequestSpec`. */
  readonly subject: string
  readonly subjectAltNames: readonly SubjectAltName[]
  /** Of an RSA key. Absent: the OS decides. */
  readonly keyBits?: number
  /** Absent: the OS decides. */
  readonly keyUsages?: readonly KeyUsage[]
  readonly keyStorage?: KeyStorageOption
  /** Dotted OIDs. */
  readonly extendedKeyUsages?: readonly string[]
  readonly validity?: Validity
  /** Those that the request may be signed with. */
  readonly hashes?: readonly HashName[]
  /** 1-99. */
  readonly renewalThresholdPercent?: number
  readonly retries?: Retries
  /** SHA-1 of the root that the CA leads to, lower-case hex; in old profiles MD5, of 32 digits. */
  readonly rootThumbprint?: string
  /** The `id` of one of `roots`. */
  readonly rootId?: string
}

/** How often a pending request is asked for, and after how long. */
export interface Retries {
  readonly count: number
  readonly delayMs: number
}

/** A key with its certificate, ready-made. */
export interface PfxDelivery {
  readonly id: string
  readonly displayName: string
  readonly principal: Principal
  /** PKCS #12, DER. */
  readonly pfx: Uint8Array
  readonly password: string
  readonly keyStorage?: PfxSpec['keyStorage']
  readonly exportable?: boolean
}

/** A delivery in one OS's own form. A secret like the delivery itself. */
export interface Rendering {
  readonly mediaType: string
  /** With its dot: `.mobileconfig`. */
  readonly extension: string
  readonly text: string
  /** What the form has no place for. */
  readonly lost: readonly LostSetting[]
}

export interface LostSetting {
  /** The `id` of a root, SCEP request or PFX of the delivery. */
  readonly id: string
  /** Its member, as in `ScepDelivery`. */
  readonly setting: string
  /** In words, with the fact's id. */
  readonly reason: string
}

/** What a file in one OS's own form says. */
export interface ReadDelivery extends Omit<Delivery, 'deviceId'> {
  /** Absent in forms that do not say. */
  readonly deviceId?: string
  /** What the OS would pass over, told: payloads, nodes and commands of other kinds. */
  readonly skipped: readonly string[]
}
