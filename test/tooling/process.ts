import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

export interface Finished {
  readonly exitCode: number | null
  /** stdout, then stderr. */
  readonly output: string
}

/** Runs a program to its end, whatever its exit code. */
export function run(program: string, args: readonly string[], options: { cwd?: string } = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { ...options, encoding: 'utf8' }, (_error, stdout, stderr) =>
      resolve({ exitCode: child.exitCode, output: stdout + stderr }),
    )
  })
}

/** Asserts how a program ended, and shows what it said when it ended otherwise. */
export function endsAs(t: Test, ended: Finished, expected: { exitCode: number; output?: RegExp | string }): void {
  if (!t.match(ended, expected, `ends with ${expected.exitCode}${expected.output ? `, saying ${expected.output}` : ''}`))
    t.comment(ended.output)
}

/** Starts a server, and resolves with the first line on stdout or stderr that matches. The end of the test ends it. */
export async function serve(
  t: Test,
  program: string,
  args: readonly string[],
  ready: RegExp,
): Promise<{ server: ChildProcess; line: string }> {
  const server = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(server, 'exit')
  t.teardown(async () => {
    server.kill()
    await ended
  })
  const lines: string[] = []
  const line = await new Promise<string>((resolve, reject) => {
    for (const input of [server.stdout, server.stderr]) {
      createInterface({ input }).on('line', (text) => {
        lines.push(text)
        if (ready.test(text)) resolve(text)
      })
    }
    ended.then(() => reject(new Error(`${program} ended before it was ready:\n${lines.join('\n')}`)), reject)
  })
  return { server, line }
}
