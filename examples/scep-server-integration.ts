import { X509Certificate } from 'node:crypto'

/** Where the service is: `certfleet lab` in a test, Microsoft's three addresses in production. */
export interface Service {
  readonly authority: string
  readonly graph: string
  readonly resource: string
  readonly tenant: string
  readonly clientId: string
  readonly clientSecret: string
}

const applicationId = '0000000a-0000-0000-c000-000000000000'
const caller = 'my-scep-server 1.0'

/** What a SCEP server does between reading a PKCSReq and answering it. It throws: the device gets no certificate. */
export async function enrol(service: Service, transactionId: string, csr: Uint8Array, issue: (csr: Uint8Array) => Promise<Uint8Array>) {
  const asked = { transactionId, certificateRequest: Buffer.from(csr).toString('base64'), callerInfo: caller }
  await act(service, 'validateRequest', { request: asked })
  const certificate = await issue(csr).catch(async (error) => {
    await act(service, 'failureNotification', {
      notification: { ...asked, hResult: -2147467259, errorDescription: 'the CA did not issue' },
    })
    throw error
  })
  const { fingerprint, serialNumber, validTo, issuer } = new X509Certificate(certificate)
  const told = {
    certificateThumbprint: fingerprint.replaceAll(':', ''),
    certificateSerialNumber: serialNumber,
    certificateExpirationDateUtc: new Date(validTo).toISOString(),
    issuingCertificateAuthority: issuer.replaceAll('\n', ', '),
  }
  // Until this has passed the certificate is in nobody's hands, and it stays so when it fails.
  await act(service, 'successNotification', { notification: { ...asked, ...told } })
  return certificate
}

async function act(service: Service, action: string, body: unknown): Promise<void> {
  const uri = await endpointOf(service, 'ScepRequestValidationFEService')
  const headers = { 'api-version': '2018-02-20', 'client-request-id': crypto.randomUUID(), 'content-type': 'application/json' }
  const authorization = `Bearer ${await tokenFor(service, service.resource)}`
  const response = await fetch(`${uri}/ScepActions/${action}`, {
    method: 'POST',
    headers: { ...headers, authorization },
    body: JSON.stringify(body),
  })
  const { code } = response.ok ? ((await response.json()) as { code: string }) : { code: `HTTP ${response.status}` }
  // Anything but this one word is a refusal, a code that is not known yet too.
  if (code !== 'Success') throw new Error(`${action}: ${code}`)
}

async function endpointOf(service: Service, name: string): Promise<string> {
  const authorization = `Bearer ${await tokenFor(service, service.graph)}`
  const url = `${service.graph}/v1.0/servicePrincipals/appId=${applicationId}/endpoints`
  const response = await fetch(url, { headers: { authorization } })
  if (!response.ok) throw new Error(`discovery: HTTP ${response.status}`)
  const { value } = (await response.json()) as { value: { providerName: string; uri: string }[] }
  const found = value.find(({ providerName }) => providerName.toLowerCase() === name.toLowerCase())
  if (!found) throw new Error(`discovery: no ${name}`)
  return found.uri
}

async function tokenFor({ authority, tenant, clientId, clientSecret }: Service, resource: string): Promise<string> {
  const credentials = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret }
  const body = new URLSearchParams({ ...credentials, scope: `${resource}/.default` })
  const response = await fetch(`${authority}/${tenant}/oauth2/v2.0/token`, { method: 'POST', body })
  if (!response.ok) throw new Error(`token: HTTP ${response.status}`)
  return ((await response.json()) as { access_token: string }).access_token
}
