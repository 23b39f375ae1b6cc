import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { systemClock } from '@certfleet/agent-core'

export interface Processes {
  /** Starts a program that serves until `stop`; what it says is kept for `said`. */
  start(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): ChildProcess
  /** Runs a program to its end with our output. */
  follow(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<number>
  /** Runs a program to its end; anything but success throws with what it said. */
  run(program: string, args: readonly string[], options?: { env?: NodeJS.ProcessEnv; cwd?: string }): Promise<string>
  /** What the servers said. */
  said(): string
  /** Ends every process that was started here, the youngest first, by its id. */
  stop(): Promise<void>
}

const patienceMs = 5_000

export function processes(): Processes {
  const running = new Set<ChildProcess>()
  const lines: string[] = []
  const track = (child: ChildProcess): ChildProcess => {
    running.add(child)
    child.once('exit', () => running.delete(child))
    return child
  }
  return {
    start(program, args, env = process.env) {
      const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
      for (const output of [child.stdout, child.stderr]) output.on('data', (text) => lines.push(`${program}: ${text}`))
      child.once('error', (error) => lines.push(`${program}: ${error.message}\n`))
      return track(child)
    },
    async follow(program, args, env = process.env) {
      const child = track(spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] }))
      const [exitCode] = (await once(child, 'exit')) as [number | null]
      return exitCode ?? 1
    },
    run(program, args, options = {}) {
      return new Promise((resolve, reject) => {
        const ended = (error: Error | null, stdout: string, stderr: string) =>
          error ? reject(new Error(`${program} ${args.join(' ')} failed:\n${stdout}${stderr || error.message}`)) : resolve(stdout)
        track(execFile(program, args, { ...options, encoding: 'utf8', maxBuffer: 2 ** 26 }, ended))
      })
    },
    said: () => lines.join(''),
    async stop() {
      for (const child of [...running].reverse()) await end(child)
    },
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  const impatience = new AbortController()
  child.kill('SIGTERM')
  void systemClock.sleep(patienceMs, impatience.signal).then(
    () => child.kill('SIGKILL'),
    () => undefined,
  )
  await ended
  impatience.abort()
}

/** Asks every 100 ms until the answer is yes. */
export async function until(what: string, isSo: () => Promise<boolean>, tries = 200): Promise<void> {
  for (let tried = 0; tried < tries; tried++) {
    if (await isSo()) return
    await systemClock.sleep(100)
  }
  throw new Error(`${what} was not ready in ${tries / 10} s`)
}
