import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Suite } from '../suite.ts'
import { readLimboFile } from './limbo-format.ts'

/** The exported certificates are valid for a year only; the cases name no time. */
const at = Date.UTC(2027, 0, 1)

/** BetterTLS path building: wrong turns, cycles and cross-signs. */
export const betterTlsPath: Suite = {
  name: 'bettertls-path',
  folder: 'bettertls-path',
  load: (dir) => {
    const file = join(dir, 'bettertls-path', 'bettertls-path.json')
    return existsSync(file) ? readLimboFile(file, at).map(({ vector }) => vector) : undefined
  },
}
