import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { type FactOverrides, ndesFacts, says } from '@certfleet/platforms'
import { empty, type Handler, type Route } from '../http.ts'

/** What can be wrong with NDES on its host (6.2). */
export interface NdesConditions {
  /** Stopped: 503. */
  readonly applicationPool: 'running' | 'stopped'
  /** Of the service account. Locked: 500. */
  readonly account: 'ok' | 'locked'
}

/** IIS's limits on what is asked for, in characters as sent. */
export interface RequestFiltering {
  /** Of the path, without the query. */
  readonly maxUrl: number
  /** Of the query, without its "?". */
  readonly maxQueryString: number
  /** What is answered beyond them: 414, as Microsoft's guide to NDES names it, or the 404 (404.14 and 404.15 in its log) of the filter itself. */
  readonly status: 414 | 404
}

/** S56: what the document's steps set. */
export const documentedFiltering: RequestFiltering = {
  maxUrl: says(ndesFacts.longest, {}),
  maxQueryString: says(ndesFacts.longest, {}),
  status: says(ndesFacts.tooLong, {}) as 414,
}
/** What IIS is installed with: too little for a PKIOperation by GET. */
export const iisDefaultFiltering: RequestFiltering = { maxUrl: 4096, maxQueryString: 2048, status: 404 }

export interface SiteOptions {
  readonly conditions: () => NdesConditions
  readonly filtering: RequestFiltering
  /** A body whose length is not told is 411, as IIS answers it. */
  readonly refuseChunked: boolean
  /** The RA's certificates are past their end, so that NDES does not start. */
  readonly isExpired: () => boolean
  readonly overrides?: FactOverrides | undefined
}

/** The host around a route: a stopped pool first, then the filter, then what keeps NDES from starting. */
export function onSite(route: Route, options: SiteOptions): Route {
  const guard =
    (handler: Handler): Handler =>
    (request, url) =>
      refusal(request, options) ?? handler(request, url)
  return Object.fromEntries(Object.entries(route).map(([method, handler]) => [method, guard(handler)]))
}

function refusal(request: HttpRequest, options: SiteOptions): HttpResponse | undefined {
  const { conditions, filtering, refuseChunked, isExpired } = options
  const { applicationPool, account } = conditions()
  if (applicationPool === 'stopped') return empty(says(ndesFacts.stopped, options))
  const [, path = '', query = ''] = /^(?:[a-z][a-z0-9+.-]*:\/\/[^/?#]*)?([^?#]*)(?:\?([^#]*))?/is.exec(request.url) ?? []
  if (path.length > filtering.maxUrl || query.length > filtering.maxQueryString) return empty(filtering.status)
  if (refuseChunked && 'transfer-encoding' in request.headers) return empty(says(ndesFacts.chunked, options))
  return account === 'locked' || isExpired() ? empty(says(ndesFacts.broken, options)) : undefined
}
