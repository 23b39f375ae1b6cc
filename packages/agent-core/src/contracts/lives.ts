import { equal, notDeepEqual, ok } from 'node:assert/strict'
import { randomBytes, verify } from 'node:crypto'
import type { KeyHandle, KeyStorageProvider } from '../ports.ts'
import { type Bench, type BenchCheck, firstLabel, secondLabel } from './bench.ts'
import { isSameKey } from './making.ts'
import { failsWith, hashOf, publicKeyOf, signsWith, wrapFor } from './verdicts.ts'

const data = Buffer.from('to be signed')

export const restartChecks = (restart: () => Promise<KeyStorageProvider>): readonly BenchCheck[] => [
  [
    'a key outlives the program that made it',
    async (bench) => {
      const key = await bench.key(firstLabel)
      const restarted = await restart()
      ok((await restarted.list()).includes(firstLabel), 'it is not listed')
      await isSameKey(await restarted.open(firstLabel), key)
      await failsWith('ERR_KEY_EXISTS', restarted.generate(bench.spec, firstLabel), 'the label of an earlier program')
    },
  ],
]

export const lifeChecks: readonly BenchCheck[] = [
  [
    'every key is another one',
    async (bench) => {
      const [first, second] = [await bench.key(firstLabel), await bench.key(secondLabel)]
      notDeepEqual(Buffer.from(first.publicKey), Buffer.from(second.publicKey))
      await signsWith(second, data, hashOf(second), 'the second key')
      await signsWith(first, data, hashOf(first), 'the first key')
    },
  ],
  ['destroying removes the key and leaves the others; destroying what is gone is not an error', destroys],
  ['a handle whose key was destroyed never uses another key, and outside software fails with ERR_KEY_UNAVAILABLE', outlives],
  [
    'nothing is left of the keys that were made',
    async (bench) => {
      await bench.clear()
      await bench.listsItsKeys('there is still a key')
    },
  ],
]

async function destroys(bench: Bench): Promise<void> {
  const provider = await bench.provider()
  const [first] = [await bench.key(firstLabel), await bench.key(secondLabel)]
  await bench.destroy(secondLabel)
  equal(await provider.open(secondLabel), undefined, 'it still opens')
  await bench.listsItsKeys('it is gone from the list, alone')
  await bench.destroy(secondLabel)
  await isSameKey(await provider.open(firstLabel), first)
}

/** What a program still holds of a key in its own memory may go on working; what hardware let go of may not. */
async function outlives(bench: Bench): Promise<void> {
  const { protection } = await bench.provider()
  const old = await bench.key(secondLabel)
  await bench.destroy(secondLabel)
  const next = await bench.generate(secondLabel)
  notDeepEqual(Buffer.from(next.publicKey), Buffer.from(old.publicKey), 'the label is free for another key')
  const signature = old.sign(data, hashOf(old))
  const signed = await signature.catch(() => undefined)
  if (signed && protection === 'software') ok(verify(hashOf(old), data, publicKeyOf(old), signed), 'it signs with another key')
  else await failsWith('ERR_KEY_UNAVAILABLE', signature, 'signing with a key that is gone')
  await unwrapsNoMore(old, next)
  await bench.destroy(secondLabel)
}

/** What it says is its own choice: an error, or octets as for a bad padding. */
async function unwrapsNoMore(old: KeyHandle, next: KeyHandle): Promise<void> {
  const secret = randomBytes(32)
  for (const key of old.protection === 'software' ? [next] : [next, old]) {
    const given = await old.unwrapKey?.(wrapFor(key, secret), { padding: 'pkcs1', lengthBytes: 32 }).catch(() => undefined)
    notDeepEqual(given && Buffer.from(given), secret, `it unwraps ${key === old ? 'still' : 'with another key'}`)
  }
}
