import { isIPv4 } from 'node:net'
import { InputError } from '../scenario/input-error.ts'

/**
 * Whether the URL leads to this machine: `localhost`, 127.0.0.0/8, ::1, or a name under `.invalid`, which no name service knows (RFC 2606)
 * and only a handler in this process answers.
 */
export function isOnThisMachine(url: string): boolean {
  const host = hostOf(url)
  return host === 'localhost' || host === '[::1]' || host.endsWith('.invalid') || (isIPv4(host) && host.startsWith('127.'))
}

/** Throws `InputError` unless `isOnThisMachine`: a certificate for a key that is no secret must not be had anywhere else. */
export function assertEmulationTarget(url: string): void {
  if (isOnThisMachine(url)) return
  throw new InputError(
    `${hostOf(url) || 'a URL that cannot be read'} is not on this machine: keys of a pool are no secret and stay with the lab; use fresh keys there`,
  )
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).hostname : '')
