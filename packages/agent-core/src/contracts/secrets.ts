import { deepEqual } from 'node:assert/strict'
import { type BenchCheck, firstLabel } from './bench.ts'
import { findSecrets } from './find-secrets.ts'

/** `unwrapKey` and `hashes` are there or not; nothing else may be. */
const handleMembers = ['label', 'protection', 'publicKey', 'sign', 'spec']

export const secretChecks = (unwraps: boolean): readonly BenchCheck[] => [
  [
    'a handle has the members of KeyHandle and no others',
    async (bench) => {
      const key = await bench.key(firstLabel)
      const expected = [...handleMembers, ...(unwraps ? ['unwrapKey'] : [])].sort()
      const members = Reflect.ownKeys(key).map(String)
      const said = members.filter((member) => member !== 'hashes' && (member !== 'unwrapKey' || key.unwrapKey !== undefined))
      deepEqual(said.sort(), expected)
    },
  ],
  [
    'no member of a handle, however deep, and no text made from it yields private bytes',
    async (bench) => {
      const made = await bench.key(firstLabel)
      const opened = await (await bench.provider()).open(firstLabel)
      for (const key of [made, opened]) deepEqual(findSecrets(key, made.publicKey), [])
    },
  ],
  [
    'no member of the provider, however deep, and no text made from it yields private bytes',
    async (bench) => {
      const { publicKey } = await bench.key(firstLabel)
      const provider = await bench.provider()
      deepEqual(findSecrets(provider, publicKey), [])
      deepEqual(findSecrets(await provider.list(), publicKey), [])
    },
  ],
]
