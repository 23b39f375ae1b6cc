import { retryAfterOf } from '../backoff.ts'
import { AgentError } from '../errors.ts'
import type { Clock, HttpResponse, Jitter, Transport } from '../ports.ts'
import type { CaCertificates } from './ca-certificates.ts'
import { parseCapabilities, type ScepCapabilities } from './capabilities.ts'
import type { ScepHabits, ScepTrust } from './habits.ts'
import { pinCaCertificates } from './pinning.ts'

export interface ScepServerOptions {
  /** As the profile has them; http or https. */
  readonly urls: readonly string[]
  readonly habits: ScepHabits
  readonly transport: Transport
  readonly trust: ScepTrust
  readonly clock: Clock
  readonly jitter: Jitter
  /** Takes certificates signed over SHA-1, and speaks SHA-1 to servers that offer nothing better. Default false. */
  readonly legacySha1?: boolean
}

/** A SCEP server as one exchange sees it: what it can do, and certificates that are vouched for. */
export interface ScepServer {
  readonly url: string
  readonly capabilities: ScepCapabilities
  /** `signers` are only those that are vouched for. */
  readonly ca: CaCertificates
}

/** Asks for capabilities and CA certificates in the OS's order, and pins the CA before anything is encrypted to it (`ERR_CA_UNTRUSTED`). */
export async function meetServer(options: ScepServerOptions, signal: AbortSignal): Promise<ScepServer> {
  const urls = orderUrls(options)
  for (const [i, url] of urls.entries()) {
    try {
      return await meet(url, options, signal)
    } catch (error) {
      const isUnreachable = error instanceof AgentError && error.code === 'ERR_NETWORK'
      if (!isUnreachable || i === urls.length - 1) throw error
    }
  }
  throw new AgentError('ERR_PROFILE_INVALID', 'the profile has no SCEP server URL')
}

function orderUrls({ urls, habits, jitter }: ScepServerOptions): readonly string[] {
  const suffixed = urls.map((url) => (url.endsWith(habits.urlSuffix) ? url : url + habits.urlSuffix))
  if (habits.urls === 'first') return suffixed.slice(0, 1)
  if (habits.urls === 'in-order') return suffixed
  return suffixed
    .map((url) => ({ url, rank: jitter.between(0, 1) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ url }) => url)
}

async function meet(url: string, options: ScepServerOptions, signal: AbortSignal): Promise<ScepServer> {
  const askCapabilities = () => getCapabilities(url, options, signal)
  const askCertificates = () => getCaCertificates(url, options, signal)
  if (options.habits.order === 'caps-first') {
    const capabilities = await askCapabilities()
    return { url, capabilities, ca: await askCertificates() }
  }
  const ca = await askCertificates()
  return { url, ca, capabilities: await askCapabilities() }
}

/** A server that refuses to tell is taken at the policy's minimum (RFC 8894 3.5.2), never below. */
async function getCapabilities(url: string, options: ScepServerOptions, signal: AbortSignal): Promise<ScepCapabilities> {
  const response = await get(url, 'GetCACaps', options, signal)
  return parseCapabilities(response.status === 200 ? Buffer.from(response.body).toString('latin1') : '')
}

async function getCaCertificates(url: string, options: ScepServerOptions, signal: AbortSignal): Promise<CaCertificates> {
  const response = await get(url, 'GetCACert', options, signal)
  assertOk(response, 'GetCACert')
  return pinCaCertificates(response.body, { ...options, at: options.clock.now() })
}

/** A question by GET, with the parameters that the OS gives it. */
export function get(url: string, operation: string, { habits, transport }: ScepServerOptions, signal: AbortSignal): Promise<HttpResponse> {
  const message = habits.message === undefined ? '' : `&message=${encodeURIComponent(habits.message)}`
  return transport.send(
    { method: 'GET', url: `${url}?operation=${operation}${message}`, headers: { 'user-agent': habits.userAgent } },
    signal,
  )
}

export function assertOk(response: HttpResponse, operation: string): void {
  const { status } = response
  if (status === 200) return
  const message = `the SCEP server answered ${operation} with HTTP status ${status}`
  throw new AgentError('ERR_HTTP_STATUS', message, { retryAfterMs: retryAfterOf(response) })
}
