import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'

const running = new Set<ChildProcess>()
process.on('exit', endAll)

export function endAll(): void {
  for (const child of running) child.kill()
}

/** It does not outlive this process, however that ends. */
export function endsWithThis(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
}

/** What a command wrote on stdout. Rejects with the end of its stderr where its exit code is none of `codes`. */
export async function outputOf(
  command: string,
  args: readonly string[],
  { codes = [0], ...options }: SpawnOptions & { readonly codes?: readonly number[] } = {},
): Promise<string> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  endsWithThis(child)
  const [out, errors]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (bytes) => out.push(bytes))
  child.stderr?.on('data', (bytes) => errors.push(bytes))
  const [code, signal] = await once(child, 'close')
  if (!codes.includes(code))
    throw new Error(`${command} ended with ${code ?? signal}: ${Buffer.concat(errors).toString().trim().slice(-300)}`)
  return Buffer.concat(out).toString()
}
