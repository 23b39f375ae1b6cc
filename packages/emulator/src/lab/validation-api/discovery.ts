import type { HttpResponse } from '@certfleet/agent-core'
import { says, validationFacts } from '@certfleet/platforms'
import { json } from '../http.ts'

/** The application that third parties ask Graph for (IRA). */
export const applicationId = says(validationFacts.application, {})

/** By the names that third parties look for: where each service is, below the base URL. */
export const servicePaths = {
  ScepRequestValidationFEService: '/scep-request-validation',
  PkiConnectorFEService: '/pki-connector',
} as const

/** Where the services are, in the shape of Microsoft Graph v1.0. */
export function graphEndpoints(baseUrl: string): HttpResponse {
  return json(200, { value: endpointsAt(baseUrl, 'providerName') })
}

/** The same in the shape of Azure AD Graph 1.6. */
export function legacyEndpoints(baseUrl: string): HttpResponse {
  return json(200, { value: endpointsAt(baseUrl, 'serviceName') })
}

function endpointsAt(baseUrl: string, nameMember: string): readonly Record<string, string>[] {
  return Object.entries(servicePaths).map(([name, path]) => ({ [nameMember]: name, capability: name, uri: `${baseUrl}${path}` }))
}
