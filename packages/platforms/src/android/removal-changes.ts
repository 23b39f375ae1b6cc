import type { Fact } from '../fact.ts'
import type { LifecycleEvent, RemovalRow } from '../removal.ts'

/** What a way to be managed changes in the rows. */
export interface RemovalChange {
  readonly events: readonly LifecycleEvent[]
  readonly device?: RemovalRow['device']
  readonly ca?: RemovalRow['ca']
}

/** At most one holds for a management. */
export const removalChanges: readonly Fact<RemovalChange>[] = [
  {
    id: 'android.removal.administrator',
    platforms: ['android'],
    management: ['deviceAdministrator'],
    effect:
      'A device administrator removes no certificate, unless the device is wiped; that the service revokes all the same is taken, since no device is needed for it.',
    value: { events: ['unenrolled', 'retired', 'unassigned'], device: 'stays' },
    alternatives: [],
    source: 'M-RM Android',
    confidence: 'I',
  },
  {
    id: 'android.removal.owner',
    platforms: ['android'],
    management: ['deviceOwner', 'aosp'],
    effect:
      'Certificates of fully managed and AOSP devices are never revoked; what becomes of them on the device is taken to be as on Knox.',
    value: { events: ['unenrolled', 'wiped', 'retired', 'unassigned', 'edited'], ca: 'not revoked' },
    alternatives: [],
    source: 'M-SCEP revocation',
    confidence: 'I',
  },
]
