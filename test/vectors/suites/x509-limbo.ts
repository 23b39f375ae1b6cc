import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Suite } from '../suite.ts'
import { type LimboCase, readLimboFile } from './limbo-format.ts'

/** The cases that OpenSSL, Go and pyca all get right: `core-ids.txt`. */
export const limboCore: Suite = {
  name: 'x509-limbo core',
  folder: 'x509-limbo',
  load: (dir) => {
    const ids = join(dir, 'x509-limbo', 'core-ids.txt')
    if (!existsSync(ids)) return undefined
    const core = new Set(readFileSync(ids, 'utf8').split(/\s+/))
    return limboCases(dir, ({ id }) => core.has(id))
  },
}

/** Everything that asks for RFC 5280 alone: no web PKI, no network, no pedantry, no caller's depth limit. */
export const limboApplicable: Suite = {
  name: 'x509-limbo applicable',
  folder: 'x509-limbo',
  load: (dir) => limboCases(dir, isApplicable),
}

function limboCases(dir: string, wanted: (limbo: LimboCase) => boolean) {
  const file = join(dir, 'x509-limbo', 'limbo.json')
  if (!existsSync(file)) return undefined
  return readLimboFile(file, Date.now())
    .filter(({ limbo }) => wanted(limbo))
    .map(({ vector }) => vector)
}

function isApplicable({ id, features }: LimboCase): boolean {
  if (/^(?:webpki|online)::/.test(id)) return false
  return !features.some((feature) => /pedantic|webpki/.test(feature) || feature === 'max-chain-depth')
}
