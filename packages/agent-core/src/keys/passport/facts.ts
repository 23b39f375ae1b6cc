import type { HashName } from '../../types.ts'

const minuteMs = 60_000

/** RSA of this size alone (ClientCertificateInstall CSP, Install/KeyLength: "Hello: 2048 only"). */
export const passportKeyBits = 2048

/** The digests of a Passport key (ClientCertificateInstall CSP, Install/HashAlgorithm: "Hello: SHA256 only"). */
export const passportHashes: readonly Exclude<HashName, 'sha1'>[] = ['sha256']

/** Characters of a PIN where no policy says otherwise (Windows Hello for Business policy settings, Minimum and Maximum PIN length). */
export const pinLength = { min: 6, max: 127 } as const

/**
 * Wrong PINs before the device wants a restart: three, then one more after the challenge phrase (Windows Hello for Business FAQ,
 * "what happens when an unauthorized user gains possession of a device").
 */
export const triesInARow = 4

/**
 * How long each lock-out in a row holds: 1 minute at the first restart, 2 at the fourth, 10 at the fifth (same FAQ). Inferred: that restarts
 * two and three hold a minute too, that later ones hold as long as the fifth, and that a lock-out begins with the wrong PIN, because a model
 * does not see the device restart.
 */
export const lockoutsMs: readonly number[] = [minuteMs, minuteMs, minuteMs, 2 * minuteMs, 10 * minuteMs]

/** Inferred: no source says when an open prompt gives up. */
export const gestureTimeoutMs = 2 * minuteMs
