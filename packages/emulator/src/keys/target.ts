import { isIPv4 } from 'node:net'
import { InputError } from '../scenario/input-error.ts'

/**
 * Throws `InputError` unless the URL leads to this machine: `localhost`, 127.0.0.0/8, ::1, or a name under `.invalid`, which no name service
 * knows (RFC 2606) and only a handler in this process answers. A certificate for a key that is no secret must not be had anywhere else.
 */
export function assertEmulationTarget(url: string): void {
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  if (host === 'localhost' || host === '[::1]' || host.endsWith('.invalid') || (isIPv4(host) && host.startsWith('127.'))) return
  throw new InputError(
    `${host || 'a URL that cannot be read'} is not on this machine: keys of a pool are no secret and stay with the lab; use fresh keys there`,
  )
}
