import type { Socket } from 'node:net'
import { buildConnector, Pool } from 'undici'
import { AgentError } from '../errors.ts'
import { networkError } from './failure.ts'
import { type TlsTrust, tlsOptions } from './tls.ts'

/** An HTTP proxy that whoever runs the agent names. */
export interface ProxyServer {
  /** `http://host:port` or `https://host:port`, and nothing behind it. Over https the proxy is trusted by the system's CAs. */
  readonly url: string
  /** An account at the proxy, shown to it and to nobody else by Basic (RFC 7617). Secrets. Default: none is shown. */
  readonly credentials?: { readonly user: string; readonly password: string } | undefined
}

/** How requests go through a proxy: https by a tunnel (RFC 9110 9.3.6), plain http by an absolute target (RFC 9112 3.2.2). */
export interface ProxyRoute {
  /** `host:port`, for messages. */
  readonly host: string
  readonly connect: buildConnector.connector
  /** What a request has to say to the proxy itself. */
  addressed(url: URL): { readonly path: string; readonly headers: Readonly<Record<string, string>> }
  /** Where it is the proxy that refused, and not the server. */
  refusal(status: number, url: URL): AgentError | undefined
  close(): Promise<void>
}

interface ProxyRouteOptions extends TlsTrust {
  readonly timeoutMs: number
}

/** What is no proxy, or cannot be an account: `ERR_UNSUPPORTED`, which repeats neither. */
export function proxyRoute(proxy: ProxyServer, { timeoutMs, ...trust }: ProxyRouteOptions): ProxyRoute {
  const url = proxyUrl(proxy)
  const { host, hostname, port, protocol } = url
  const account = accountHeader(proxy)
  const toProxy = buildConnector({ rejectUnauthorized: true, timeout: timeoutMs })
  const toServer = buildConnector({ ...tlsOptions(trust), timeout: timeoutMs })
  const refused = (target: string, status: number) => {
    if (status !== 407) return new AgentError('ERR_NETWORK', `the proxy ${host} opens no connection to ${target} (${status})`)
    const problem = proxy.credentials ? 'refuses the account that it was shown' : 'wants an account, and none was given'
    return new AgentError('ERR_UNAUTHORIZED', `the proxy ${host} ${problem} (407)`)
  }

  // Failures are wrapped before undici sees them: it tries again by itself after some of its own.
  const failed = (error: Error) =>
    error instanceof AgentError ? error : networkError(`the proxy ${host} was not reached, or broke off`, error)
  // Not by what undici asks for: it takes the name for TLS from Host, which is the server's.
  const connectPlain: buildConnector.connector = (_, done) =>
    toProxy({ protocol, host, hostname: hostname.replace(/^\[|\]$/g, ''), port }, (...[error, socket]) =>
      error ? done(failed(error), null) : done(null, socket as Socket),
    )
  const tunnels = new Pool(url.origin, { connect: connectPlain, headersTimeout: timeoutMs })
  const connectTunnel: buildConnector.connector = (target, done) => {
    const authority = target.port ? (target.host as string) : `${target.host}:443`
    tunnels.connect({ path: authority, headers: { host: authority, ...account } }).then(
      ({ statusCode, socket }) => {
        if (isOpen(statusCode)) return toServer({ ...target, httpSocket: socket as Socket }, done)
        socket.on('error', () => undefined).destroy()
        done(refused(authority, statusCode), null)
      },
      (error) => done(failed(error), null),
    )
  }
  return {
    host,
    connect: (target, done) => (target.protocol === 'https:' ? connectTunnel : connectPlain)(target, done),
    addressed: ({ protocol, origin, pathname, search }) =>
      protocol === 'https:' ? { path: pathname + search, headers: {} } : { path: origin + pathname + search, headers: account },
    refusal: (status, { protocol, host }) => (status === 407 && protocol === 'http:' ? refused(host, status) : undefined),
    close: () => tunnels.destroy(),
  }
}

const isOpen = (status: number) => status >= 200 && status < 300

function proxyUrl({ url: text }: ProxyServer): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isBare = url?.username === '' && url.password === '' && url.pathname === '/' && url.search === '' && url.hash === ''
  if (isBare && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new AgentError('ERR_UNSUPPORTED', 'a proxy is http://host:port or https://host:port, and its account is given apart from that')
}

function accountHeader({ credentials }: ProxyServer): Readonly<Record<string, string>> {
  if (credentials === undefined) return {}
  const { user, password } = credentials
  // RFC 7617 2: the first colon ends the user's name, and neither part may hold control characters.
  if (user.includes(':') || /\p{Cc}/u.test(user + password))
    throw new AgentError('ERR_UNSUPPORTED', "a proxy's account has no colon in its user and no control characters")
  return { 'proxy-authorization': `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}
