import { deepEqual, equal, fail, match, ok } from 'node:assert/strict'
import { describeSpec, keyProtections } from '../keys/choice.ts'
import type { KeyHandle } from '../ports.ts'
import type { KeySpec } from '../types.ts'
import { type Bench, type BenchCheck, firstLabel, secondLabel } from './bench.ts'
import { failsWith, hashOf, publicKeyOf, signsWith } from './verdicts.ts'

export const makingChecks = (refusedSpecs: readonly KeySpec[]): readonly BenchCheck[] => [
  [
    'it has a name, and says what protects its keys',
    async (bench) => {
      const { name, protection } = await bench.provider()
      match(name, /\S/)
      ok(keyProtections.includes(protection), `"${protection}" is no protection`)
    },
  ],
  [
    'it is ready for a key that it makes, and asking makes nothing',
    async (bench) => {
      const readiness = await (await bench.provider()).readiness({ spec: bench.spec, hash: 'sha256', multiFactor: false })
      deepEqual(readiness, { state: 'ready' })
      await bench.listsItsKeys('asking makes nothing')
    },
  ],
  ...refusedSpecs.map(refuses),
  ['a generated key is what was asked for', saysWhatItIs],
  ['a generated key is listed once, opens under its label and signs', opens],
]

function refuses(spec: KeySpec): BenchCheck {
  const name = describeSpec(spec)
  return [
    `${name} is unsupported: readiness says so, generate fails with ERR_UNSUPPORTED, and no label is taken`,
    async (bench) => {
      const provider = await bench.provider()
      const readiness = await provider.readiness({ spec, hash: 'sha256', multiFactor: false })
      equal(readiness.state, 'unsupported', 'readiness')
      match('message' in readiness ? readiness.message : '', /\S/, 'readiness says why')
      await failsWith('ERR_UNSUPPORTED', bench.generate(secondLabel, spec), name)
      await bench.listsItsKeys('nothing is left of it')
      equal(await provider.open(secondLabel), undefined, 'nothing opens')
    },
  ]
}

async function saysWhatItIs(bench: Bench): Promise<void> {
  const key = await bench.key(firstLabel)
  const { protection } = await bench.provider()
  deepEqual({ label: key.label, spec: key.spec, protection: key.protection }, { label: firstLabel, spec: bench.spec, protection })
  ok(key.publicKey instanceof Uint8Array, 'the public key is a Uint8Array')
  const { asymmetricKeyType, asymmetricKeyDetails } = publicKeyOf(key)
  const made = { type: asymmetricKeyType, bits: asymmetricKeyDetails?.modulusLength, curve: asymmetricKeyDetails?.namedCurve }
  deepEqual(made, expectedOf(bench.spec), 'the public key is of another kind')
  deepEqual(publicKeyOf(key).export({ format: 'der', type: 'spki' }), Buffer.from(key.publicKey), 'the SubjectPublicKeyInfo is not DER')
}

function expectedOf(spec: KeySpec): { type: string; bits: number | undefined; curve: string | undefined } {
  if (spec.algorithm === 'rsa') return { type: 'rsa', bits: spec.bits, curve: undefined }
  return { type: 'ec', bits: undefined, curve: spec.curve === 'P-256' ? 'prime256v1' : 'secp384r1' }
}

async function opens(bench: Bench): Promise<void> {
  const key = await bench.key(firstLabel)
  await bench.listsItsKeys('the key is listed')
  await isSameKey(await (await bench.provider()).open(firstLabel), key)
}

/** Asserts that what was opened is the key that was made. */
export async function isSameKey(opened: KeyHandle | undefined, key: KeyHandle): Promise<void> {
  if (!opened) fail('the label opens nothing')
  const facts = ({ label, spec, protection, hashes, publicKey }: KeyHandle) => ({
    label,
    spec,
    protection,
    hashes,
    publicKey: Buffer.from(publicKey),
  })
  deepEqual(facts(opened), facts(key), 'it opens as another')
  equal(opened.unwrapKey === undefined, key.unwrapKey === undefined, 'it unwraps, or does not, as before')
  await signsWith(opened, Buffer.from('to be signed'), hashOf(opened), 'the opened key')
}
