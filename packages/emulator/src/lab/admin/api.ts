import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { sameSecret } from '../digest.ts'
import { bearerOf, maxBodyBytes, maxUrlCharacters } from '../http.ts'
import { certificateRoutes, type MonitoringServices } from './certificates.ts'
import { deviceRoutes } from './devices.ts'
import { groupRoutes } from './groups.ts'
import { importedPfxRoutes } from './imported-pfx.ts'
import { profileRoutes } from './profiles.ts'
import { Refusal, refusal } from './request.ts'
import { type AdminRoutes, dispatch, prefixOf } from './routes.ts'
import { userRoutes } from './users.ts'

export interface AdminApiOptions extends Omit<MonitoringServices, 'changed'> {
  /** Whoever bears it may do everything. A secret of at least 16 characters: otherwise TypeError. */
  readonly adminToken: string
  /** Called once a change of what devices are to have is on record, before the answer: `Lab.policiesChanged`. Default: nobody is told. */
  readonly onChanged?: (() => unknown) | undefined
}

export interface AdminApi {
  /** Whether the path of the URL is one of this API's: `/v1.0/` or `/beta/` with deviceManagement, groups or users. */
  takes(url: string): boolean
  /** Answers one request. Every refusal is `{error:{code,message}}`: 401 without the token, before anything is read. */
  handle(request: HttpRequest): Promise<HttpResponse>
}

const minTokenCharacters = 16

/** The admin's side of the lab in the shapes of Microsoft Graph; /v1.0 and /beta are the same. */
export function adminApi({ adminToken, onChanged, ...options }: AdminApiOptions): AdminApi {
  if (adminToken.length < minTokenCharacters)
    throw new TypeError(`the admin token is expected to have ${minTokenCharacters} characters at least`)
  const services: MonitoringServices = { ...options, changed: async () => void (await onChanged?.()) }
  const routes: AdminRoutes = {
    ...profileRoutes(services),
    ...userRoutes(services),
    ...groupRoutes(services),
    ...deviceRoutes(services),
    ...certificateRoutes(services),
    ...importedPfxRoutes(services),
  }
  return {
    takes: (url) => prefixOf(urlOf(url)?.pathname ?? '') !== undefined,
    async handle(request) {
      try {
        return await answer(request, routes, adminToken)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        return refusal(error)
      }
    },
  }
}

function answer(request: HttpRequest, routes: AdminRoutes, adminToken: string): HttpResponse | Promise<HttpResponse> {
  const url = urlOf(request.url)
  const prefix = url && prefixOf(url.pathname)
  if (url === undefined || prefix === undefined) throw new Refusal(404, 'ResourceNotFound', 'the lab has no such path')
  const token = bearerOf(request.headers)
  if (token === undefined || !sameSecret(token, adminToken))
    throw new Refusal(401, 'InvalidAuthenticationToken', 'expected the token of the admin as bearer')
  if (request.url.length > maxUrlCharacters)
    throw new Refusal(414, 'UriTooLong', `expected a URL of at most ${maxUrlCharacters} characters`)
  if ((request.body?.length ?? 0) > maxBodyBytes)
    throw new Refusal(413, 'RequestEntityTooLarge', `expected a body of at most ${maxBodyBytes} bytes`)
  return dispatch(routes, url, prefix, request)
}

function urlOf(url: string): URL | undefined {
  const base = 'http://lab.invalid'
  return URL.canParse(url, base) ? new URL(url, base) : undefined
}
