import type { Clock, KeyStorageProvider } from '../../ports.ts'
import type { Disk } from '../../state/disk.ts'

/** What the user is shown. */
export interface GesturePrompt {
  readonly user: string
  /** Opaque. */
  readonly containerName: string
  /** The administrator's own words (CustomTextToShowInPrompt). */
  readonly text?: string
  readonly purpose: 'create-key' | 'use-key'
  /** Wrong PINs that the user may still enter before the container locks out, at least 1. */
  readonly triesLeft: number
}

/** What the user did. A biometric gesture needs a PIN that was set or entered in this process before. */
export type GestureAnswer = { readonly pin: string } | { readonly biometric: true } | 'cancelled'

/**
 * How far the PIN is: `waiting-for-certificate` until the certificate payload has reached the device, then `none` until the user has set
 * it. A container that does not wait starts at `none`.
 */
export type PinProvisioning = 'none' | 'waiting-for-certificate' | 'done'

export interface PassportOptions {
  readonly clock: Clock
  /** Whose container it is. */
  readonly user: string
  /** An opaque string. Without it no key can be made: the installation fails (ClientCertificateInstall CSP, Install/ContainerName). */
  readonly containerName?: string
  /** Shown on every prompt. */
  readonly promptText?: string
  /** UseCertificateForOnPremAuth: no PIN before a profile that wants a key here has reached the device. Default false. */
  readonly waitsForCertificate?: boolean
  /** UsePassportForWork: while false there is no such key storage, and it holds no keys. Default always true. */
  readonly isEnabled?: () => boolean
  /** The event that the embedder answers; never twice at once. The signal is aborted once no answer is awaited any more. */
  readonly onGesture: (prompt: GesturePrompt, signal: AbortSignal) => Promise<GestureAnswer>
  /** How long a prompt waits for its answer, after which it counts as cancelled. Default 2 minutes. */
  readonly gestureTimeoutMs?: number
  /** A profile wants a key here and the user may set a PIN now: at every `readiness` that finds none. The answer is `setPin`, or nothing. */
  readonly onPinWanted?: () => void
  /** What the user chooses as PIN as soon as one may be set; `onPinWanted` is not told then. Ignored once a PIN is set. */
  readonly pin?: string
  /** For this container alone and for one process at a time; made where it is missing, in a folder that exists. Absent: memory. */
  readonly folder?: string
  /** Default: the machine's. */
  readonly disk?: Disk
}

/**
 * A modelled Windows Hello container (Passport for Work; S27, S28, A12, A13). Real RSA-2048 keys behind a gesture; SHA-256 alone.
 *
 * `generate` asks for a gesture each time, the use of a key only while the container is closed: after a restart or `lock()`. Nothing else
 * asks. No gesture, or the wrong one: `ERR_USER_ACTION_REQUIRED`; too many wrong PINs: `ERR_KEY_STORAGE_LOCKED_OUT` until a time.
 */
export interface ModelledPassport extends KeyStorageProvider {
  provisioning(): Promise<PinProvisioning>
  /**
   * The first PIN, 6 to 127 characters; another length: `ERR_USER_ACTION_REQUIRED`. Still waiting for the certificate payload:
   * `ERR_KEY_STORAGE_BUSY`. One is set: `ERR_UNSUPPORTED`.
   */
  setPin(pin: string): Promise<void>
  /**
   * Another PIN. With the current one the keys stay; a wrong one costs a try like at a prompt. Without it every key of the container is
   * destroyed (Windows Hello for Business, destructive PIN reset, its default), and a lock-out ends (inferred). No PIN set: as `setPin`.
   */
  resetPin(pin: string, currentPin?: string): Promise<void>
  /** The user has proved more than one factor while the device was enrolled (S28, A13). It lasts. */
  proveMultiFactor(): Promise<void>
  /** Closes the container: the next use of a key asks for a gesture. */
  lock(): void
}
