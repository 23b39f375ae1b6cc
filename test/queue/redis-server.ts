import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { missing } from '../interop/peers.ts'
import { freePort } from '../tooling/free-port.ts'

/** Why no Redis can be started here, or false. */
export const noRedis = (): string | false => missing(['redis-server'], 'redis-server')

export interface RedisServer {
  /** With the password in it. */
  readonly url: string
  readonly port: number
  readonly password: string
  pid(): number
  /** Nothing that it had answered is lost. */
  kill(): Promise<void>
  /** On the same port, with what it had. */
  start(): Promise<void>
}

export const redisPassword = 'test-password-of-redis'

/** Debian's redis-server on loopback, that writes each change down before it answers; the end of the test ends it. More `settings` come last. */
export async function redisServer(t: Pick<Test, 'teardown'>, folder: string, settings: readonly string[] = []): Promise<RedisServer> {
  const port = await freePort()
  let server: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()
  async function start(): Promise<void> {
    const started = spawn('redis-server', [...argumentsOf(port, folder), ...settings], { stdio: ['ignore', 'pipe', 'inherit'] })
    server = started
    ended = once(started, 'exit')
    await new Promise<void>((resolve, reject) => {
      const lines: string[] = []
      createInterface({ input: started.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (line) => {
        lines.push(line)
        if (/ready to accept connections/i.test(line)) resolve()
      })
      ended.then(() => reject(new Error(`redis-server has ended:\n${lines.join('\n')}`)), reject)
    })
  }
  async function kill(): Promise<void> {
    server?.kill('SIGKILL')
    await ended
  }
  t.teardown(kill)
  await start()
  const url = `redis://:${redisPassword}@127.0.0.1:${port}`
  return { url, port, password: redisPassword, pid: () => (server as ChildProcess).pid as number, kill, start }
}

function argumentsOf(port: number, folder: string): readonly string[] {
  const values = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    requirepass: redisPassword,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '""',
    'maxmemory-policy': 'noeviction',
  }
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])
}
