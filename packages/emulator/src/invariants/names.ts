/** What holds in every run, in the order of every table. */
export const invariantNames = {
  serials: 'serial numbers are unique',
  keys: 'every certificate is for its key',
  roots: 'every certificate leads to an installed root',
  orphans: 'no certificate was issued that no device has',
  removal: 'removal leaves nothing',
} as const
export type InvariantId = keyof typeof invariantNames

/** What was looked at, and what was wrong with it; a sentence each. */
export interface Judgement {
  readonly checked: number
  readonly found: readonly string[]
}

/** One that is in the hands of a device, or was. */
export interface CertificateFinding {
  /** Distinguished name as text. */
  readonly issuer: string
  /** Hexadecimal, two digits an octet, no sign octet. */
  readonly serialNumber: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** What there is to say of one device at its end, as one JSON value. */
export interface DeviceFindings {
  readonly device: string
  /** Every one that it was given in this run or has from an earlier one. */
  readonly certificates: readonly CertificateFinding[]
  readonly judged: Readonly<Partial<Record<InvariantId, Judgement>>>
  /** It goes on some other time, and may yet get what the CA has issued for it. */
  readonly isUnderWay: boolean
}
