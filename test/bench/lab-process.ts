import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../tooling/root.ts'

export const challenge = 'bench-only'

export interface LabProcess {
  readonly scepUrl: string
  /** SHA-256 of the root, lower-case hex. */
  readonly caFingerprint: string
  stop(): Promise<void>
}

/** The lab as its command serves it, in a process of its own: what it costs is not the client's. */
export async function startLab(): Promise<LabProcess> {
  const command = join(root, 'packages/emulator/bin/certfleet.js')
  const child = spawn(process.execPath, [command, 'lab', '--challenge', challenge], { stdio: ['ignore', 'pipe', 'ignore'] })
  const closed = once(child, 'close')
  const lines = createInterface(child.stdout)
  const [line] = await Promise.race([once(lines, 'line'), closed.then(([code]) => Promise.reject(new Error(`the lab ended with ${code}`)))])
  const { scepUrl, caFingerprint } = JSON.parse(line as string)
  return {
    scepUrl,
    caFingerprint,
    async stop() {
      child.kill('SIGTERM')
      await closed
    },
  }
}
