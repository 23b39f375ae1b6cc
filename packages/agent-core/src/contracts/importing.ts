import { deepEqual, equal } from 'node:assert/strict'
import { createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeySpec } from '../types.ts'
import { type Bench, type BenchCheck, firstLabel, importedLabel } from './bench.ts'
import { findSecrets } from './find-secrets.ts'
import { isSameKey } from './making.ts'
import { failsWith, hashOf, signsWith } from './verdicts.ts'

const generatePair = promisify(generateKeyPair)

/** A provider without `import` passes: nobody asks it for one. */
export const importingChecks: readonly BenchCheck[] = [
  ['where it imports, it is ready for a key that it could have made, and asking makes nothing', isReady],
  ['an imported key is that key: listed once, it opens under its label, signs, and is destroyed like the others', imports],
  ['importing under a label that exists fails with ERR_KEY_EXISTS, and the key stays', keepsItsLabel],
  ['outside software an exportable key is unsupported: readiness says so, import fails with ERR_UNSUPPORTED', exports],
]

async function isReady(bench: Bench): Promise<void> {
  const provider = await bench.provider()
  if (!provider.import) return
  const readiness = await provider.readiness({ spec: bench.spec, hash: 'sha256', multiFactor: false, isImport: true })
  deepEqual(readiness, { state: 'ready' })
  await bench.listsItsKeys('asking makes nothing')
}

async function imports(bench: Bench): Promise<void> {
  const { privateKey, publicKey } = await madeElsewhere(bench.spec)
  const key = await bench.import(importedLabel, privateKey)
  if (!key) return
  deepEqual(Buffer.from(key.publicKey), publicKey, 'it is another key')
  deepEqual(key.spec, bench.spec)
  await bench.listsItsKeys('the key is listed')
  const provider = await bench.provider()
  await isSameKey(await provider.open(importedLabel), key)
  for (const holder of [key, provider]) deepEqual(findSecrets(holder, publicKey), [], 'private bytes show')
  await bench.destroy(importedLabel)
  await bench.listsItsKeys('the key is gone')
  equal(await provider.open(importedLabel), undefined, 'it still opens')
}

async function keepsItsLabel(bench: Bench): Promise<void> {
  const key = await bench.key(firstLabel)
  const provider = await bench.provider()
  const { privateKey } = await madeElsewhere(bench.spec)
  const imported = provider.import?.(privateKey, firstLabel, { exportable: false })
  if (!imported) return
  await failsWith('ERR_KEY_EXISTS', imported, 'the label of a key')
  await isSameKey(await provider.open(firstLabel), key)
  await signsWith(key, Buffer.from('data'), hashOf(key), 'the key that stays')
}

async function exports(bench: Bench): Promise<void> {
  const provider = await bench.provider()
  if (!provider.import || provider.protection === 'software') return
  const wish = { spec: bench.spec, hash: 'sha256', multiFactor: false, isImport: true, isExportable: true } as const
  equal((await provider.readiness(wish)).state, 'unsupported', 'readiness')
  const { privateKey } = await madeElsewhere(bench.spec)
  await failsWith('ERR_UNSUPPORTED', provider.import(privateKey, importedLabel, { exportable: true }), 'an exportable key')
  await bench.listsItsKeys('nothing is left of it')
}

async function madeElsewhere(spec: KeySpec): Promise<{ privateKey: KeyObject; publicKey: Buffer }> {
  const { privateKey } =
    spec.algorithm === 'rsa'
      ? await generatePair('rsa', { modulusLength: spec.bits })
      : await generatePair('ec', { namedCurve: spec.curve })
  return { privateKey, publicKey: createPublicKey(privateKey).export({ format: 'der', type: 'spki' }) }
}
