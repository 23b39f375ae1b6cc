import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { Lab } from '@certfleet/emulator/lab'
import { jsonOf } from './surroundings.ts'

export const validationApi = { tenant: 'contoso.example', clientId: 'scep-server', clientSecret: 'client-secret-canary' }
export const intune = 'https://api.manage.microsoft.com'
export const graph = 'https://graph.microsoft.com'
export const legacyGraph = 'https://graph.windows.net'
export const guid = '11111111-2222-3333-4444-555555555555'

export function askToken(
  lab: Lab,
  form: Readonly<Record<string, string>> = {},
  { path = '/contoso.example/oauth2/v2.0/token', headers = {} }: { path?: string; headers?: HttpRequest['headers'] } = {},
): Promise<HttpResponse> {
  const { clientId, clientSecret } = validationApi
  const all = {
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
    scope: `${intune}//.default`,
    ...form,
  }
  const body = Buffer.from(new URLSearchParams(Object.entries(all).filter(([, value]) => value !== '')).toString())
  return lab.handle({ method: 'POST', url: path, headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers }, body })
}

export async function tokenFor(lab: Lab, resource = intune): Promise<string> {
  return jsonOf(await askToken(lab, { scope: `${resource}/.default` })).access_token
}

export interface Call {
  readonly token?: string
  readonly headers?: HttpRequest['headers']
}

/** One call of a service, as Microsoft's libraries make it. */
export async function call(lab: Lab, path: string, body: unknown, { token, headers = {} }: Call = {}): Promise<HttpResponse> {
  const version = path.startsWith('ScepActions/') ? '2018-02-20' : '5019-05-05'
  return lab.handle({
    method: 'POST',
    url: `${path.startsWith('ScepActions/') ? '/scep-request-validation' : '/pki-connector'}/${path}`,
    headers: {
      authorization: `Bearer ${token ?? (await tokenFor(lab))}`,
      'api-version': version,
      'client-request-id': guid,
      'content-type': 'application/json',
      ...headers,
    },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
  })
}

/** What `validateRequest` says to a CSR, DER. */
export async function codeOf(lab: Lab, csr: Uint8Array, transactionId = 'T1', options: Call = {}): Promise<string> {
  const certificateRequest = Buffer.from(csr).toString('base64')
  const answer = await call(
    lab,
    'ScepActions/validateRequest',
    { request: { transactionId, certificateRequest, callerInfo: 'test 1' } },
    options,
  )
  return answer.status === 200 ? jsonOf(answer).code : String(answer.status)
}

export const certificate = {
  certificateThumbprint: 'A1'.repeat(20),
  certificateSerialNumber: '0A1B',
  certificateExpirationDateUtc: '2027-06-01T12:00:00.000Z',
  issuingCertificateAuthority: 'CN=Other CA',
}

/** What a notification is answered. */
export async function notify(lab: Lab, csr: Uint8Array, told: object, transactionId = 'T1'): Promise<string> {
  const kind = 'hResult' in told ? 'failureNotification' : 'successNotification'
  const certificateRequest = Buffer.from(csr).toString('base64')
  const answer = await call(lab, `ScepActions/${kind}`, {
    notification: { transactionId, certificateRequest, callerInfo: 'test 1', ...told },
  })
  return answer.status === 200 ? jsonOf(answer).code : String(answer.status)
}
