import { AgentError, reconcile } from '@certfleet/agent-core'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, type Edit, signal, start, type WorldOptions, world } from './world.ts'

const pool = await makeKeyPool(4)
const authority = await labStore(new FakeClock(start))
const make = (options: Partial<WorldOptions> = {}) => world({ pool, authority, ...options })

const scep =
  (change: Partial<Parameters<Edit>[0]['scepProfiles'][number]>): Edit =>
  (document) => ({
    ...document,
    scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, ...change })),
  })

t.test('a first pass installs root and certificate, and a second has nothing to do', async (t) => {
  const device = await make()
  const first = await reconcile(device.device(), signal)
  t.same(
    first.report.results.map(({ kind, reason, status }) => [kind, reason, status]),
    [
      ['install-root', 'RootMissing', 'done'],
      ['enroll', 'IdentityMissing', 'done'],
    ],
  )
  t.match(first.report.profiles, [{ profileId: 'wifi', state: 'installed', keyProtection: 'software' }])
  t.match(first.report.roots, [{ profileId: 'root', store: 'computer-root', installed: true }])
  const second = await reconcile(device.device(), signal)
  t.same(second.report.results, [])
  t.ok((second.wakeAt ?? 0) > start + 79 * day, 'until the threshold')
  t.match([...device.lab.reports()].at(-1), { report: { revision: 1 } }, 'the lab has the report')
})

t.test('a SCEP profile whose trusted root is not deployed fails without a key or a call (S11)', async (t) => {
  const device = await make({ edit: (document) => ({ ...document, trustedRoots: [] }) })
  const { report } = await reconcile(device.device(), signal)
  t.match(report.profiles, [{ state: 'requestCreationFailed', code: 'ERR_ROOT_NOT_DEPLOYED' }])
  t.same(await device.keys.list(), [])
  t.same([...device.lab.issued()], [])
})

t.test('a root that its store refuses fails the profiles that need it, and those only', async (t) => {
  const device = await make({
    edit: (document) => ({
      ...document,
      trustedRoots: document.trustedRoots.flatMap((root) => [
        root,
        { ...root, id: 'bad', certificate: Buffer.from('no certificate').toString('base64') },
      ]),
      scepProfiles: document.scepProfiles.flatMap((profile) => [profile, { ...profile, id: 'vpn', rootProfileId: 'bad' }]),
    }),
  })
  const { report } = await reconcile(device.device(), signal)
  t.equal(report.profiles.find(({ profileId }) => profileId === 'wifi')?.state, 'installed')
  t.not(report.profiles.find(({ profileId }) => profileId === 'vpn')?.state, 'installed')
  t.equal((await device.keys.list()).length, 1, 'no key for the other')
})

t.test('one bad profile fails alone', async (t) => {
  const twice: Edit = (document) => ({
    ...document,
    scepProfiles: document.scepProfiles.flatMap((profile) => [profile, { ...profile, id: 'vpn', keyBits: 512 as never }]),
  })
  const device = await make({ edit: twice })
  const { report } = await reconcile(device.device(), signal)
  t.equal(report.profiles.find(({ profileId }) => profileId === 'wifi')?.state, 'installed')
  t.match(
    report.profiles.find(({ profileId }) => profileId === 'vpn'),
    { code: 'ERR_PROFILE_INVALID', message: /keyBits/ },
  )
})

t.test('an edited subject is a new certificate; the old goes with its key', async (t) => {
  const device = await make()
  await reconcile(device.device(), signal)
  device.edit(scep({ subject: 'CN=dev-1,OU=New,O=Lab' }))
  const { report } = await reconcile(device.device(), signal)
  t.match(report.results, [{ kind: 'enroll', reason: 'SubjectChanged', status: 'done' }, { kind: 'destroy-key' }])
  t.equal((await device.identities.list()).length, 1)
  t.equal((await device.keys.list()).length, 1)
})

t.test('an unassigned profile takes certificate, key and root with it', async (t) => {
  const device = await make()
  await reconcile(device.device(), signal)
  device.edit((document) => ({ ...document, trustedRoots: [], scepProfiles: [] }))
  await reconcile(device.device(), signal)
  t.same([await device.identities.list(), await device.keys.list(), await device.stores.list()], [[], [], []])
})

t.test('a profile removed while its request is pending installs nothing afterwards', async (t) => {
  const device = await make({ approve: () => 'pending' })
  const { report } = await reconcile(device.device(), signal)
  t.match(report.profiles, [{ state: 'issuePending' }])
  device.edit((document) => ({ ...document, scepProfiles: [] }))
  await reconcile(device.device(), signal)
  await device.clock.advance(day)
  await reconcile(device.device(), signal)
  t.same([await device.identities.list(), await device.keys.list()], [[], []])
})

t.test('PENDING for ever ends with the platform’s last poll', async (t) => {
  const device = await make({ approve: () => 'pending' })
  const codes: (string | undefined)[] = []
  for (let pass = 0; pass < 4; pass++) {
    const { report } = await reconcile(device.device(), signal)
    codes.push(report.profiles[0]?.code)
    await device.clock.advance(5 * 60_000)
  }
  t.same(codes, [undefined, undefined, undefined, 'ERR_PENDING_TIMEOUT'])
  t.same(await device.keys.list(), [], 'its key is gone')
})

t.test('a refusal waits for a new policy, then tries with a new key', async (t) => {
  let refuse = true
  const device = await make({ approve: () => (refuse ? { failInfo: 'badRequest' } : 'issue') })
  const first = await reconcile(device.device(), signal)
  t.match(first.report.profiles, [{ state: 'issueFailed', code: 'ERR_ENROLLMENT_REJECTED' }])
  refuse = false
  await device.clock.advance(30 * day)
  t.same((await reconcile(device.device(), signal)).report.results, [], 'not by time')
  device.edit(scep({ renewalThresholdPercent: 30 }))
  t.match((await reconcile(device.device(), signal)).report.profiles, [{ state: 'installed' }])
})

t.test('a request by another subject than the policy’s is refused by the lab (S1: the challenge is bound)', async (t) => {
  const device = await make()
  const honest = device.device()
  const platform = {
    ...honest.platform,
    requestFor: (profile: Parameters<typeof honest.platform.requestFor>[0]) => ({
      ...honest.platform.requestFor(profile),
      subject: 'CN=administrator',
    }),
  }
  const { report } = await reconcile({ ...honest, platform }, signal)
  t.match(report.profiles, [{ code: 'ERR_ENROLLMENT_REJECTED' }])
  t.same([...device.lab.issued()], [])
})

t.test('without any policy there is no pass', async (t) => {
  const device = await make()
  const policySource = {
    fetch: async () => {
      throw new AgentError('ERR_UNAUTHORIZED', 'the policy service refuses this device')
    },
  }
  await t.rejects(reconcile({ ...device.device(), policySource }, signal), { code: 'ERR_UNAUTHORIZED' })
})
