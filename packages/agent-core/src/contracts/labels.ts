import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { type Bench, type BenchCheck, firstLabel, unknownLabel } from './bench.ts'
import { failsWith, hashOf, signsWith } from './verdicts.ts'

const printable = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => 0x20 + i))
const longest = printable.padEnd(128, printable)

/** Labels that a storage which writes, escapes, folds or trims badly takes for `../certfleet%2f"Key"`. */
const pathLike = '../certfleet%2f"Key"'
const lookAlikes = [
  'certfleet%2f"Key"',
  '../certfleet/"Key"',
  '../certfleet%2f"key"',
  '../certfleet%2F"Key"',
  `${pathLike} `,
  ` ${pathLike}`,
]

export const labelChecks: readonly BenchCheck[] = [
  [
    'an unknown label opens nothing',
    async (bench) => {
      equal(await (await bench.provider()).open(unknownLabel), undefined)
    },
  ],
  [
    'generating under a label that exists fails with ERR_KEY_EXISTS, and the key stays',
    async (bench) => {
      const key = await bench.key(firstLabel)
      const provider = await bench.provider()
      await failsWith('ERR_KEY_EXISTS', provider.generate(bench.spec, firstLabel), 'the label of a key')
      const opened = await provider.open(firstLabel)
      deepEqual(opened && Buffer.from(opened.publicKey), Buffer.from(key.publicKey), 'the key under that label')
      await signsWith(key, Buffer.from('data'), hashOf(key), 'the key that stays')
    },
  ],
  ['a label that two ask for at once goes to one, the other gets ERR_KEY_EXISTS', asksTwice],
  ['a label of one character', async (bench) => holdsUnder(bench, await bench.shortLabel())],
  ['a label of 128 characters, every printable one among them', (bench) => holdsUnder(bench, longest)],
  ['a label is not a path, not escaped, folded or trimmed', (bench) => holdsUnder(bench, pathLike, lookAlikes)],
]

async function asksTwice(bench: Bench): Promise<void> {
  const label = `${unknownLabel}, asked for twice`
  const asked = await Promise.allSettled([bench.generate(label), bench.generate(label)])
  const [won, ...others] = asked.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
  const [lost] = asked.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  await failsWith('ERR_KEY_EXISTS', lost === undefined ? Promise.resolve() : Promise.reject(lost), 'one of two')
  notEqual(won, undefined, 'nobody got the label')
  equal(others.length, 0, 'both got it')
  const opened = await (await bench.provider()).open(label)
  deepEqual(
    opened && Buffer.from(opened.publicKey),
    won && Buffer.from(won.publicKey),
    'the key under the label is the one that was handed out',
  )
  await bench.listsItsKeys('the label is listed once')
  await bench.destroy(label)
}

/** The key is under `label` exactly; none of `others` opens it or destroys it. */
async function holdsUnder(bench: Bench, label: string, others: readonly string[] = []): Promise<void> {
  const key = await bench.generate(label)
  const provider = await bench.provider()
  equal(key.label, label, 'the handle says its label')
  for (const other of others) {
    equal(await provider.open(other), undefined, `${JSON.stringify(other)} opens the key of ${JSON.stringify(label)}`)
    await provider.destroy(other)
  }
  await bench.listsItsKeys(`${JSON.stringify(label)} is listed as it is`)
  const opened = await provider.open(label)
  deepEqual(opened && Buffer.from(opened.publicKey), Buffer.from(key.publicKey), 'and opens')
  await bench.destroy(label)
  equal(await provider.open(label), undefined, 'and is gone once destroyed')
}
