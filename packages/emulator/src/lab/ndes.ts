import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { buildNextCaCertificates } from '@certfleet/agent-core/scep/messages'
import { ndesFacts, says, scepFacts } from '@certfleet/platforms'
import type { Authority } from './authority.ts'
import { content, empty, type Route } from './http.ts'
import { devicePage } from './ndes/pages.ts'
import { answerPkiOperation, type RegistrationAuthorityOptions } from './registration-authority.ts'

/** Where NDES answers, and a plain alias. */
export const scepPaths = [...says(ndesFacts.paths, {}), '/scep'] as const

const types = says(scepFacts.contentTypes, {})

export interface NdesRouteOptions extends RegistrationAuthorityOptions {
  /** Default true. */
  readonly policyModule?: boolean | undefined
  /** Default false. */
  readonly ndesCapabilities?: boolean | undefined
}

/** The SCEP endpoint (RFC 8894 4). A GET that names no operation is what a health probe sends: 403 (S57), without policy module a page. */
export function ndes(options: NdesRouteOptions): Route {
  const { authorities, policyModule = true } = options
  return {
    async GET(_, url) {
      const operation = url.searchParams.get('operation')
      if (operation === null && url.search === '') return policyModule ? empty(says(ndesFacts.probe, options)) : devicePage()
      if (operation === 'GetCACaps') return content(200, types.capabilities, capabilities(options).join('\n'))
      if (operation === 'GetCACert') return content(200, types.certificates, bundleOf(authorities.present()))
      if (operation === 'GetNextCACert') return nextCaCertificates(options)
      return operation === 'PKIOperation' ? pkiOperation(messageOf(url), options) : empty(400)
    },
    async POST({ body }: HttpRequest, url) {
      const operation = url.searchParams.get('operation')
      if (operation === 'GetCACaps' || operation === 'GetCACert' || operation === 'GetNextCACert') return empty(405, { allow: 'GET' })
      return operation === 'PKIOperation' ? pkiOperation(body, options) : empty(400)
    },
  }
}

/** As NDES lists them, whatever the lab takes; or what it really takes. AES and 3DES are always read, SHA-1 by its switch only; GetNextCACert while a roll-over is prepared. */
function capabilities({ legacySha1, authorities, ndesCapabilities, overrides }: NdesRouteOptions): readonly string[] {
  if (ndesCapabilities) return says<readonly string[]>(ndesFacts.capabilities, { overrides })
  const optional = [...(authorities.next() ? ['GetNextCACert'] : []), ...(legacySha1 ? ['SHA-1'] : [])]
  return ['AES', 'DES3', ...optional, 'POSTPKIOperation', 'Renewal', 'SHA-256', 'SHA-512', 'SCEPStandard']
}

const bundles = new WeakMap<Authority, Uint8Array>()

function bundleOf(authority: Authority): Uint8Array {
  const known = bundles.get(authority) ?? buildCertificatesOnly({ certificates: certificatesOf(authority), crls: [] })
  bundles.set(authority, known)
  return known
}

function certificatesOf({ encryption, signing, issuing, root }: Authority): readonly Uint8Array[] {
  return [encryption.certificate, signing.certificate, issuing.certificate, root].map(({ raw }) => raw)
}

/** RFC 8894 4.7: the certificates to come, vouched for by the CA itself; 404 where none are. */
async function nextCaCertificates({ authorities }: RegistrationAuthorityOptions): Promise<HttpResponse> {
  const next = authorities.next()
  if (next === undefined) return empty(404)
  const body = await buildNextCaCertificates({ certificates: certificatesOf(next), signer: authorities.present().issuing, hash: 'sha256' })
  return content(200, says(scepFacts.nextCaType, {}), body)
}

async function pkiOperation(message: Uint8Array | undefined, options: RegistrationAuthorityOptions): Promise<HttpResponse> {
  const answer = message && (await answerPkiOperation(message, options))
  return answer ? content(200, types.message, answer) : empty(400)
}

/** Base64 in either alphabet, broken into lines or not; a "+" that was not escaped has become a space by now. */
function messageOf(url: URL): Uint8Array | undefined {
  const text =
    url.searchParams
      .get('message')
      ?.replace(/[\r\n]/g, '')
      .replaceAll(' ', '+') ?? ''
  return /^[A-Za-z0-9+/_-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined
}
