import { deepEqual, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { KeyHandle } from '../ports.ts'
import type { HashName } from '../types.ts'
import { type BenchCheck, firstLabel } from './bench.ts'
import { failsWith, hashOf, signsWith } from './verdicts.ts'

const everyHash = ['sha1', 'sha256', 'sha384', 'sha512'] as const satisfies readonly HashName[]
const data = Buffer.from('to be signed')

const oneHash = (hash: HashName): BenchCheck => [
  `it signs with ${hash}, or refuses with ERR_UNSUPPORTED what its hashes leave out`,
  async (bench) => {
    const key = await bench.key(firstLabel)
    if (signs(key, hash)) await signsWith(key, data, hash, hash)
    else await failsWith('ERR_UNSUPPORTED', key.sign(data, hash), hash)
  },
]

export const signingChecks: readonly BenchCheck[] = [
  [
    'hashes, where it says them, are some of sha256, sha384 and sha512, each once',
    async (bench) => {
      const { hashes } = await bench.key(firstLabel)
      if (hashes === undefined) return
      ok(hashes.length > 0, 'a key that signs with nothing')
      deepEqual([...new Set(hashes)].sort(), [...hashes].sort(), 'each once')
      for (const hash of hashes) ok(['sha256', 'sha384', 'sha512'].includes(hash), `"${hash}"`)
    },
  ],
  ...everyHash.map(oneHash),
  [
    'a digest that its keys do not sign with is unsupported before there is a key',
    async (bench) => {
      const key = await bench.key(firstLabel)
      const provider = await bench.provider()
      for (const hash of everyHash.filter((candidate) => !signs(key, candidate))) {
        const { state } = await provider.readiness({ spec: bench.spec, hash, multiFactor: false })
        ok(state === 'unsupported', `${hash}: readiness says "${state}"`)
      }
    },
  ],
  ...sizes(),
  [
    'it signs many things at once, each with its own signature',
    async (bench) => {
      const key = await bench.key(firstLabel)
      const many = Array.from({ length: 8 }, (_, i) => Buffer.from(`to be signed: ${i}`))
      await Promise.all(many.map((each, i) => signsWith(key, each, hashOf(key), `signature ${i} of 8 at once`)))
    },
  ],
]

function sizes(): BenchCheck[] {
  const rows: readonly [string, Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['1 MiB', randomBytes(1024 * 1024)],
  ]
  return rows.map(([size, bytes]) => [
    `it signs ${size}`,
    async (bench) => {
      const key = await bench.key(firstLabel)
      await signsWith(key, bytes, hashOf(key), size)
    },
  ])
}

function signs({ hashes }: KeyHandle, hash: HashName): boolean {
  return hashes === undefined || hashes.some((candidate) => candidate === hash)
}
