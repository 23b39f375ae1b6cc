import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadScenario } from '@certfleet/emulator/fleet'
import t from 'tap'
import { root } from '../tooling/root.ts'
import { command } from './terminal.ts'

const keys = ['--keys', 'fresh']

t.test('a fleet on a virtual clock', async (t) => {
  const folder = t.testdir({
    's.yaml': 'devices: { android: 1 }\nseed: 3\nlab: { validityDays: 5 }\nvirtual: { days: 6, faults: false, startOverHours: 0 }\n',
  })
  const trace = join(folder, 'trace.txt')
  const { exitCode, stdout, stderr } = await command(['run', join(folder, 's.yaml'), ...keys, '--trace', trace, '--replay', '--json'])
  t.equal(exitCode, 0, stderr)
  t.match(stderr, /^seed 3\n/)
  const results = JSON.parse(stdout) as Record<string, unknown>
  t.match(results, {
    virtual: true,
    seed: 3,
    days: 6,
    devices: 1,
    converged: 1,
    certificatesIssued: 2,
    renewals: 1,
    crashes: 0,
    faults: {},
  })
  t.match(results.firstWave, { peakToMean: 100 })
  t.equal((results.invariants as { violations: unknown[] }[]).filter(({ violations }) => violations.length === 0).length, 9)
  t.notOk('authority' in results, 'the keys of the CA are nobody’s')
  t.match(
    readFileSync(trace, 'utf8'),
    /^0d 00:00:00\.\d{3} android-000001 install-root RootMissing done\n.*enroll user\/.* IdentityMissing done\n/,
  )

  const said = ['--fact', 'android.pending.polls=5']
  const { stdout: text } = await command(['run', join(folder, 's.yaml'), ...keys, ...said, '--days', '1'])
  t.match(text, /^seed 3\n\n1 days of 1 devices in .*: 1 certificates, 0 renewals, 0 crashes\n/)
  t.match(text, /^not what the platform does: android\.pending\.polls is 5, and 3 by its source$/m)
  t.match(text, /held +I8 with the faults gone every device gets there/)
})

t.test('what it refuses', async (t) => {
  const rows = [
    { given: 'virtual: { days: 0 }', says: 's.yaml:1:18: virtual.days:' },
    { given: 'virtual: { events: [{ kind: ca-down, day: 1 }] }', says: 'virtual.events.0.days' },
    { given: 'virtual: { events: [{ kind: flood, day: 1 }] }', says: 'virtual.events.0.kind' },
    { given: 'virtual: { events: [{ kind: edit, day: 1, share: 2 }] }', says: 'virtual.events.0.share' },
  ]
  for (const { given, says } of rows) {
    const { exitCode, stderr } = await command(['run', join(t.testdir({ 's.yaml': `${given}\n` }), 's.yaml')])
    t.equal(exitCode, 2, given)
    t.match(stderr, says, given)
  }
  const useless = [
    { given: ['--virtual', '--out', 'x'], says: '--out: has no effect on a virtual clock' },
    { given: ['--virtual', '--in-process'], says: '--in-process: has no effect on a virtual clock' },
    { given: ['--days', '3'], says: '--days: has no effect without --virtual' },
    { given: ['--key-pool', 'x'], says: '--key-pool: has no effect on fresh keys' },
    { given: ['--virtual', '--keys', 'fresh', '--key-pool', 'x'], says: '--key-pool: has no effect on fresh keys' },
    { given: ['--virtual', '--workers', '2'], says: '--workers: has no effect on a virtual clock' },
    { given: ['--virtual', '--threshold', 'invariants == 0'], says: '--threshold: has no effect on a virtual clock' },
    { given: ['--virtual', '--state', 'x'], says: '--state: has no effect on a virtual clock' },
    { given: ['--virtual', '--log-level', 'warn'], says: '--log-level: has no effect on a virtual clock' },
  ]
  for (const { given, says } of useless) {
    const { exitCode, stderr } = await command(['run', ...given])
    t.equal(exitCode, 2, given.join(' '))
    t.match(stderr, says)
  }
  const { exitCode, stderr } = await command([
    'run',
    '--virtual',
    '--days',
    '1',
    ...keys,
    '--trace',
    join(t.testdir(), 'none', 'trace.txt'),
  ])
  t.equal(exitCode, 2)
  t.match(stderr, 'cannot be written (ENOENT)')
})

t.test('the named scenarios are read', async (t) => {
  const folder = join(root, 'examples/virtual')
  const files = readdirSync(folder)
  t.equal(files.length, 7)
  for (const file of files) t.ok((await loadScenario(join(folder, file))).virtual, file)
})
