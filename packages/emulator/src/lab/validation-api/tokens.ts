import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock, HttpRequest, HttpResponse } from '@certfleet/agent-core'
import { derivedKey } from '../challenge-seal.ts'
import { sameSecret } from '../digest.ts'
import { bearerOf, json } from '../http.ts'

/** A token is good for this long. */
export const tokenLifetimeMs = 60 * 60_000

export interface TokensOptions {
  readonly clock: Clock
  readonly tenant: string
  readonly clientId: string
  readonly clientSecret: string
  /** What the lab derives keys from. */
  readonly secret: Uint8Array
  /** The resources that tokens are given for, as this request may name them; no slash at the end. */
  readonly resources: (request: HttpRequest, url: URL) => readonly string[]
}

export interface Tokens {
  /** The token endpoint: client credentials (RFC 6749 4.4), the secret in the body or by Basic. */
  give(request: HttpRequest, url: URL): HttpResponse
  /** Whether a request bears a token that is good now, for one of these resources. */
  isGood(request: HttpRequest, resources: readonly string[]): boolean
}

const maxFormBytes = 16 * 1024
const expiryBytes = 8
/** Client libraries ask for these too; they mean nothing where there is no user. */
const userScopes = new Set(['openid', 'profile', 'offline_access', 'email'])

/** Opaque tokens, `expiry ‖ HMAC`: nothing is stored, and they end with the client's secret. */
export function tokens({ clock, tenant, clientId, clientSecret, secret, resources }: TokensOptions): Tokens {
  const key = derivedKey(secret, JSON.stringify(['validation api token', tenant, clientId, clientSecret]))
  const tokenFor = (resource: string, expiry: Uint8Array) =>
    Buffer.concat([expiry, createHmac('sha256', key).update(expiry).update(resource).digest()])
  return {
    give(request, url) {
      const form = formOf(request)
      if (form === undefined) return oauthError(400, 'invalid_request', 'a form is expected, with no parameter twice')
      const asked = credentialsOf(request, form)
      if (asked === undefined) return oauthError(400, 'invalid_request', 'client_id and client_secret are expected, in one place')
      if (form.get('grant_type') !== 'client_credentials')
        return oauthError(400, 'unsupported_grant_type', 'grant_type is expected to be client_credentials')
      // Both are compared whatever the first says.
      const isClient = [sameSecret(asked.clientId, clientId), sameSecret(asked.clientSecret, clientSecret)].every(Boolean)
      if (!isClient) return oauthError(401, 'invalid_client', 'no such client, or not its secret')
      const resource = resourceOf(form)
      if (resource === undefined || !resources(request, url).includes(resource))
        return oauthError(400, 'invalid_scope', 'scope is expected to be <resource>/.default, of a resource that the lab is')
      const expiry = Buffer.alloc(expiryBytes)
      expiry.writeBigUInt64BE(BigInt(clock.now() + tokenLifetimeMs))
      const expiresIn = tokenLifetimeMs / 1000
      const token = tokenFor(resource, expiry).toString('base64url')
      return json(200, { token_type: 'Bearer', expires_in: expiresIn, ext_expires_in: expiresIn, access_token: token })
    },
    isGood({ headers }, wanted) {
      const borne = bearerOf(headers) ?? ''
      const token = Buffer.from(borne, 'base64url')
      if (token.toString('base64url') !== borne) return false
      const expiry = token.subarray(0, expiryBytes)
      const good = wanted
        .map((resource) => tokenFor(resource, expiry))
        .filter((made) => made.length === token.length && timingSafeEqual(made, token))
      return good.length > 0 && clock.now() < Number(expiry.readBigUInt64BE())
    },
  }
}

function formOf({ body, headers }: HttpRequest): URLSearchParams | undefined {
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (body === undefined || body.length > maxFormBytes || type !== 'application/x-www-form-urlencoded') return undefined
  const form = new URLSearchParams(new TextDecoder().decode(body))
  return new Set(form.keys()).size === form.size ? form : undefined
}

/** RFC 6749 2.3: in one of the two places, not both. */
function credentialsOf({ headers }: HttpRequest, form: URLSearchParams): { clientId: string; clientSecret: string } | undefined {
  const basic = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(headers.authorization ?? '')?.[1]
  const [clientId, clientSecret] = [form.get('client_id'), form.get('client_secret')]
  if (basic === undefined) return clientId && clientSecret ? { clientId, clientSecret } : undefined
  const [, name, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic, 'base64').toString()) ?? []
  if (clientSecret !== null || name === undefined || password === undefined) return undefined
  return { clientId: formDecoded(name), clientSecret: formDecoded(password) }
}

/** RFC 6749 2.3.1: both are form-encoded before they are put together. */
function formDecoded(text: string): string {
  return new URLSearchParams(`x=${text.replaceAll('&', '%26')}`).get('x') ?? ''
}

/** A scope, `<resource>/.default`; before there were scopes, a resource by itself. */
function resourceOf(form: URLSearchParams): string | undefined {
  const [only, ...others] = (form.get('scope') ?? '').split(' ').filter((part) => part !== '' && !userScopes.has(part))
  const named = only === undefined ? form.get('resource') : others.length === 0 ? /^(.+)\/\.default$/.exec(only)?.[1] : undefined
  // A resource may end in a slash itself, and libraries add another.
  return named?.replace(/\/+$/, '')
}

function oauthError(status: 400 | 401, error: string, description: string): HttpResponse {
  const { headers, ...answer } = json(status, { error, error_description: description })
  return { ...answer, headers: { ...headers, ...(status === 401 && { 'www-authenticate': 'Basic realm="certfleet lab"' }) } }
}
