import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock, systemDisk } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import { loadScenario, type Results, type RunResults } from '@certfleet/emulator/fleet'
import t from 'tap'
import { encodePool, writePool } from '#emulator/keys/pool-file.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'
import { root } from '../tooling/root.ts'
import { exampleExport, exampleProfiles } from './example.ts'
import { command, terminal } from './terminal.ts'

t.test('a fleet of every platform enrols over sockets', async (t) => {
  const folder = t.testdir({ 's.yaml': `devices: 4\nseed: 42\nprofiles: ${exampleExport}\n` })
  const out = join(folder, 'out')
  const { exitCode, stdout, stderr } = await command(['run', join(folder, 's.yaml'), '--out', out, '--json'])
  t.equal(exitCode, 0, stderr)
  const results = JSON.parse(stdout) as RunResults
  t.match(results, { seed: 42, devices: 4, outcomes: { installed: 5, failed: 0, pending: 0 }, failuresByCode: {}, interrupted: false })
  t.ok(results.enrollmentsPerSecond > 0)
  for (const platform of ['ios', 'macos', 'android', 'windows'] as const) {
    const certificatesInstalled = platform === 'windows' ? 2 : 1
    const latencyMs = { p50: Number, p90: Number, p99: Number }
    t.match(
      results.platforms[platform],
      { devices: 1, rootsInstalled: 1, certificatesInstalled, failed: 0, failuresByCode: {}, latencyMs },
      platform,
    )
  }
  t.match(stderr, /^seed 42\n4 devices .*the lab stands in for the tenant's CA: 4 trusted roots and 5 SCEP URLs replaced\n/)
  t.strictSame(JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')), results)

  await t.test('and openssl accepts what it wrote', async (t) => {
    const folders = readdirSync(out, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    t.equal(folders.length, 4)
    for (const { name } of folders) {
      for (const suffix of name.startsWith('windows') ? ['', '-2'] : ['']) {
        const file = (kind: string) => join(out, name, `${kind}${suffix}.pem`)
        const untrusted = ['-untrusted', file('chain')]
        t.match(openssl('verify', '-CAfile', join(out, 'root.pem'), ...untrusted, file('cert')), ': OK', name)
        openssl('req', '-in', file('csr'), '-verify', '-noout')
        t.equal(openssl('req', '-in', file('csr'), '-noout', '-pubkey'), openssl('x509', '-in', file('cert'), '-noout', '-pubkey'))
        t.notMatch(openssl('req', '-in', file('csr'), '-noout', '-text'), /challengePassword/, 'the challenge is not in it')
      }
    }
  })

  await t.test('and the folder can be used again', async (t) => {
    const again = await command(['run', '--devices', '1', '--in-process', '--out', out])
    t.equal(again.exitCode, 0, again.stderr)
    t.equal(readdirSync(out, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length, 1)
  })
})

t.test('a scenario, for people', async (t) => {
  const folder = t.testdir({
    's.yaml': `seed: night\ndevices: { ios: 1, windows: 1 }\nprofiles: ${exampleProfiles}\nlab: { validityDays: 30 }\n`,
  })
  const out = join(folder, 'out')
  const { exitCode, stdout } = await command(['run', join(folder, 's.yaml'), '--in-process', '--out', out])
  t.equal(exitCode, 0)
  t.match(stdout, /^seed night\n2 devices \(1 ios, 1 windows\); the lab stands in/)
  t.match(stdout, /^platform +devices +roots +certificates +failed +p50 ms +p90 ms +p99 ms\nios +1 +1 +1 +0 /m)
  t.match(stdout, /^keys: 1 software, 1 tpm; why: 1 software-ready, 1 tpm-ready$/m)
  t.match(stdout, /^2 certificates in [\d.]+ s: [\d.]+ enrolments per second/m)
  const end = openssl('x509', '-in', join(out, 'ios-000001', 'cert.pem'), '-noout', '-enddate').split('=')[1] as string
  t.ok(Math.abs(Date.parse(end) - systemClock.now() - 30 * 86_400_000) < 86_400_000, end)
})

t.test('every key where the scenario says', async (t) => {
  const folder = t.testdir({
    's.yaml': `devices: { ios: 1, windows: 1 }\nprofiles: ${exampleProfiles}\nksp: passport\n`,
    'pin.yaml': `devices: { ios: 1 }\nprofiles: ${exampleProfiles}\nksp: passport\npin-file: pin.txt\n`,
    'token.yaml': 'devices: 1\nksp: pkcs11:/no/such/library.so?token=dev0\n',
    'pin.txt': '471100\n',
  })
  const run = (name: string, env = {}, typed?: string[]) => command(['run', join(folder, name), '--in-process', '--json'], env, typed)
  const chosen = { keyStorageReasons: { 'device-choice': Number } }
  const made = await run('s.yaml')
  t.match(JSON.parse(made.stdout), { outcomes: { installed: 2, failed: 0 }, keys: { passport: 2 }, ...chosen }, 'users make up their PINs')
  t.match(await run('pin.yaml'), { exitCode: 0, stderr: /^warning: pin-file .*others on this machine/m })
  t.match(await run('s.yaml', { CERTFLEET_PIN: '471100' }), { exitCode: 0 })
  const short = await run('s.yaml', { CERTFLEET_PIN: '4711' })
  t.match(JSON.parse(short.stdout), { failuresByCode: { ERR_USER_ACTION_REQUIRED: 2 }, keys: {} }, 'a PIN that no Passport takes')

  const token = { exitCode: 1, stderr: /the PKCS#11 library|pkcs11js/ }
  t.match(await run('token.yaml', { CERTFLEET_PIN: '4711' }), token, 'a token that is not there')
  t.match(
    await run('token.yaml', {}, ['4711']),
    { ...token, asked: ['PIN for the PKCS#11 token "dev0": '] },
    'asked for at the terminal, once',
  )
  const alone = await run('token.yaml')
  t.match(
    alone,
    { exitCode: 2, stderr: /no PIN for the PKCS#11 token "dev0": set CERTFLEET_PIN or name a file with pin-file/ },
    'nobody to ask',
  )
  const { io, seen, interrupt, stderr } = terminal({ typed: [] })
  const running = runCommandLine(['run', join(folder, 'token.yaml')], io)
  await seen(/PIN for/)
  interrupt()
  t.equal(await running, 130)
  t.match(stderr(), /interrupted; nothing was run/)
})

t.test('an option wins over the scenario', async (t) => {
  const folder = t.testdir({
    's.yaml': `devices: { ios: 1 }\nprofiles: ${exampleProfiles}\nkeys: fresh\nworkers: 3\nconcurrency: 7\nthresholds: [rate > 100000/s]\n`,
    'ksp.yaml': `devices: { ios: 1 }\nprofiles: ${exampleProfiles}\nksp: tpm\n`,
    pool: {},
  })
  const pool = join(folder, 'pool')
  await writePool(systemDisk, join(pool, 'primes-2048.json'), encodePool('primes', 1024, testPrimes()))
  const run = (...options: string[]) => command(['run', join(folder, 's.yaml'), '--json', ...options])
  const written = await run('--in-process')
  t.match(JSON.parse(written.stdout), { run: { keys: 'fresh', marking: null, workers: 0, concurrency: 7 }, verdict: 'failed' })
  t.equal(written.exitCode, 1, 'its thresholds are not met')

  const thresholds = ['--threshold', 'installed.count == 1', '--threshold', 'failed.rate < 1%']
  const log = join(folder, 'run.log')
  const drawn = ['--keys', 'primes', '--key-pool', pool, '--workers', '0', '--concurrency', '2', '--log', log, '--seed', '5']
  const { exitCode, stdout, stderr } = await run(...drawn, ...thresholds)
  t.equal(exitCode, 0, stderr)
  const results = JSON.parse(stdout) as Results
  t.match(results.run, { target: 'lab', keys: 'primes', marking: /insecure/, workers: 0, concurrency: 2, model: 'closed' })
  t.strictSame(
    results.thresholds.map(({ threshold, passed }) => [threshold, passed]),
    [
      ['installed.count == 1', true],
      ['failed.rate < 1%', true],
      ['invariants == 0', true],
    ],
    'in place of those of the scenario, beside the invariants',
  )

  const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as { event: string })
  t.match(events[0], { event: 'run-started', devices: 1, seed: '5', target: 'lab', workers: 0 })
  t.match(events.at(-1), { event: 'run-ended', verdict: 'passed', installed: 1, failed: 0, durationMs: results.durationMs })
  const count = (name: string) => events.filter(({ event }) => event === name).length
  t.strictSame([count('device-completed'), count('threshold'), count('invariant')], [1, 3, results.invariants.length])

  const chosen = await command(['run', join(folder, 'ksp.yaml'), '--keys', 'primes'])
  t.match(chosen, { exitCode: 2, stderr: /--keys primes: such keys are not made where the scenario's "ksp" says/ })
  const wrong = await run('--threshold', 'enrolment.p99 < 2s')
  t.match(wrong, { exitCode: 2, stderr: /--threshold.*At character 1: no metric is named "enrolment\.p99"/ })
})

t.test('what was said in place of facts is in the report', async (t) => {
  const folder = t.testdir({
    's.yaml': `devices: { android: 1 }\nprofiles: ${exampleProfiles}\nfacts: { android.pending.polls: 9, android.scep.order: cert-first }\n`,
  })
  const options = ['run', join(folder, 's.yaml'), '--in-process', '--fact', 'android.pending.polls=5']
  const { exitCode, stdout } = await command([...options, '--json'])
  t.equal(exitCode, 0)
  const said = { 'android.pending.polls': 5, 'android.scep.order': 'cert-first' }
  t.strictSame(JSON.parse(stdout).overriddenFacts, said, 'an option wins over the file')
  const foreign = await command([...options, '--fact', 'macos.scep.order=caps-first'])
  t.match(foreign, { exitCode: 2, stderr: /macos\.scep\.order is not about .*no effect; leave it out/ })
})

t.test('what fails is told with its code and what to do, and ends with 1', async (t) => {
  const tenant = `assign: all
users: [{ id: ann, upn: ann@contoso.example, email: ann@contoso.example }]
devices:
  - { id: kiosk, platform: ios, osVersion: "18.1" }
  - { id: ../ann, platform: ios, osVersion: "18.1", user: ann, serial: A1, imei: "004401001234567", deviceName: ANN }
`
  const folder = t.testdir({ 's.yaml': `tenant: t.yaml\nprofiles: ${exampleProfiles}\n`, 't.yaml': tenant })
  const out = join(folder, 'out')
  const { exitCode, stdout } = await command(['run', join(folder, 's.yaml'), '--in-process', '--out', out])
  t.equal(exitCode, 1)
  t.match(stdout, /^ERR_VARIABLE_UNRESOLVED {2}1 failed\n {2}first: kiosk, user\/.*\n {2}to be put right by the administrator/m)
  t.match(stdout, /^ios +2 +2 +1 +1 /m, 'the other device has its certificate')
  t.strictSame(readdirSync(out).sort(), ['%2e%2e%2fann', '.certfleet-run', 'junit.xml', 'report.html', 'results.json', 'root.pem'])
})

t.test('what is not for an OS, and what waits for a user, is told apart from what failed', async (t) => {
  // Profiles for work profiles, made those of a device administrator.
  const graph = (name: string) => readFileSync(join(exampleProfiles, name), 'utf8').replaceAll('androidWorkProfile', 'android')
  const windows = readFileSync(join(root, 'examples/pkcs12/graph/windows.json'), 'utf8')
  const folder = t.testdir({
    graph: { 'root.json': graph('android-work-root.json'), 'scep.json': graph('android-work-wifi-user.json'), 'windows.json': windows },
    'tenant.yaml': `assign: all
users: [{id: jane, upn: jane@contoso.example, email: jane@contoso.example}]
devices:
  - {id: old, platform: windows, osVersion: 8.1, user: jane}
  - {id: phone, platform: android, osVersion: 14, management: deviceAdministrator, userConsent: waiting, user: jane}
`,
    's.yaml': 'devices: { android: 1 }\nmanagement: { android: deviceAdministrator }\nprofiles: graph\n',
  })
  const files = ['--profiles', join(folder, 'graph'), '--tenant', join(folder, 'tenant.yaml'), '--in-process']
  const { exitCode, stdout } = await command(['run', ...files, '--json'])
  const results = JSON.parse(stdout) as RunResults
  t.equal(exitCode, 1, 'a user is waited for')
  t.match(results, { outcomes: { failed: 0, waitingForUser: 2, notApplicable: 2 }, failures: [], failuresByCode: {} })
  t.match(results.notApplicable[0], { device: 'old', platform: 'windows', profile: /PKCS #12/, factId: 'windows.pfx-applies' })
  t.match(results.waitingForUser[1], { device: 'phone', code: 'ERR_USER_ACTION_REQUIRED', message: /by hand/ })
  const said = await command(['run', join(folder, 's.yaml'), '--in-process'])
  t.match(said, { exitCode: 0, stdout: /^android +1 +1 +1 +0 /m }, 'the users that a run makes up grant everything')
})

t.test('bad input ends with 2 before anything runs', async (t) => {
  const bad = JSON.stringify({ ...JSON.parse(readFileSync(join(exampleProfiles, 'ios-wifi-user.json'), 'utf8')), keySize: 'size3000' })
  const folder = t.testdir({
    'keys.yaml': 'fleet: 3',
    'profile.yaml': 'profiles: graph',
    'tenant.yaml': 'tenant: t.yaml',
    'nobody.yaml': 'tenant: nobody-t.yaml',
    'gone.yaml': 'profiles: gone',
    't.yaml': 'devices: [{ id: a, platform: beos, osVersion: "1" }]',
    'nobody-t.yaml': 'assign: all',
    graph: { 'bad.json': bad },
    full: { 'notes.txt': '' },
  })
  const rows: [string, string[], RegExp][] = [
    ['an unknown key', ['keys.yaml'], /keys\.yaml:1:1: fleet: unknown key/],
    ['a profile', ['profile.yaml'], /bad\.json keySize: .*size3000/],
    ['a tenant', ['tenant.yaml'], /t\.yaml:1:\d+ devices\[0\]\.platform: expected one of/],
    ['a tenant of nobody', ['nobody.yaml'], /nobody-t\.yaml: names no device/],
    ['profiles that are not there', ['gone.yaml'], /gone: .*ENOENT/],
    ['a scenario that is not there', ['none.yaml'], /none\.yaml: cannot be read \(ENOENT\)/],
    ['devices beside a tenant', ['tenant.yaml', '--devices', '3'], /--devices: the scenario's tenant names its devices/],
  ]
  for (const [name, [file = '', ...options], message] of rows) {
    const outcome = await command(['run', join(folder, file), ...options, '--out', join(folder, 'out')])
    t.match(outcome, { exitCode: 2, stderr: message }, name)
    t.notMatch(outcome.stderr, /^\s+at /m, 'no stack trace')
  }
  t.notOk(readdirSync(folder).includes('out'))
  const full = await command(['run', '--devices', '1', '--in-process', '--out', join(folder, 'full')])
  t.match(full, { exitCode: 2, stderr: /full: holds files that no run made/ })
})

t.test('an interruption ends with 130 and a report of what was done', async (t) => {
  const { io, stdout, stderr, seen, interrupt } = terminal()
  const running = runCommandLine(['run', '--devices', '60', '--in-process', '--concurrency', '2', '--json'], io)
  await seen(/the lab stands in/)
  interrupt()
  t.equal(await running, 130, stderr())
  const results = JSON.parse(stdout()) as RunResults
  t.match(results, { interrupted: true, outcomes: { failed: 0 } })
  t.ok(results.devices < 60, `${results.devices} of 60`)
})

t.test('the example scenario is one', async (t) => {
  t.match(await loadScenario(join(root, 'examples', 'first-fleet.yaml')), {
    seed: 1,
    concurrency: 8,
    devices: { ios: 4, macos: 4, android: 4, windows: 4 },
  })
})

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
