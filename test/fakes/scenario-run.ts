import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { command, type Outcome } from '../commands/terminal.ts'
import { root } from '../tooling/root.ts'

/** `certfleet run FILE --json`, in this process. */
export const runScenario = (file: string): Promise<Outcome> => command(['run', file, '--json'])

/** The compiled command, in a process of its own. */
export async function spawnScenario(file: string): Promise<Omit<Outcome, 'asked'>> {
  const child = spawn(process.execPath, [join(root, 'packages/emulator/dist/cli.js'), 'run', file, '--json'])
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray())
  const [exitCode] = (await once(child, 'close')) as [Outcome['exitCode']]
  return { exitCode, stdout: (await stdout)?.join('') ?? '', stderr: (await stderr)?.join('') ?? '' }
}
