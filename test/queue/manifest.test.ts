import { generateTenant, loadExport } from '@certfleet/emulator/tenant'
import t from 'tap'
import { deviceSpecOf } from '#emulator/fleet/device-spec.ts'
import { assertJoinable, type DecidingFacts, isRunId, runManifestOf, scenarioDigest } from '#emulator/fleet/queue/manifest.ts'
import type { TargetSettings } from '#emulator/fleet/target/settings.ts'
import { histogramShape } from '#emulator/measure/histogram.ts'
import { packageVersion } from '#emulator/package-version.ts'
import { exampleProfiles } from '../commands/example.ts'

const imported = await loadExport(exampleProfiles)
const tenant = generateTenant({ counts: { ios: 2, windows: 1 }, domain: 'contoso.example' })
const devices = [...tenant.devices.values()].map(deviceSpecOf)
const facts: DecidingFacts = { scenario: { concurrency: 4, workers: 2 }, seed: 7, imported, tenant, devices, target: undefined }

t.test('a manifest says what the run is, and no two have the same id', async (t) => {
  const manifest = runManifestOf({ ...facts, shards: 3, submittedAt: 5 })
  const { id, scenario, ...said } = manifest
  t.match(id, /^r-[a-z2-7]{10}$/)
  t.ok(isRunId(id))
  t.match(scenario, /^[0-9a-f]{64}$/)
  t.strictSame(said, {
    version: packageVersion(),
    seed: 7,
    devices: 3,
    platforms: { ios: 2, windows: 1 },
    shards: 3,
    histogram: histogramShape,
    beginsTogether: false,
    submittedAt: 5,
  })
  t.not(runManifestOf({ ...facts, shards: 3, submittedAt: 5 }).id, id)
  for (const scenario of [{ duration: 1000 }, { arrival: 'all-at-once' }] as const)
    t.equal(runManifestOf({ ...facts, scenario, shards: 1, submittedAt: 5 }).beginsTogether, true)
  for (const text of ['r-abc', 'slow.yaml', `${id}x`, id.slice(1)]) t.notOk(isRunId(text), text)
})

t.test('what decides the run is in the digest, and nothing else', async (t) => {
  const digest = scenarioDigest(facts)
  const scep: TargetSettings = { kind: 'scep', scepUrl: 'http://a.example/scep', root: 'AA==', challenge: { kind: 'static', text: 'one' } }
  const [first, ...others] = devices
  const same: [string, DecidingFacts][] = [
    ['keys in another order', { ...facts, scenario: { workers: 2, concurrency: 4 } }],
    ['files elsewhere', { ...facts, scenario: { ...facts.scenario, profiles: '/elsewhere', tenant: '/t.yaml', 'pin-file': '/pin' } }],
    ['a tenant file elsewhere', { ...facts, tenant: { ...tenant, file: '/elsewhere/tenant.yaml' } }],
    ['a seed that the file says too', { ...facts, scenario: { ...facts.scenario, seed: 7 } }],
    ['a seed as text', { ...facts, seed: '7' }],
    [
      'profiles of other files',
      { ...facts, imported: { ...imported, profiles: imported.profiles.map((one) => ({ ...one, file: 'x.json' })) } },
    ],
  ]
  for (const [name, other] of same) t.equal(scenarioDigest(other), digest, name)
  const different: [string, DecidingFacts][] = [
    ['another option', { ...facts, scenario: { ...facts.scenario, concurrency: 5 } }],
    ['one more', { ...facts, scenario: { ...facts.scenario, keys: 'primes' } }],
    ['another seed', { ...facts, seed: 8 }],
    ['a profile fewer', { ...facts, imported: { ...imported, profiles: imported.profiles.slice(1) } }],
    ['a device of another version', { ...facts, devices: [{ ...(first as (typeof devices)[0]), osVersion: '9.0' }, ...others] }],
    ['a fact that is said otherwise', { ...facts, scenario: { ...facts.scenario, facts: new Map([['android.pending.polls', 5]]) } }],
    ['a target', { ...facts, target: scep }],
  ]
  for (const [name, other] of different) t.not(scenarioDigest(other), digest, name)
  const ofTarget = scenarioDigest({ ...facts, target: scep })
  t.equal(
    scenarioDigest({ ...facts, target: { ...scep, challenge: { kind: 'static', text: 'two' } } }),
    ofTarget,
    'a secret counts for nothing',
  )
  const policy = (registrationToken: string, policyUrl = 'http://a.example/') =>
    scenarioDigest({ ...facts, target: { kind: 'policy', policyUrl, registrationToken } })
  t.equal(policy('one'), policy('two'))
  t.not(policy('one', 'http://b.example/'), policy('one'))
  t.not(scenarioDigest({ ...facts, target: { ...scep, root: 'BB==' } }), ofTarget, 'another root')
})

t.test('a worker of another version or shape refuses, and names both', async (t) => {
  const own = { id: 'r-abcdefghij', version: packageVersion(), histogram: histogramShape }
  t.doesNotThrow(() => assertJoinable(own))
  t.throws(() => assertJoinable({ ...own, version: '0.0.9' }), {
    code: 'ERR_UNSUPPORTED',
    message: `run r-abcdefghij is of certfleet 0.0.9, and this is ${packageVersion()}: install the same version on every machine`,
  })
  t.throws(() => assertJoinable({ ...own, histogram: 'in days' }), {
    code: 'ERR_UNSUPPORTED',
    message: /"in days", and this build as "microseconds/,
  })
})
