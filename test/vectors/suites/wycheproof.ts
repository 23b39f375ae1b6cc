import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Suite, VectorCase } from '../suite.ts'
import { readJsonArray } from './files.ts'

/** One vector of a Wycheproof file; numbers and bytes are hex. */
export interface WycheproofTest {
  readonly tcId: number
  readonly result: 'valid' | 'invalid' | 'acceptable'
  readonly [member: string]: unknown
}

interface WycheproofGroup {
  readonly tests: readonly WycheproofTest[]
  readonly [member: string]: unknown
}

/** The suite of `wycheproof/<algorithm>_test.json`; `toRun` is called once a group, whose key it may prepare. */
export function wycheproofSuite(
  algorithm: string,
  toRun: (group: Readonly<Record<string, unknown>>) => (test: WycheproofTest) => VectorCase['run'],
): Suite {
  const name = `wycheproof ${algorithm}`
  return {
    name,
    folder: 'wycheproof',
    load(dir) {
      const file = join(dir, 'wycheproof', `${algorithm}_test.json`)
      if (!existsSync(file)) return undefined
      return (readJsonArray(file, 'testGroups') as readonly WycheproofGroup[]).flatMap((group) => {
        const runOf = toRun(group)
        return group.tests.map((test) => ({
          id: `wycheproof::${algorithm}::${test.tcId}`,
          // What a suite leaves open ("acceptable") is held to the strict reading.
          expected: test.result === 'valid' ? ('accept' as const) : ('refuse' as const),
          run: runOf(test),
        }))
      })
    },
  }
}

export function hex(value: unknown): Buffer {
  return Buffer.from(value as string, 'hex')
}
