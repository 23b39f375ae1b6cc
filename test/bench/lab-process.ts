import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../tooling/root.ts'
import { endsWithThis } from './processes.ts'

export const challenge = 'bench-only'

export interface LabProcess {
  readonly scepUrl: string
  /** SHA-256 of the root, lower-case hex. */
  readonly caFingerprint: string
  /** Of the process so far. Linux alone tells it: 0 elsewhere. */
  cpuMs(): Promise<number>
  stop(): Promise<void>
}

/** The lab as its command serves it, in a process of its own: what it costs is not the client's. `stateFolder`: it keeps what it does there. */
export async function startLab(stateFolder?: string): Promise<LabProcess> {
  const command = join(root, 'packages/emulator/dist/cli.js')
  const state = stateFolder === undefined ? [] : ['--state', stateFolder]
  const child = spawn(process.execPath, [command, 'lab', '--challenge', challenge, ...state], { stdio: ['ignore', 'pipe', 'ignore'] })
  endsWithThis(child)
  const closed = once(child, 'close')
  const lines = createInterface(child.stdout)
  const [line] = await Promise.race([once(lines, 'line'), closed.then(([code]) => Promise.reject(new Error(`the lab ended with ${code}`)))])
  const { scepUrl, caFingerprint } = JSON.parse(line as string)
  return {
    scepUrl,
    caFingerprint,
    cpuMs: () => cpuMsOf(child.pid as number),
    async stop() {
      child.kill('SIGTERM')
      await closed
    },
  }
}

/** By ticks of a hundredth of a second, as Linux counts for everybody. */
export async function cpuMsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number)
  return (user + system) * 10
}
