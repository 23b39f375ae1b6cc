import { generateKeyPairSync } from 'node:crypto'
import { reconcile } from '@certfleet/agent-core'
import { fingerprintOf } from '@certfleet/agent-core/pki'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool } from '../fakes/pooled-keys.ts'
import { day, signal, start, world } from './world.ts'

const pool = await makeKeyPool(3)
const authority = await labStore(new FakeClock(start))

t.test('after a roll-over of the CA the device comes under the new root, which the policy carries', async (t) => {
  const device = await world({ pool, authority })
  const { report: before } = await reconcile(device.device(), signal)
  const oldRoot = device.lab.caFingerprint
  t.match(before, { roots: [{ fingerprint: oldRoot, installed: true }], profiles: [{ state: 'installed' }] })

  const nextRoot = fingerprintOf(await device.lab.prepareRollOver(start + day))
  const { report: prepared } = await reconcile(device.device(), signal)
  t.same(prepared.results, [], 'what is prepared changes nothing')
  await device.clock.advance(day)
  const { report: after } = await reconcile(device.device(), signal)
  t.match(after, { roots: [{ fingerprint: nextRoot, installed: true }], profiles: [{ state: 'installed' }] })
  t.not(after.profiles[0]?.serialNumber, before.profiles[0]?.serialNumber)
  const [identity] = await device.identities.list()
  t.equal(fingerprintOf(identity?.chain.at(-1) ?? new Uint8Array()), nextRoot)
  t.same(
    (await device.stores.list()).map(({ fingerprint }) => fingerprint),
    [nextRoot],
    'the old root is gone',
  )
  t.same((await reconcile(device.device(), signal)).report.results, [], 'and that is all')
})

t.test('a profile that asks for RSA-1024 gets it, and the report warns of it', async (t) => {
  const weak = [generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey]
  const device = await world({
    pool: weak,
    authority,
    edit: (document) => ({ ...document, scepProfiles: document.scepProfiles.map((profile) => ({ ...profile, keyBits: 1024 })) }),
  })
  const { report } = await reconcile(device.device(), signal)
  t.match(report.profiles, [{ state: 'installed', keyBits: 1024, warning: 'rsa-key-below-2048-bits' }])

  const sound = await world({ pool, authority })
  const [profile] = (await reconcile(sound.device(), signal)).report.profiles
  t.equal(profile?.keyBits, 2048)
  t.notOk(profile && 'warning' in profile)
})
