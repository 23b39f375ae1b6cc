import { type Certificate, sameName, serialNumberHex } from '@certfleet/agent-core/pki'
import { holdsTrue } from '../../check.ts'
import { Skipped } from '../../context.ts'
import { everywhere, type ServerCheck } from '../check.ts'
import { describe, isPending, isSuccess } from '../reply.ts'
import { type Exchange, exchanged, leafOf, sealed, want } from '../request.ts'
import { goodChallenge, keepSpare, type ServerSession } from '../session.ts'

const defaultParallel = 16

export const concurrencyCheck: ServerCheck = {
  id: 'server.concurrency',
  on: everywhere,
  given: 'requests of many devices at once (16, or as many as there are challenges for)',
  expect: 'each gets the certificate for its key, and no serial number was given to another certificate of the run',
  source: 'RFC5280 4.1.2.2; RFC8894 4.3',
  async run(session) {
    const exchanges = await inParallel(session)
    const refused = exchanges.find(({ answer }) => !isSuccess(answer))
    const leaves = exchanges.flatMap(({ wanted, answer }) => (isSuccess(answer) ? (leafOf(answer.certificates, wanted.key) ?? []) : []))
    const doubled = doubledSerials(session, leaves)
    const asked = `of ${exchanges.length} requests at once`
    holdsTrue(doubled.length === 0, `duplicate serial numbers ${asked}: ${doubled.join(', ')}`)
    if (refused && isPending(refused.answer)) throw new Skipped('the CA left one pending: let it issue at once, and run this again')
    holdsTrue(refused === undefined, `${asked} one was answered with ${refused && describe(refused.answer)}`)
    holdsTrue(leaves.length === exchanges.length, `${asked} ${exchanges.length - leaves.length} got no certificate for their key`)
  },
}

/** All is prepared before the first is sent. */
async function inParallel(session: ServerSession): Promise<readonly Exchange[]> {
  const ready = []
  for (const challenge of await challenges(session)) {
    const wanted = await want(session, { challenge })
    ready.push({ wanted, made: await sealed(session, wanted) })
  }
  return Promise.all(ready.map(({ wanted, made }) => exchanged(session, wanted, made)))
}

async function challenges(session: ServerSession): Promise<readonly string[]> {
  const found: string[] = []
  const wanted = session.target.parallel ?? defaultParallel
  try {
    while (found.length < wanted) found.push(await goodChallenge(session))
  } catch (error) {
    // One alone shows nothing; it waits for a request that is to be refused.
    if (found.length === 1) keepSpare(session, found[0] as string)
    if (!(error instanceof Skipped) || found.length < 2) throw error
  }
  return found
}

/** Told with how many certificates have them, whenever in the run these were issued. */
function doubledSerials({ memory }: ServerSession, leaves: readonly Certificate[]): readonly string[] {
  const all = [...memory.issued.values()]
  const counts = new Map<string, number>()
  for (const leaf of leaves) {
    const alike = all.filter((other) => serialNumberHex(other) === serialNumberHex(leaf) && sameName(other.issuer, leaf.issuer))
    if (alike.length > 1) counts.set(serialNumberHex(leaf), alike.length)
  }
  return [...counts].map(([serial, count]) => `${serial} on ${count} certificates`)
}
