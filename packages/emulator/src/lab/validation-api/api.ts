import type { HttpRequest } from '@certfleet/agent-core'
import { says, validationFacts } from '@certfleet/platforms'
import { empty, type Handler, type Route } from '../http.ts'
import { applicationId, graphEndpoints, legacyEndpoints, servicePaths } from './discovery.ts'
import type { ForeignCertificate, ForeignEnrollment, RevocationRequest } from './records.ts'
import { requestRevocation, revocationActions } from './revocations.ts'
import { type ScepActionsOptions, scepActions } from './scep-actions.ts'
import { badRequest } from './service.ts'
import { tokens } from './tokens.ts'

/** How somebody else's SCEP server reaches the lab as its service. */
export interface ValidationApiOptions {
  /** Name or id of the tenant as it stands in URLs: letters, digits, `.` and `-`. */
  readonly tenant: string
  readonly clientId: string
  /** A secret. */
  readonly clientSecret: string
  /** What discovery answers begin with, `http(s)://host[:port]`. Default: as the request itself reached the lab. */
  readonly baseUrl?: string | undefined
}

export interface ValidationApiSurroundings extends ScepActionsOptions {
  /** What keys are derived from. */
  readonly secret: Uint8Array
}

export interface ValidationApi {
  /** By path, lower-case. */
  readonly routes: readonly (readonly [path: string, route: Route])[]
  /** What was validated for others, and what they told became of it. */
  enrollments(): Iterable<ForeignEnrollment>
  /**
   * Asks whoever issued a certificate to revoke it; it is handed out until a result is uploaded. Asking again changes nothing.
   * A certificate that nobody notified: `ERR_UNSUPPORTED`.
   */
  requestRevocation(certificate: Pick<ForeignCertificate, 'serialNumber' | 'issuerName'>): Promise<RevocationRequest>
  revocationRequests(): Iterable<RevocationRequest>
}

const intuneResource = new URL(says(validationFacts.tokenScope, {})).origin
const graphResource = 'https://graph.microsoft.com'
const legacyGraphResource = 'https://graph.windows.net'
const legacyVersion = says(validationFacts.legacyDiscovery, {})

/** The public validation API (IRA): tokens, discovery, ScepActions and CertificateAuthorityRequests. Options that no URL can carry: TypeError. */
export function validationApi(api: ValidationApiOptions, surroundings: ValidationApiSurroundings): ValidationApi {
  assertUsable(api)
  const { store } = surroundings
  const { tenant } = api
  const baseUrl = (request: HttpRequest, url: URL) => api.baseUrl ?? (request.headers.host ? `http://${request.headers.host}` : url.origin)
  const token = tokens({
    ...api,
    ...surroundings,
    resources: (request, url) => [intuneResource, graphResource, legacyGraphResource, baseUrl(request, url)],
  })
  // A token is for one resource (aud); the lab itself is both.
  const bears = (resource: string) => (request: HttpRequest, url: URL) => token.isGood(request, [resource, baseUrl(request, url)])
  const discovery = (resource: string, answer: Handler): Route => ({
    GET: (request, url) => (bears(resource)(request, url) ? answer(request, url) : empty(401, { 'www-authenticate': 'Bearer' })),
  })
  const service = (apiVersion: string) => ({ apiVersion, isAllowed: bears(intuneResource) })
  const { ScepRequestValidationFEService: scep, PkiConnectorFEService: connector } = servicePaths
  const routes: [string, Route][] = [
    ...['oauth2/v2.0/token', 'oauth2/token'].map((path): [string, Route] => [`/${tenant}/${path}`, { POST: token.give }]),
    [
      `/v1.0/servicePrincipals/appId=${applicationId}/endpoints`,
      discovery(graphResource, (request, url) => graphEndpoints(baseUrl(request, url))),
    ],
    [
      `/${tenant}/servicePrincipalsByAppId/${applicationId}/serviceEndpoints`,
      discovery(legacyGraphResource, (request, url) =>
        url.searchParams.get('api-version') === legacyVersion
          ? legacyEndpoints(baseUrl(request, url))
          : badRequest(`api-version: ${legacyVersion} is expected`),
      ),
    ],
    ...below(`${scep}/ScepActions`, scepActions(service(says(validationFacts.apiVersion, {})), surroundings)),
    ...below(
      `${connector}/CertificateAuthorityRequests`,
      revocationActions(service(says(validationFacts.revocationVersion, {})), surroundings),
    ),
  ]
  return {
    routes: routes.map(([path, route]) => [path.toLowerCase(), route]),
    enrollments: () => store.list('foreignEnrollments'),
    requestRevocation: (certificate) => requestRevocation(certificate, surroundings),
    revocationRequests: () => store.list('revocationRequests'),
  }
}

function below(path: string, actions: Readonly<Record<string, Route>>): [string, Route][] {
  return Object.entries(actions).map(([name, route]) => [`${path}/${name}`, route])
}

function assertUsable({ tenant, clientId, clientSecret, baseUrl }: ValidationApiOptions): void {
  if (!/^[a-z0-9][a-z0-9.-]{0,127}$/i.test(tenant)) throw new TypeError('the tenant of the validation API is no name for a URL')
  if (clientId === '' || clientSecret === '') throw new TypeError('the validation API needs a clientId and a clientSecret')
  if (baseUrl !== undefined && !/^https?:\/\/[^/?#]+$/.test(baseUrl))
    throw new TypeError('the baseUrl of the validation API is expected to be http(s)://host[:port]')
}
