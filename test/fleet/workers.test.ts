import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { resultsSchema } from '@certfleet/emulator/fleet'
import t, { type Test } from 'tap'
import { command } from '../commands/terminal.ts'
import { fleetProcesses, logged, resultsIn, through, until } from '../fakes/fleet-processes.ts'
import { primesFolder } from './emulated-keys.ts'
import { sameOf } from './same-of.ts'

/** Starts a fleet in this process, so that its workers are children of it. */
async function fleet(t: Test, scenario: string, ...options: string[]) {
  const folder = t.testdir({ 's.yaml': scenario })
  const log = join(folder, 'log')
  const file = (name: string) => readFileSync(join(folder, 'report', name), 'utf8')
  const cheap = ['--keys', 'primes', '--key-pool', await primesFolder(join(folder, 'keys'))]
  const shown = ['--log', log, '--report', join(folder, 'report'), '--json']
  return { log, file, ended: command(['run', join(folder, 's.yaml'), ...cheap, ...shown, ...options]) }
}

t.test('a fleet in two processes does what it does in one', async (t) => {
  const run = async (workers: number) => {
    const scenario = 'seed: 8\ndevices: { ios: 2, android: 2, windows: 1 }\nfaults: { delayed: 1, delay: 1ms }\n'
    const { exitCode, stdout, stderr } = await (await fleet(t, scenario, '--workers', `${workers}`)).ended
    t.equal(exitCode, 0, stderr)
    t.strictSame(fleetProcesses(), [], 'nothing is left running')
    return resultsIn(stdout)
  }
  const one = await run(0)
  const two = await run(2)
  t.strictSame(resultsSchema.safeParse(two).error, undefined)
  t.strictSame(sameOf(two), sameOf(one))
  t.ok(one.faults.delayed > 10)
  t.equal(two.run.workers, 2)
  t.strictSame(two.generator.processes.map(({ name }) => name).sort(), ['lab', 'worker 1', 'worker 2'])
  for (const { name, cpuMs, rssBytes } of two.generator.processes) t.ok(cpuMs > 0 && rssBytes > 0, name)
})

/** Six devices, so slow that most are still to come when the first is through. */
const plan = 'seed: 3\ndevices: { ios: 6 }\nconcurrency: 2\nfaults: { delayed: 1, delay: 300ms }\n'

t.test('a worker that crashes is told, and its devices are begun anew', async (t) => {
  const { log, file, ended } = await fleet(t, plan, '--workers', '2')
  await through(log, 1)
  const [, , second = 0] = fleetProcesses()
  process.kill(second, 'SIGKILL')
  const { exitCode, stdout, stderr } = await ended
  t.equal(exitCode, 0, stderr)
  const results = resultsIn(stdout)
  const [crash] = results.crashes
  t.match(crash, { worker: 'worker 2', why: 'killed by SIGKILL' })
  const again = crash?.devicesRestarted ?? 0
  t.ok(again > 0 && again <= 3, `${again} begun anew`)
  t.match(stderr, `! worker 2 killed by SIGKILL; ${again} devices begin anew\n`)
  t.match(
    logged(log).filter(({ event }) => event === 'worker-crashed'),
    [{ worker: 'worker 2', devicesRestarted: again }],
  )
  t.match(results, { devices: 6, devicesLost: 0, outcomes: { installed: 6, failed: 0 } })
  t.equal(new Set(results.profiles.map(({ device }) => device)).size, 6)
  t.ok(
    results.invariants.every(({ violations }) => violations === 0),
    JSON.stringify(results.invariants),
  )
  t.match(file('report.html'), /worker 2/)
  t.match(file('junit.xml'), /worker 2/)
})

t.test('a worker that crashes again and again is given up, with its devices', async (t) => {
  const { log, ended } = await fleet(t, plan, '--workers', '2')
  await through(log, 1)
  const [, first = 0] = fleetProcesses()
  let crashes = 0
  let doomed = fleetProcesses().at(-1) as number
  const killing = until('the last crash', () => {
    const told = logged(log).filter(({ event }) => event === 'worker-crashed').length
    if (told < crashes) return undefined
    const next = fleetProcesses().at(-1) as number
    if (crashes > 0 && (next === doomed || next === first)) return undefined
    doomed = next
    process.kill(doomed, 'SIGKILL')
    return ++crashes === 3 || undefined
  })
  await killing
  const { exitCode, stdout, stderr } = await ended
  t.equal(exitCode, 1, stderr)
  const results = resultsIn(stdout)
  t.equal(results.crashes.length, 3)
  t.ok(results.devicesLost > 0 && results.devicesLost <= 3)
  t.equal(results.devices + results.devicesLost, 6)
  t.match(results, { verdict: 'failed', outcomes: { failed: 0 } })
  t.match(results.thresholds, [{}, {}, {}, { threshold: 'lost.count == 0', passed: false }])
})

t.test('a lab that crashes ends the run with failures', async (t) => {
  const { log, ended } = await fleet(t, plan, '--workers', '2')
  await through(log, 1)
  process.kill(fleetProcesses()[0] as number, 'SIGKILL')
  const { exitCode, stdout, stderr } = await ended
  t.equal(exitCode, 1, stderr)
  const results = resultsIn(stdout)
  t.match(results, { devices: 6, verdict: 'failed', failuresByCode: { ERR_NETWORK: Number } })
  t.ok(results.outcomes.installed > 0 && results.outcomes.failed > 0)
  t.match(results.crashes, [{ worker: 'lab', why: /killed by SIGKILL/ }])
  t.match(stderr, /! lab /)
  t.strictSame(fleetProcesses(), [])
})
