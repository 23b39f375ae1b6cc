import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { DeviceSpec } from '@certfleet/emulator/fleet'

export const testDevices: readonly DeviceSpec[] = Array.from({ length: 100 }, (_, i) => ({
  id: `windows-${i}`,
  platform: 'windows',
  osVersion: '10.0.26100',
}))

/** What a process of `state-process.ts` is started with. */
export interface StateStart {
  readonly folder: string
  /** It takes each second device from this one on, over and over. */
  readonly from: number
  /** Whether it begins the run itself. */
  readonly leads: boolean
}

/** A process that fills devices, for as long as it is let; `full` has what it told, the certificate in base64 by device. */
export interface StateProcess {
  readonly full: ReadonlyMap<string, string>
  /** Kills it once it has told of so many, unless it is dead. */
  killAfter(count: number): Promise<void>
}

export function startStateProcess(start: StateStart): StateProcess {
  const file = fileURLToPath(new URL(`./state-process${extname(import.meta.url)}`, import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [...process.execArgv, file, JSON.stringify(start)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const full = new Map<string, string>()
  let told = 0
  let limit = Number.POSITIVE_INFINITY
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const ended = Promise.all([once(child, 'exit'), once(lines, 'close')])
  lines.on('line', (line) => {
    const { id, certificate } = JSON.parse(line) as { id: string; certificate: string }
    full.set(id, certificate)
    if (++told >= limit) child.kill('SIGKILL')
  })
  return {
    full,
    async killAfter(count) {
      limit = count
      if (told >= limit) child.kill('SIGKILL')
      await ended
    },
  }
}
