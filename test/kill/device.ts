import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DeviceStart, Order, Settled } from './life.ts'

export type Outcome =
  | ({ readonly kind: 'settled' } & Settled)
  /** `calls`: what it told since its last order. */
  | { readonly kind: 'killed'; readonly calls: readonly string[] }

export interface DeviceProcess {
  /** Once it has told the first step since its last order. */
  begun(): Promise<void>
  /** Once it has settled, was killed, or failed by itself, with which this rejects. */
  outcome(): Promise<Outcome>
  /** After it has settled. */
  go(order: Order): void
  /** As `kill -9` does. */
  kill(): void
  /** After it has settled: resolves once it is gone. */
  end(): Promise<void>
}

/** Starts a process of the device. It ends with this one. */
export function startDevice(start: DeviceStart): DeviceProcess {
  const file = fileURLToPath(new URL(`./device-process${extname(import.meta.url)}`, import.meta.url))
  const child = fork(file, [JSON.stringify(start)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name]?.setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  const gone = new Promise<NodeJS.Signals | number | null>((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  let settled = nextSettled(child)
  let begun = nextWord(child)
  return {
    begun: () => begun,
    async outcome() {
      const first = await Promise.race([settled, gone])
      if (typeof first === 'object' && first !== null) return { kind: 'settled', ...first }
      if (first === 'SIGKILL') return { kind: 'killed', calls: said.stdout.split('\n').slice(0, -1) }
      throw new Error(`the device ended with ${first}: ${said.stderr}`)
    },
    go(order) {
      said.stdout = ''
      settled = nextSettled(child)
      begun = nextWord(child)
      child.send(order)
    },
    kill() {
      child.kill('SIGKILL')
    },
    async end() {
      child.send('end')
      const how = await gone
      if (how !== 0) throw new Error(`the device ended with ${how}: ${said.stderr}`)
    },
  }
}

function nextSettled(child: ChildProcess): Promise<Settled> {
  return new Promise((resolve) => child.once('message', (message) => resolve(message as Settled)))
}

function nextWord({ stdout }: ChildProcess): Promise<void> {
  return new Promise((resolve) => stdout?.once('data', () => resolve()))
}
