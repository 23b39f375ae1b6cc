import { AgentError } from '../errors.ts'

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
