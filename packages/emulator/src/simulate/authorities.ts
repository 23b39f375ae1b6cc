import type { Instant } from '@certfleet/agent-core'
import type { LabStore, LabTables } from '../lab/index.ts'

/** One CA of the lab, with what its issuing key signs beside what the lab does. */
export interface SimulatedAuthority {
  /** DER; the same octets for each caller. */
  readonly root: Uint8Array
  /** DER, and PKCS#8. */
  readonly issuing: LabTables['authority']['issuing']
  /** When it takes over. */
  readonly from: Instant
}

/** The CAs in the lab's store, oldest first. */
export function authoritiesIn(store: Pick<LabStore, 'list'>): readonly SimulatedAuthority[] {
  return [...store.list('authority')].map(({ root, issuing, from = Number.NEGATIVE_INFINITY }) => ({
    root: root.certificate,
    issuing,
    from,
  }))
}
