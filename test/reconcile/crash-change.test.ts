import { type PolicyDocument, reconcile } from '@certfleet/agent-core'
import { createLab } from '@certfleet/emulator/lab'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { crashAt, isMadeGood, type Phase } from './crash.ts'
import { day, type Edit, signal, start, type World, type WorldOptions } from './world.ts'

const key = await testKey('root')
const [oldRoot, newRoot] = await Promise.all(['CN=Old', 'CN=New'].map((subject) => testCertificate({ subject, key, ca: true })))
const rolling = await labStore(new FakeClock(start))
const lab = await createLab({ store: rolling, clock: new FakeClock(start), registrationToken: 'unused', policyFor: () => undefined })
await lab.prepareRollOver(start + day)

const none = () => ({})
const enrolled = async (world: World): Promise<void> => {
  await reconcile(world.device(), signal)
  await world.clock.advance(day / 24)
}

const withRoot =
  (certificate: Uint8Array | undefined, revision: number): Edit =>
  (document) => ({
    ...document,
    revision,
    trustedRoots: [
      ...document.trustedRoots,
      {
        id: 'other',
        displayName: 'Other',
        certificate: Buffer.from(certificate ?? []).toString('base64'),
        destinationStore: 'computer-root',
        assignedTo: ['device'],
      },
    ],
  })
const rootsAlone =
  (edit: Edit): Edit =>
  (document) => ({ ...edit(document), scepProfiles: [] })
const removed: Edit = (document) => ({ ...document, revision: 2, scepProfiles: [] })
const changed: Edit = (document) => ({ ...document, revision: 2, scepProfiles: renamed(document) })

function renamed({ scepProfiles }: PolicyDocument): PolicyDocument['scepProfiles'] {
  return scepProfiles.map((profile) => ({ ...profile, subjectAltNames: [{ type: 'dns', value: 'renamed.lab.example' }] }))
}

/** Two profiles; from revision 2 on one of them is another, the second is gone and a third is there. */
const many: Edit = (document) => ({
  ...document,
  scepProfiles: document.scepProfiles.flatMap((profile) => [profile, { ...profile, id: 'vpn' }]),
})
const everythingChanges: Edit = (document) => ({
  ...withRoot(newRoot, 2)(document),
  scepProfiles: renamed(document).flatMap((profile) => [profile, { ...profile, id: 'mail' }]),
})

/** Every request waits. */
function pending(): Partial<WorldOptions> {
  return { approve: () => 'pending' }
}

/** The process dies at the first step after which `isThere`. */
const diesOnce =
  (isThere: (world: World) => Promise<boolean>, then: Edit) =>
  async (world: World): Promise<void> => {
    for (let step = 0; !(await isThere(world)); step++) await crashAt(step, world)
    world.edit(then)
  }
const keyIsMade = async ({ keys }: World) => (await keys.list()).length > 0
const isIssued = async ({ lab }: World) => [...lab.issued()].length > 0

const phases: readonly Phase[] = [
  {
    name: 'a root is installed',
    options: () => ({ edit: rootsAlone(withRoot(oldRoot, 1)) }),
    before: async () => {},
    certificates: 0,
    steps: 20,
  },
  {
    name: 'a root is replaced',
    options: () => ({ edit: rootsAlone(withRoot(oldRoot, 1)) }),
    before: async (world) => {
      await enrolled(world)
      world.edit(rootsAlone(withRoot(newRoot, 2)))
    },
    certificates: 0,
    steps: 20,
  },
  {
    name: 'the root of a profile is replaced, as the CA rolls over',
    options: () => ({ authority: rolling }),
    before: async (world) => {
      await enrolled(world)
      await world.clock.advance(day)
    },
    certificates: 2,
  },
  {
    name: 'a profile is changed',
    options: none,
    before: async (world) => {
      await enrolled(world)
      world.edit(changed)
    },
    certificates: 2,
  },
  { name: 'a profile is changed while its key is made', options: none, before: diesOnce(keyIsMade, changed), certificates: 1 },
  {
    name: 'a profile is removed',
    options: none,
    before: async (world) => {
      await enrolled(world)
      world.edit(removed)
    },
    certificates: 1,
    steps: 20,
  },
  { name: 'a profile is removed while its key is made', options: none, before: diesOnce(keyIsMade, removed), certificates: 0, steps: 20 },
  { name: 'a profile is removed once the CA has issued', options: none, before: diesOnce(isIssued, removed), certificates: 1, steps: 20 },
  {
    name: 'a profile is removed while its request is pending',
    options: pending,
    before: async (world) => {
      await enrolled(world)
      world.edit(removed)
    },
    certificates: 0,
    steps: 20,
  },
  {
    name: 'a policy is applied that adds, changes and removes profiles and a root',
    options: () => ({ edit: many }),
    before: async (world) => {
      await enrolled(world)
      world.edit(everythingChanges)
    },
    certificates: 4,
  },
]

isMadeGood(t, phases)
