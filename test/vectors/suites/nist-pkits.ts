import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Suite } from '../suite.ts'
import { readLimboFile } from './limbo-format.ts'

/** NIST PKITS without sections 8 to 12, which test certificate policies. */
export const nistPkits: Suite = {
  name: 'nist-pkits',
  folder: 'nist-pkits',
  load: (dir) => {
    const file = join(dir, 'nist-pkits', 'pkits.json')
    if (!existsSync(file)) return undefined
    return readLimboFile(file, Date.now())
      .map(({ vector }) => vector)
      .filter(({ id }) => !/^(?:08|09|10|11|12)/.test(id))
  },
}
