import { AgentError, type Transport } from '@certfleet/agent-core'
import type { ChallengeSupply } from '@certfleet/platforms/conformance'

/** Challenges that somebody wrote down: one alone is given again and again, several are each given once, in order. */
export function writtenChallenges(challenges: readonly string[]): ChallengeSupply {
  if (challenges.length === 1) return { repeats: true, next: async () => challenges[0] }
  let given = 0
  return { repeats: false, next: async () => challenges[given++] }
}

export interface MscepAdminOptions {
  readonly url: string
  readonly user: string
  /** A secret; it goes to the host of the URL alone. */
  readonly password: string
  readonly transport: Transport
}

/** A password of NDES's admin page each time, until its cache is full. The page wants HTTP Basic (RFC 7617); what is no such page: `ERR_HTTP_STATUS`. */
export function mscepAdminChallenges({ url, user, password, transport }: MscepAdminOptions): ChallengeSupply {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  return {
    repeats: false,
    async next() {
      const { status, body } = await transport.send({ method: 'GET', url, headers: { authorization } })
      const text = pageText(body)
      const found = /challenge password is: *<B> *([0-9A-Za-z]+) *<\/B>/i.exec(text)?.[1]
      if (found !== undefined) return found
      if (/password cache is full/i.test(text)) return undefined
      throw new AgentError('ERR_HTTP_STATUS', `the page of mscep_admin shows no challenge password (HTTP status ${status})`)
    },
  }
}

/** NDES writes UTF-16, little-endian. */
function pageText(body: Uint8Array): string {
  const isUtf16 = body[0] === 0xff && body[1] === 0xfe
  return Buffer.from(body).toString(isUtf16 ? 'utf16le' : 'utf8')
}
