import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommandLine } from '@certfleet/emulator/commands'
import t, { type Test } from 'tap'
import { command, terminal } from '../commands/terminal.ts'
import { fleetProcesses, logged, resultsIn, through } from '../fakes/fleet-processes.ts'
import { primesFolder } from './emulated-keys.ts'

/** A fleet whose last devices begin when the first are through. */
const plan = 'seed: 3\nkeys: primes\ndevices: { ios: 4, windows: 4 }\narrival: { rate: 4 }\n'

async function stateFolder(t: Test, scenario = plan) {
  const folder = t.testdir({ 's.yaml': scenario })
  const [state, log, out] = ['state', 'log', 'out'].map((name) => join(folder, name)) as [string, string, string]
  const cheap = ['--key-pool', await primesFolder(join(folder, 'keys'))]
  const argv = (...more: string[]) => [
    'run',
    join(folder, 's.yaml'),
    ...cheap,
    '--state',
    state,
    '--log',
    log,
    '--out',
    out,
    '--json',
    ...more,
  ]
  /** The first certificate of each device that has one. */
  const certificates = () =>
    Object.fromEntries(
      readdirSync(out, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => [name, readFileSync(join(out, name, 'cert.pem'), 'utf8')]),
    )
  return { folder, state, log, out, argv, certificates }
}

const one = 'seed: 3\nkeys: primes\ndevices: { ios: 1 }\n'

for (const workers of [0, 2]) {
  t.test(`a fleet that was interrupted goes on: ${workers} workers`, async (t) => {
    const { argv, log, state, certificates } = await stateFolder(t)
    const { io, interrupt, stdout, stderr } = terminal()
    const first = runCommandLine(argv('--workers', `${workers}`), io)
    await through(log, 3)
    interrupt()
    t.equal(await first, 130, stderr())
    const interrupted = resultsIn(stdout())
    const had = certificates()
    const count = Object.keys(had).length
    t.ok(count >= 3 && count < 8, `${count} of 8 have certificates`)
    t.equal(interrupted.outcomes.installed, count)
    t.equal(interrupted.run.resumed, 0)
    t.ok(readdirSync(state).includes('lab'))

    const second = await command(argv('--workers', `${workers}`))
    t.equal(second.exitCode, 0, second.stderr)
    const results = resultsIn(second.stdout)
    const has = certificates()
    t.equal(Object.keys(has).length, 8)
    for (const [device, certificate] of Object.entries(had)) t.equal(has[device], certificate, `${device} keeps what it had`)
    t.match(results, { devices: 8, outcomes: { installed: 8, failed: 0 } })
    const { resumed } = results.run
    t.ok(resumed >= count && resumed <= interrupted.arrivals.started, `${resumed} resumed`)
    t.equal(results.steps.find(({ step, platform }) => step === 'install' && platform === 'all')?.count, 8 - count, 'each enrols once')
    t.strictSame(violationsOf(results), [])
    const orphans = results.invariants.find(({ name }) => name.includes('issued'))
    t.equal(orphans?.checked, 8, 'the lab has issued one certificate a device')
    t.strictSame(fleetProcesses(), [])
  })
}

const violationsOf = ({ invariants }: ReturnType<typeof resultsIn>) => invariants.filter(({ violations }) => violations > 0)

t.test('another run is refused, and changes nothing', async (t) => {
  const { folder, argv, state, out } = await stateFolder(t, one)
  t.match(await command(argv('--in-process')), { exitCode: 0 })
  const before = readFileSync(join(out, 'results.json'), 'utf8')
  const rows: [string, string[], string | undefined][] = [
    ['another seed', ['--seed', '4'], undefined],
    ['another population', ['--devices', '2'], undefined],
    ['other keys', ['--keys', 'pool'], undefined],
    ['another target', [], 'target: { policy: { url: "http://127.0.0.1:1/device/policy", token-file: token } }'],
  ]
  writeFileSync(join(folder, 'token'), 'token\n', { mode: 0o600 })
  for (const [name, more, line] of rows) {
    if (line) writeFileSync(join(folder, 's.yaml'), `${one}${line}\n`)
    const refused = await command(argv(...(line ? [] : ['--in-process']), ...more))
    const problem = /keeps 1 devices .* and this run has .*: go on with the same seed, devices, keys and target, or name another folder/
    t.match(refused, { exitCode: 2, stderr: problem }, name)
    t.equal(readFileSync(join(out, 'results.json'), 'utf8'), before, 'the earlier report is there')
  }
  const elsewhere = await command(['run', '--state', out, '--in-process', '--devices', '1'])
  t.match(elsewhere, { exitCode: 2, stderr: /holds something else/ })
  t.notOk(readdirSync(out).includes('lab'), 'and nothing was put there')
  t.ok(readdirSync(state).includes('lab'))
})

t.test('a second run at the same time is refused', async (t) => {
  const { argv } = await stateFolder(t, `${one}duration: 1m\n`)
  const { io, interrupt, seen } = terminal()
  const first = runCommandLine(argv('--metrics', '0', '--workers', '0'), io)
  await seen(/metrics at/)
  t.match(await command(argv()), { exitCode: 1, stderr: /ERR_STATE_BUSY/ })
  interrupt()
  t.equal(await first, 130)
})

t.test('devices of a worker that crashed go on from what they had', async (t) => {
  const { argv, log, certificates } = await stateFolder(t, 'seed: 3\nkeys: primes\ndevices: { ios: 6 }\nduration: 8s\n')
  const { io, seen, stdout, stderr } = terminal()
  const running = runCommandLine(argv('--workers', '2', '--metrics', '0'), io)
  await seen(/metrics at/)
  const url = /metrics at (\S+)/.exec(stderr())?.[1] as string
  for (let installed = 0; installed < 6; ) {
    const text = await fetch(url).then((answer) => answer.text())
    installed = Number(/^certfleet_certificates_installed_total (\d+)/m.exec(text)?.[1] ?? 0)
  }
  process.kill(fleetProcesses()[1] as number, 'SIGKILL')
  t.equal(await running, 0, stderr())
  const results = resultsIn(stdout())
  t.match(results.crashes, [{ worker: 'worker 1', devicesRestarted: 3 }])
  t.match(results, { devices: 6, outcomes: { installed: 6, failed: 0 } })
  t.equal(Object.keys(certificates()).length, 6)
  const orphans = results.invariants.find(({ name }) => name.includes('issued'))
  t.match(orphans, { checked: 6, violations: 0 }, 'one certificate a device')
  t.equal(logged(log).filter(({ event }) => event === 'device-completed').length, 6)
})

t.test('what failed is told again, until the time to try again has come', async (t) => {
  const { folder, argv } = await stateFolder(t, `${plan}faults: { lostAnswers: 0.15 }\n`)
  const first = await command(argv('--in-process'))
  t.equal(first.exitCode, 1, first.stderr)
  const lossy = resultsIn(first.stdout)
  t.ok(lossy.faults.lostAnswers > 0 && lossy.outcomes.installed < 8)
  t.strictSame(violationsOf(lossy), [], 'what is under way may still be asked for again')
  writeFileSync(join(folder, 's.yaml'), plan)
  const second = await command(argv('--in-process'))
  const results = resultsIn(second.stdout)
  t.match(results.faults, { lostAnswers: 0 })
  t.equal(results.outcomes.installed + results.outcomes.failed, 8, 'each device has a certificate or a failure')
  t.equal(second.exitCode, results.outcomes.failed > 0 ? 1 : 0)
  t.strictSame(violationsOf(results), [])
})
