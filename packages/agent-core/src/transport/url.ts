import { isIP } from 'node:net'
import { AgentError } from '../errors.ts'
import { type LocalAddresses, localAddressProblem } from './local-address.ts'

/** A response body beyond it is refused, unless the transport was made with another limit. */
export const maxResponseBytes = 16 * 1024 * 1024

/** Only http and https, and no credentials in the address: otherwise `ERR_UNSUPPORTED`, which does not repeat the address. */
export function requestUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new AgentError('ERR_UNSUPPORTED', 'a request goes to an absolute http or https URL')
  }
  if (url.username !== '' || url.password !== '') {
    throw new AgentError('ERR_UNSUPPORTED', `the URL of a request to ${url.host} must hold no credentials`)
  }
  return url
}

export interface NetworkUrlOptions extends LocalAddresses {
  /** A proxy resolves the names. */
  readonly isProxied: boolean
}

/** The same for a request that leaves the process: an address near the device needs its option, else `ERR_UNSUPPORTED`. */
export function networkUrl(text: string, { isProxied, ...allowed }: NetworkUrlOptions): URL {
  const url = requestUrl(text)
  // The URL parser has made plain addresses of decimal, octal and hexadecimal ones. A name is judged when it is resolved; where a proxy
  // does that, the only one whose address is known is localhost (RFC 6761 6.3).
  const address = isProxied && /(^|\.)localhost\.?$/.test(url.hostname) ? '127.0.0.1' : url.hostname.replace(/^\[|\]$/g, '')
  const problem = isIP(address) === 0 ? undefined : localAddressProblem(address, allowed)
  if (problem !== undefined) throw new AgentError('ERR_UNSUPPORTED', `${url.hostname} is ${problem}`)
  return url
}
