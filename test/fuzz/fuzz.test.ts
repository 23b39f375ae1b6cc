import { AgentError } from '@certfleet/agent-core'
import { normaliseBer } from '@certfleet/agent-core/cms'
import { readDer } from '@certfleet/agent-core/der'
import t from 'tap'
import { type Layer, ownSamples, type Sample, type SampleKind } from './corpus.ts'
import { createFuzzer } from './fuzz.ts'
import { makeMutant } from './mutant.ts'
import { mutateTree } from './mutate-tree.ts'
import { type Depth, Probe } from './probe.ts'
import { Random, seedOf } from './random.ts'
import { recordedSamples } from './recorded.ts'
import { Targets } from './targets.ts'
import { encodeTree, readTree } from './tree.ts'
import { createWorld } from './world.ts'

const world = await createWorld()
const samples = [...(await ownSamples(world)), ...recordedSamples()]
const targets = new Targets(world, samples)
const unchanged = { isResealed: false, random: new Random(seedOf('unchanged'), 0) }

const deepest: Readonly<Record<SampleKind, Depth>> = {
  certificate: 'certificateJudged',
  crl: 'certificateJudged',
  csr: 'signatureGood',
  request: 'decrypted',
  certRep: 'attributesRead',
  caCertificates: 'certificateJudged',
  nextCaCertificates: 'certificateJudged',
  envelope: 'decrypted',
  signedData: 'signatureGood',
  pfx: 'decrypted',
  name: 'parsed',
  distinguishedName: 'parsed',
  capabilities: 'parsed',
  policy: 'parsed',
  delivery: 'parsed',
}

t.test('a sample that nobody changed is as deep as its kind goes, and no finding', async (t) => {
  for (const sample of samples) {
    const probe = new Probe()
    await targets.run({ mutant: sample.bytes, sample, probe, ...unchanged })
    t.ok(probe.reached.has(deepest[sample.kind]), `${sample.name}: ${deepest[sample.kind]}`)
    t.strictSame(probe.problems, [], sample.name)
  }
})

t.test('a message whose layers are sealed again unchanged is still good', async (t) => {
  for (const sample of samples) {
    for (const layer of sample.layers) {
      const probe = new Probe()
      const mutant = layer.seal(layer.bytes, new Random(seedOf('sealed'), 0))
      await targets.run({ mutant, sample, probe, ...unchanged, isResealed: true })
      t.ok(probe.reached.has(deepest[sample.kind]), `${sample.name}, ${layer.name}`)
      t.strictSame(probe.problems, [], `${sample.name}, ${layer.name}`)
    }
  }
})

t.test('what was signed by the key of another, and passed off as a mutation, is a forgery', async (t) => {
  const findings: readonly (readonly [sample: string, layer: string, entry: string])[] = [
    ['PKCSReq', 'envelope', 'openSignedData'],
    ['CertRep success', 'issued body', 'parseCertRep'],
    ['leaf', 'body', 'verifyPath as leaf'],
    ['CSR', 'body', 'verifyCsr'],
    ['next CA certificates', 'next certificate', 'parseNextCaCertificates'],
    ['PFX', 'certificates', 'openPfx'],
    ['old PFX', 'private key', 'openPfx'],
    ['signed profile', 'profile', 'readDeliveryFile'],
  ]
  for (const [name, layerName, entry] of findings) {
    const sample = samples.find((candidate) => candidate.name === name)
    const layer = sample?.layers.find((candidate) => candidate.name === layerName)
    if (!sample || !layer) return t.fail(`${name}, ${layerName} is not there`)
    t.ok(await isFinding(sample, layer, entry), `${name}, ${layerName}: ${entry}`)
  }
})

/** Whether one of a hundred changes to that layer, sealed with the right key, is found to be a forgery. */
async function isFinding(sample: Sample, layer: Layer, entry: string): Promise<boolean> {
  for (let index = 0; index < 100; index++) {
    const random = new Random(seedOf('forged'), index)
    const probe = new Probe()
    const mutant = layer.seal(mutateTree(layer.bytes, layer.bytes, random), random)
    await targets.run({ mutant, sample, probe, isResealed: false, random })
    if (probe.problems.some((problem) => problem.kind === 'forgery' && problem.entry === entry)) return true
  }
  return false
}

t.test('3,000 mutants are values or AgentErrors, soon, and forge nothing', async (t) => {
  const { mutants, resealed, reached, failures } = await (await createFuzzer()).run({ seed: 'suite', from: 0, to: 3000, step: 1 })
  t.equal(mutants, 3000)
  t.strictSame(failures, [])
  t.ok(reached.outerParse >= 0.3 * mutants, `${reached.outerParse} got past the outer parse`)
  t.ok(resealed >= 0.1 * mutants, `${resealed} were signed or encrypted again`)
  for (const [depth, count] of Object.entries(reached)) t.ok(count > 0, `${count}: ${depth}`)
})

t.test('a mutant depends on seed and index alone', async (t) => {
  const again = [...(await ownSamples(await createWorld())), ...recordedSamples()]
  const hexOf = (seed: string, index: number, from = samples) => Buffer.from(makeMutant(seedOf(seed), index, from).bytes).toString('hex')
  for (const index of [0, 1, 77, 4321]) t.equal(hexOf('a', index), hexOf('a', index, again), `mutant ${index}`)
  t.not(hexOf('a', 1), hexOf('b', 1))
  t.not(hexOf('a', 1), hexOf('a', 2))
})

t.test('the probe notes what is no AgentError, what is forged, and nothing else', async (t) => {
  const probe = new Probe()
  t.equal(
    probe.call('fine', () => 1),
    1,
  )
  t.equal(
    probe.call('refused', () => {
      throw new AgentError('ERR_DER_MALFORMED', 'malformed')
    }),
    undefined,
  )
  t.strictSame(probe.problems, [])
  probe.call('broken', () => {
    throw new TypeError('broken')
  })
  await probe.callAsync('broken later', async () => {
    throw new RangeError('broken')
  })
  probe.forged('openSignedData', 'a message that was not signed')
  t.strictSame(
    probe.problems.map(({ kind, entry }) => `${kind} ${entry}`),
    ['crash broken', 'crash broken later', 'forgery openSignedData'],
  )
})

t.test('what takes longer than 250 ms every time is slow', (t) => {
  const probe = new Probe()
  const busy = (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }
  probe.call('slow', () => busy(260))
  let calls = 0
  probe.call('slow once', () => busy(calls++ === 0 ? 260 : 0))
  t.match(probe.problems, [{ kind: 'slow', entry: 'slow' }])
  t.equal(probe.problems.length, 1)
  t.end()
})

t.test('the tree', (t) => {
  for (const { name, kind, bytes } of samples) {
    const tree = readTree(bytes)
    if (kind === 'distinguishedName' || kind === 'capabilities' || kind === 'policy' || bytes[0] === '<'.charCodeAt(0)) continue
    const [rootNode] = tree ?? []
    if (!tree || !rootNode) t.fail(`${name} is no tree`)
    else t.ok(Buffer.from(encodeTree(rootNode, new Map())).equals(bytes), `${name}: written as it was read`)
    const leaf = tree?.at(-1)
    if (rootNode && leaf)
      t.doesNotThrow(() => readDer(normaliseBer(encodeTree(rootNode, new Map([[leaf, () => []]])))), `${name}: shorter, lengths right`)
  }
  t.end()
})
