import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../tooling/root.ts'
import type { Sample, SampleKind } from './corpus.ts'

/** What openssl made with the keys of this fuzzer: `record.ts` wrote it down once, because openssl draws what it likes each time. */
export function recordedSamples(): readonly Sample[] {
  const recorded = JSON.parse(readFileSync(join(root, 'test', 'fuzz', 'recorded.json'), 'utf8')) as readonly {
    readonly name: string
    readonly kind: SampleKind
    readonly base64: string
  }[]
  return recorded.map(({ name, kind, base64 }) => ({ name, kind, bytes: Buffer.from(base64, 'base64'), layers: [] }))
}
