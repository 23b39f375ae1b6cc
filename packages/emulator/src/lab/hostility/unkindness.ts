import type { Dice } from './chance.ts'

/** What is asked for: an operation of SCEP, or anything else that the lab serves. */
export type AskedFor = 'GetCACaps' | 'GetCACert' | 'PKIOperation' | 'other'

interface Row {
  /** Among those that the same request could meet. */
  readonly weight: number
  readonly meets: readonly AskedFor[]
}

const everything: readonly AskedFor[] = ['GetCACaps', 'GetCACert', 'PKIOperation', 'other']
const scep: readonly AskedFor[] = ['GetCACaps', 'GetCACert', 'PKIOperation']

/** How often which request meets which unkindness, among the requests that meet one at all. A stale reply outside SCEP would be another device's secret. */
export const unkindnesses = {
  /** 503 with a Retry-After; the request is not looked at. */
  unavailable: { weight: 4, meets: everything },
  /** The request is done, and 500, 502 or 503 is all that is heard of it. */
  lost: { weight: 4, meets: everything },
  /** The reply comes late. */
  late: { weight: 4, meets: everything },
  /** The reply ends early, at any octet. */
  truncated: { weight: 4, meets: everything },
  /** The reply says that it is something else. */
  'wrong-type': { weight: 3, meets: everything },
  /** The reply to the last request of the same kind comes once more; this one is done, and its own reply lost. */
  duplicate: { weight: 4, meets: scep },
  /** CRLF, unknown words, other cases, nothing, or a page for people. */
  'odd-capabilities': { weight: 12, meets: ['GetCACaps'] },
  /** The same certificates in another order. */
  reordered: { weight: 12, meets: ['GetCACert'] },
  /** Signed by the RA, with a recipientNonce that nobody sent. */
  'wrong-recipient-nonce': { weight: 4, meets: ['PKIOperation'] },
  /** Signed by the RA, with eight zero octets for senderNonce; nothing forbids a client to take it. */
  'wrong-sender-nonce': { weight: 2, meets: ['PKIOperation'] },
  /** Signed by the RA, for another transactionID. */
  'wrong-transaction-id': { weight: 4, meets: ['PKIOperation'] },
  /** The RA gets new certificates after the device has learned of the ones before. */
  'renewed-ra': { weight: 1, meets: ['PKIOperation'] },
} as const satisfies Record<string, Row>

export type Unkindness = keyof typeof unkindnesses

/** One of those that such a request can meet, by weight. */
export function drawUnkindness(asked: AskedFor, dice: Dice, isPossible: (unkindness: Unkindness) => boolean): Unkindness {
  const rows = (Object.keys(unkindnesses) as Unkindness[]).filter((name) => meets(name, asked) && isPossible(name))
  return dice.pick(rows.flatMap((name) => Array<Unkindness>(unkindnesses[name].weight).fill(name)))
}

function meets(name: Unkindness, asked: AskedFor): boolean {
  const row: Row = unkindnesses[name]
  return row.meets.includes(asked)
}
