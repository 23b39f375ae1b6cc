import type { Departure } from '@certfleet/agent-core'
import { type Check, type SystemUnderTest, same } from '../check.ts'
import { enrolled, policyWith } from '../documents.ts'

type Event = Departure | 'unassigned'

interface Row {
  readonly event: Event
  readonly on: readonly SystemUnderTest[]
  readonly device: 'removed' | 'stays'
  readonly ca: 'revoked' | 'not revoked'
  readonly root: 'removed' | 'stays'
  readonly facts: readonly string[]
}

/** The tables of M-RM, SCEP certificates and root certificates. */
const rows: readonly Row[] = [
  ...(['unenrolled', 'retired'] as const).map(
    (event): Row => ({
      event,
      on: ['windows', 'ios', 'macos'],
      device: 'removed',
      ca: 'revoked',
      root: 'removed',
      facts: ['removal.scep', 'macos.removal.scep', 'removal.root', 'macos.removal.root'],
    }),
  ),
  {
    event: 'wiped',
    on: ['windows', 'ios'],
    device: 'removed',
    ca: 'revoked',
    root: 'removed',
    facts: ['removal.scep', 'removal.root'],
  },
  { event: 'wiped', on: ['macos'], device: 'stays', ca: 'not revoked', root: 'stays', facts: ['macos.removal.wipe'] },
  {
    event: 'unassigned',
    on: ['windows', 'ios', 'macos'],
    device: 'removed',
    ca: 'revoked',
    root: 'removed',
    facts: ['removal.scep', 'macos.removal.scep', 'removal.root-unassigned'],
  },
  ...(['unenrolled', 'wiped'] as const).map(
    (event): Row => ({
      event,
      on: ['android'],
      device: 'removed',
      ca: 'revoked',
      root: 'removed',
      facts: ['android.removal.scep', 'removal.root'],
    }),
  ),
  {
    event: 'retired',
    on: ['android'],
    device: 'stays',
    ca: 'revoked',
    root: 'removed',
    facts: ['android.removal.scep-revoked-only', 'removal.root'],
  },
  {
    event: 'unassigned',
    on: ['android'],
    device: 'stays',
    ca: 'revoked',
    root: 'removed',
    facts: ['android.removal.scep-revoked-only', 'removal.root-unassigned'],
  },
  {
    event: 'retired',
    on: ['android-enterprise'],
    device: 'stays',
    ca: 'revoked',
    root: 'removed',
    facts: ['android.removal.scep-revoked-only', 'android.removal.management'],
  },
  {
    event: 'unenrolled',
    on: ['android-administrator'],
    device: 'stays',
    ca: 'revoked',
    root: 'stays',
    facts: ['android.removal.administrator'],
  },
  {
    event: 'unenrolled',
    on: ['android-owner', 'android-aosp'],
    device: 'removed',
    ca: 'not revoked',
    root: 'removed',
    facts: ['android.removal.owner'],
  },
  {
    event: 'unlicensed',
    on: ['windows', 'ios', 'macos', 'android'],
    device: 'stays',
    ca: 'not revoked',
    root: 'stays',
    facts: ['removal.unlicensed'],
  },
]

const inWords: Readonly<Record<Event, string>> = {
  unassigned: 'the profiles are unassigned',
  retired: 'the device is retired',
  wiped: 'the device is wiped',
  unenrolled: 'its user unenrols the device',
  unlicensed: 'the licence is lost, or the user is deleted in the directory',
}

/** What becomes of certificates when profile or management end. */
export const removalChecks: readonly Check[] = rows.map(({ event, on, device: wanted, ca, root, facts }) => ({
  id: `removal.${event}`,
  on,
  given: inWords[event],
  expect: `on the device the SCEP certificate ${ends(wanted)}, the root certificate ${ends(root)}; the CA has the former ${ca}`,
  source: 'M-RM SCEP certificates, root certificate',
  facts,
  needs: ['revoked', 'reporter'],
  async run(context) {
    const { device } = await enrolled(context, { userConsent: async () => 'granted' })
    await device.assign(policyWith({ revision: 2, ...(event !== 'unassigned' && { lifecycle: event }) }))
    await device.checkIn()
    same((await device.identities.list()).length === 0 ? 'removed' : 'stays', wanted, 'the SCEP certificate')
    same((await device.stores.list()).length === 0 ? 'removed' : 'stays', root, 'the root certificate')
    same(device.session.revoked?.().length === 1 ? 'revoked' : 'not revoked', ca, 'the SCEP certificate at the CA')
  },
}))

function ends(what: 'removed' | 'stays'): string {
  return what === 'removed' ? 'is removed' : 'stays'
}
