import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import t, { type Test } from 'tap'
import { terminal } from '../commands/terminal.ts'
import { fleetProcesses, isAlive, resultsIn, type SpawnedRun, spawnRun, until } from '../fakes/fleet-processes.ts'
import { primesFolder } from './emulated-keys.ts'

/** Of a run that is told to end, on a machine that others use too. */
const seconds = 15_000

/** A fleet that would stay for a minute, in a process of its own, with its lab and two workers. */
async function stayingFleet(t: Test): Promise<SpawnedRun> {
  const folder = t.testdir({ 's.yaml': 'seed: 3\nkeys: primes\nworkers: 2\ndevices: { ios: 4 }\nduration: 1m\n' })
  return spawnRun(t, [join(folder, 's.yaml'), '--key-pool', await primesFolder(join(folder, 'keys')), '--metrics', '0', '--json'])
}

/** Resolves once so many devices are through with their first pass. */
async function enrolled(run: SpawnedRun, count: number): Promise<void> {
  await run.seen(/metrics at/)
  const url = /metrics at (\S+)/.exec(run.stderr())?.[1] as string
  let seen = 0
  await until(`${count} devices`, () => {
    fetch(url)
      .then((answer) => answer.text())
      .then(
        (text) => {
          seen = Number(/^certfleet_devices_completed_total (\d+)/m.exec(text)?.[1] ?? 0)
        },
        () => undefined,
      )
    return seen >= count
  })
}

/** Nothing of a run is left. */
const gone = (pids: readonly number[]) => until(`the end of ${pids}`, () => !pids.some(isAlive))

for (const who of ['the command', 'its process group', 'every process'] as const) {
  t.test(`SIGINT to ${who} ends with a report of what was done`, async (t) => {
    const run = await stayingFleet(t)
    await enrolled(run, 4)
    const pids = fleetProcesses(run.pid)
    t.equal(pids.length, 3)
    const startedAt = systemClock.now()
    const told = { 'the command': [run.pid], 'its process group': [-run.pid], 'every process': [...pids, run.pid] }
    for (const pid of told[who]) process.kill(pid, 'SIGINT')
    t.match(await run.ended, { exitCode: 130, signal: null }, run.stderr())
    t.ok(systemClock.now() - startedAt < seconds)
    const results = resultsIn(run.stdout())
    t.match(results, { verdict: 'interrupted', interrupted: true, devices: 4, outcomes: { installed: 4, failed: 0 }, crashes: [] })
    t.ok(
      results.invariants.every(({ violations }) => violations === 0),
      JSON.stringify(results.invariants),
    )
    await gone(pids)
  })
}

t.test('a second SIGINT a second later ends it at once', async (t) => {
  const run = await stayingFleet(t)
  await enrolled(run, 4)
  const pids = fleetProcesses(run.pid)
  // A worker that does not listen keeps the first from ending.
  process.kill(pids[2] as number, 'SIGSTOP')
  process.kill(run.pid, 'SIGINT')
  await systemClock.sleep(1_500)
  t.ok(isAlive(run.pid), 'it waits for its worker')
  process.kill(run.pid, 'SIGINT')
  t.equal(await run.exitCode, 130)
  t.equal(run.stdout(), '')
  process.kill(pids[2] as number, 'SIGCONT')
  await gone(pids)
})

t.test('SIGKILL of the command ends its processes', async (t) => {
  const run = await stayingFleet(t)
  await enrolled(run, 4)
  const pids = fleetProcesses(run.pid)
  process.kill(run.pid, 'SIGKILL')
  t.match(await run.ended, { signal: 'SIGKILL' })
  await gone(pids)
})

t.test('SIGINT before the devices begin', async (t) => {
  t.test('while the lab starts', async (t) => {
    const run = await stayingFleet(t)
    const [lab] = await until('the lab', () => (fleetProcesses(run.pid).length > 0 ? fleetProcesses(run.pid) : undefined))
    process.kill(-run.pid, 'SIGINT')
    t.match(await run.ended, { exitCode: 130 }, run.stderr())
    t.match(resultsIn(run.stdout()), { verdict: 'interrupted', devices: 0, crashes: [] })
    await gone([lab as number])
  })

  t.test('while keys are made', async (t) => {
    const { io, seen, interrupt, stderr, stdout } = terminal()
    const running = runCommandLine(['run', '--devices', '60', '--workers', '1', '--keys', 'pool', '--json'], io)
    await seen(/the lab stands in/)
    interrupt()
    t.equal(await running, 130, stderr())
    t.match(JSON.parse(stdout()), { error: { code: 'INTERRUPTED' } })
    t.strictSame(fleetProcesses(), [])
  })
})
