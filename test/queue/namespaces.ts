import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Results } from '@certfleet/emulator/fleet'
import { root } from '../tooling/root.ts'

/**
 * One run on three machines, which are three network namespaces on a bridge: one has Redis, the lab and the run, two have workers. They
 * share no address, no loopback and no host name; each has a file with the password of Redis and one with the sealing key.
 *
 * In namespaces of its own, so that it needs no root and whatever it made is gone with it. Exit status 1 for a run that is not whole.
 */
const devices = 2_000
const first = '10.77.0.1'
const machines = { first, north: '10.77.0.2', south: '10.77.0.3' } as const
type Machine = keyof typeof machines
const port = 6379
const password = 'password-of-the-machines'
const patienceMs = 300_000

if (process.argv[2] === 'inside') await inside()
else process.exitCode = outside()

function outside(): number {
  const script = process.argv[1] as string
  const namespaces = ['--map-root-user', '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
  try {
    execFileSync('unshare', [...namespaces, process.execPath, script, 'inside'], { stdio: 'inherit' })
    return 0
  } catch (error) {
    return (error as { status?: number }).status ?? 1
  }
}

async function inside(): Promise<void> {
  // Where "ip netns" keeps its names.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
  connectMachines()
  const folder = mkdtempSync(join(tmpdir(), 'certfleet-machines-'))
  const watchdog = setTimeout(() => {
    console.error(`not over after ${patienceMs / 1000} s`)
    process.exit(1)
  }, patienceMs)
  try {
    const results = await runOnAll(folder)
    const problems = problemsOf(results)
    for (const problem of problems) console.error(`not ok: ${problem}`)
    process.exitCode = problems.length > 0 ? 1 : 0
  } finally {
    clearTimeout(watchdog)
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A namespace each, by a cable to the bridge. */
function connectMachines(): void {
  const ip = (...args: readonly string[]) => execFileSync('ip', args, { stdio: 'inherit' })
  ip('link', 'add', 'bridge', 'type', 'bridge')
  ip('link', 'set', 'bridge', 'up')
  for (const [name, address] of Object.entries(machines)) {
    ip('netns', 'add', name)
    ip('link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    ip('link', 'set', `to-${name}`, 'master', 'bridge', 'up')
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
    ip('-n', name, 'link', 'set', 'lo', 'up')
  }
}

/** A process on a machine, with its standard error shown under the machine's name. */
function start(machine: Machine, command: readonly string[]): ChildProcess {
  // A host name of its own, by which the report tells machines apart.
  const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', machine]
  const child = spawn('ip', ['netns', 'exec', machine, ...named, ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
  createInterface({ input: child.stderr }).on('line', (line) => console.error(`${machine}: ${line}`))
  return child
}

async function runOnAll(folder: string): Promise<Results> {
  const file = (name: string) => join(folder, name)
  writeFileSync(file('password'), `${password}\n`, { mode: 0o600 })
  writeFileSync(file('run.yaml'), `seed: 77\ndevices: ${devices}\nkeys: primes\n`)
  const cli = [process.execPath, join(root, 'packages/emulator/dist/cli.js')]
  const queue = ['--queue', `redis://${first}:${port}`, '--queue-password-file', file('password'), '--queue-key', file('queue.key')]
  const redis = await startRedis(folder)
  const run = start('first', [...cli, 'run', file('run.yaml'), ...queue, '--lab-host', first, '--key-pool', file('keys'), '--json'])
  const output = wholeOf(run)
  await waitFor(run, /submitted|no worker/)
  const workers = (['north', 'south'] as const).map((machine) => start(machine, [...cli, 'worker', ...queue, '--workers', '1']))
  const [code] = await once(run, 'close')
  for (const worker of workers) worker.kill('SIGTERM')
  await Promise.all(workers.map((worker) => worker.exitCode ?? once(worker, 'exit')))
  redis.kill()
  await once(redis, 'exit')
  if (code !== 0) throw new Error(`certfleet run ended with ${code}: ${(await output).slice(0, 2_000)}`)
  return JSON.parse(await output)
}

async function startRedis(folder: string): Promise<ChildProcess> {
  const settings = ['--port', `${port}`, '--bind', first, '--requirepass', password, '--dir', folder, '--appendonly', 'yes', '--save', '']
  const redis = start('first', ['redis-server', ...settings])
  await waitFor(redis, /ready to accept connections/i)
  return redis
}

/** A line of either output. */
async function waitFor(child: ChildProcess, pattern: RegExp): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    for (const input of [child.stdout, child.stderr])
      createInterface({ input: input as NonNullable<typeof input> }).on('line', (line) => pattern.test(line) && resolve())
    child.once('exit', (code) => reject(new Error(`ended with ${code} before ${pattern}`)))
  })
}

async function wholeOf(child: ChildProcess): Promise<string> {
  const pieces: string[] = []
  child.stdout?.setEncoding('utf8').on('data', (piece) => pieces.push(piece))
  await once(child, 'close')
  return pieces.join('')
}

function problemsOf({ devices: done, outcomes, verdict, queue, invariants }: Results): string[] {
  const carried = queue?.workers.map(({ host, name, shards }) => `${name} on ${host} ${shards} shards`).join(', ')
  console.log(`${done} devices, ${outcomes.installed} certificates, ${verdict}; ${carried}`)
  const broken = invariants.filter(({ violations }) => violations > 0).map(({ name }) => name)
  const rows: readonly (readonly [string, boolean])[] = [
    [`${done} of ${devices} devices`, done === devices],
    [`${outcomes.installed} of ${devices} certificates`, outcomes.installed === devices],
    [`the verdict is ${verdict}`, verdict === 'passed'],
    [`violated: ${broken.join(', ')}`, broken.length === 0],
    [`a machine carried no shard: ${carried}`, String(queue?.workers.map(({ host }) => host).sort()) === 'north,south'],
    [`a worker carried no shard: ${carried}`, queue?.workers.every(({ shards }) => shards > 0) === true],
    [`taken over: ${queue?.takeovers.length}`, queue?.takeovers.length === 0],
  ]
  return rows.filter(([, holds]) => !holds).map(([problem]) => problem)
}
