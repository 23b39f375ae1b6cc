import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { buildCertificatesOnly } from '@certfleet/agent-core/cms'
import { content, empty, type Route } from './http.ts'
import { answerPkiOperation, type RegistrationAuthorityOptions } from './registration-authority.ts'

/** Where NDES answers (windowsserverdocs), and a plain alias. */
export const scepPaths = ['/certsrv/mscep/mscep.dll', '/certsrv/mscep/mscep.dll/pkiclient.exe', '/scep'] as const

/** The SCEP endpoint (RFC 8894 4). A GET that names no operation is what a health probe sends, and is 403 (S57). */
export function ndes(options: RegistrationAuthorityOptions): Route {
  const certificates = certificateBundle(options)
  return {
    async GET(_, url) {
      const operation = url.searchParams.get('operation')
      if (operation === null && url.search === '') return empty(403)
      if (operation === 'GetCACaps') return content(200, 'text/plain', capabilities(options).join('\n'))
      if (operation === 'GetCACert') return content(200, 'application/x-x509-ca-ra-cert', certificates)
      return operation === 'PKIOperation' ? pkiOperation(messageOf(url), options) : empty(400)
    },
    async POST({ body }: HttpRequest, url) {
      const operation = url.searchParams.get('operation')
      if (operation === 'GetCACaps' || operation === 'GetCACert') return empty(405, { allow: 'GET' })
      return operation === 'PKIOperation' ? pkiOperation(body, options) : empty(400)
    },
  }
}

/** What it really takes. AES and 3DES are always read, SHA-1 by its switch only. */
function capabilities({ legacySha1 }: RegistrationAuthorityOptions): readonly string[] {
  return ['AES', 'DES3', 'POSTPKIOperation', 'Renewal', ...(legacySha1 ? ['SHA-1'] : []), 'SHA-256', 'SHA-512', 'SCEPStandard']
}

function certificateBundle({ authority }: RegistrationAuthorityOptions): Uint8Array {
  const { encryption, signing, issuing, root } = authority
  const certificates = [encryption.certificate, signing.certificate, issuing.certificate, root].map(({ raw }) => raw)
  return buildCertificatesOnly({ certificates, crls: [] })
}

async function pkiOperation(message: Uint8Array | undefined, options: RegistrationAuthorityOptions): Promise<HttpResponse> {
  const answer = message && (await answerPkiOperation(message, options))
  return answer ? content(200, 'application/x-pki-message', answer) : empty(400)
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
