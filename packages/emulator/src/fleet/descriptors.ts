import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** How many file descriptors a process of this one's may hold. Node raises its own limit to the hard one at its start. */
export async function descriptorLimit(): Promise<number> {
  if (process.platform === 'win32') return Number.POSITIVE_INFINITY
  const { stdout } = await run('sh', ['-c', 'ulimit -n'])
  const limit = Number(stdout)
  return Number.isFinite(limit) ? limit : Number.POSITIVE_INFINITY
}
