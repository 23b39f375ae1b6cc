import { AgentError, type Transport } from '@certfleet/agent-core'

/** NDES's admin page, which shows a one-time challenge password at each visit. */
export interface MscepAdminPage {
  readonly url: string
  readonly user: string
  /** A secret; it goes to the host of the URL alone. */
  readonly password: string
}

/**
 * A new challenge password of the page; undefined once its cache is full. The page wants HTTP Basic (RFC 7617); what is no such page:
 * `ERR_HTTP_STATUS`.
 */
export async function mscepAdminPassword(
  { url, user, password }: MscepAdminPage,
  transport: Transport,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const { status, body } = await transport.send({ method: 'GET', url, headers: { authorization } }, signal)
  const text = pageText(body)
  const found = /challenge password is: *<B> *([0-9A-Za-z]+) *<\/B>/i.exec(text)?.[1]
  if (found !== undefined) return found
  if (/password cache is full/i.test(text)) return undefined
  throw new AgentError('ERR_HTTP_STATUS', `the page of mscep_admin shows no challenge password (HTTP status ${status})`)
}

/** NDES writes UTF-16, little-endian. */
function pageText(body: Uint8Array): string {
  const isUtf16 = body[0] === 0xff && body[1] === 0xfe
  return Buffer.from(body).toString(isUtf16 ? 'utf16le' : 'utf8')
}
