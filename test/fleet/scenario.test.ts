import { join, resolve } from 'node:path'
import { fleetPlatforms, loadScenario, parseScenario, populationOf } from '@certfleet/emulator/fleet'
import t from 'tap'

t.test('a scenario is read', async (t) => {
  const rows: [string, string, unknown][] = [
    ['an empty file', '', {}],
    ['only a comment', '# nothing yet\n', {}],
    ['a seed that is a number', 'seed: 42', { seed: 42 }],
    ['a seed that is text', 'seed: night run', { seed: 'night run' }],
    ['a number of devices', 'devices: 1', { devices: 1 }],
    ['devices a platform', 'devices: { ios: 3, windows: 0 }', { devices: { ios: 3, windows: 0 } }],
    ['shares', 'devices: { total: 8, shares: { ios: 1, windows: 3 } }', { devices: { total: 8, shares: { ios: 1, windows: 3 } } }],
    ['the most devices', 'devices: 100000', { devices: 100_000 }],
    ['the legacy switches', 'legacy-des: true\nlegacy-sha1: false', { 'legacy-des': true, 'legacy-sha1': false }],
    ['a key storage', 'ksp: tpm', { ksp: { kind: 'tpm' } }],
    [
      'a token, with a file for its PIN',
      'ksp: "pkcs11:/lib/a.so?token=dev0"\npin-file: pin.txt',
      { ksp: { kind: 'pkcs11', module: '/lib/a.so', token: 'dev0', protection: 'pkcs11' }, 'pin-file': 'pin.txt' },
    ],
    [
      'facts',
      'facts: { android.pending.polls: 5, android.scep.order: cert-first, apple.pfx-applies: "off" }',
      {
        facts: new Map<string, unknown>([
          ['android.pending.polls', 5],
          ['android.scep.order', 'cert-first'],
          ['apple.pfx-applies', 'off'],
        ]),
      },
    ],
    [
      'kinds of devices',
      "devices:\n  - { platform: windows, osVersion: '10.0.19045', count: 3, hardware: no-tpm, devicesPerUser: 2, groups: [pilot] }",
      {
        devices: [{ platform: 'windows', osVersion: '10.0.19045', count: 3, hardware: 'no-tpm', devicesPerUser: 2, groups: ['pilot'] }],
      },
    ],
    [
      'arrivals, lengths and faults',
      'arrival: { stages: [{ to: 100, for: 1.5m }] }\nduration: 2h\ncheckIn: 30s\nthink: 500ms\nfaults: { delayed: 1, delay: 2s }',
      {
        arrival: { stages: [{ to: 100, for: 90_000 }] },
        duration: 7_200_000,
        checkIn: 30_000,
        think: 500,
        faults: { delayed: 1, delay: 2_000 },
      },
    ],
    ['keys on a virtual clock', 'keys: pool\nvirtual: {}', { keys: 'pool', virtual: {} }],
    ['the lab', 'concurrency: 1024\nlab:\n  validityDays: 3650', { concurrency: 1024, lab: { validityDays: 3650 } }],
  ]
  for (const [name, text, expected] of rows) t.strictSame(parseScenario(text, 's.yaml'), expected, name)
})

t.test('what cannot be used is told with line, column and path', async (t) => {
  const rows: [string, string, RegExp][] = [
    ['an unknown key', 'seed: 1\nphase: 2', /^s\.yaml:2:1: phase: unknown key/],
    ['an unknown key inside', 'lab:\n  keys: 1', /^s\.yaml:2:3: lab\.keys: unknown key/],
    ['a platform that is none', 'devices:\n  ios: 3\n  linux: 3', /^s\.yaml:3:3: devices\.linux: unknown key/],
    ['a list', '- 1', /^s\.yaml:1:1: .*expected object/],
    ['a number', '3', /^s\.yaml:1:1: .*expected object/],
    ['no device at all', 'devices: 0', /^s\.yaml:1:10: devices: .*>=1/],
    ['one device too many', 'devices: 100001', /^s\.yaml:1:10: devices: .*<=100000/],
    ['no device a platform', 'devices: { ios: 0 }', /^s\.yaml:1:10: devices: expected one platform above 0/],
    ['shares of nothing', 'devices: { total: 7, shares: {} }', /^s\.yaml:1:30: devices\.shares: expected one platform above 0/],
    ['devices in words', 'devices: many', /^s\.yaml:1:10: devices: expected a number of devices \(1 to 100000\), or a number a platform/],
    ['a seed that is neither', 'seed: [1]', /^s\.yaml:1:7: seed: expected a whole number from 0/],
    ['a seed that could steer a terminal', 'seed: "\\e[2J"', /^s\.yaml:1:7: seed: expected a whole number from 0/],
    ['a seed of 65 characters', `seed: ${'x'.repeat(65)}`, /^s\.yaml:1:7: seed: expected/],
    ['validity as text', 'lab:\n  validityDays: "30"', /^s\.yaml:2:17: lab\.validityDays: .*expected number/],
    ['a day too long', 'lab:\n  validityDays: 3651', /^s\.yaml:2:17: lab\.validityDays: .*<=3650/],
    ['a switch that is neither on nor off', 'legacy-des: maybe', /^s\.yaml:1:13: legacy-des: /],
    ['a key storage that is none', 'ksp: hsm', /^s\.yaml:1:6: ksp: an unknown key storage; expected software, tpm, passport or pkcs11:/],
    ['a token with its PIN', 'ksp: "pkcs11:/l?token=a&pin-value=4711"', /^s\.yaml:1:6: ksp: a PIN has no place in a PKCS#11 address/],
    ['a PIN', 'ksp: passport\npin: 4711', /^s\.yaml:2:1: pin: unknown key/],
    ['a PIN that nothing asks for', 'pin-file: a.txt', /^s\.yaml:1:11: pin-file: nothing asks for a PIN/],
    ['a PIN for the TPM', 'ksp: tpm\npin-file: a.txt', /^s\.yaml:2:11: pin-file: nothing asks for a PIN/],
    ['facts in a list', 'facts: [android.pending.polls]', /^s\.yaml:1:8: facts: .*expected record/],
    [
      'a fact that is none',
      'facts:\n  ios.nonsense: 1',
      /^s\.yaml:2:17: facts\.ios\.nonsense: there is no fact "ios\.nonsense"; certfleet facts/,
    ],
    ['a fact that stands', 'facts: { apple.pending.polls: 4 }', /^s\.yaml:1:31: facts\.apple\.pending\.polls: .*read in its source/],
    [
      'a fact of another kind',
      'facts: { android.pending.polls: "5" }',
      /^s\.yaml:1:33: facts\.android\.pending\.polls: .*only a whole number/,
    ],
    ['two facts', 'facts: { a.b: 1, c.d: 2 }', /facts\.a\.b: .*\n.*facts\.c\.d: /],
    ['no concurrency', 'concurrency: 0', /^s\.yaml:1:14: concurrency: .*>=1/],
    ['the same key twice', 'seed: 1\nseed: 2', /^s\.yaml:2:1: .*unique/i],
    ['an open quote', 'tenant: "a', /^s\.yaml:1:\d+: /],
    ['an alias that leads nowhere', 'seed: *s', /^s\.yaml: .*alias/],
    ['devices beside a tenant', 'tenant: a.yaml\ndevices: 3', /^s\.yaml:2:10: devices: the tenant names its devices/],
    [
      'management beside a tenant',
      'tenant: a.yaml\nmanagement: { ios: unmanaged }',
      /^s\.yaml:2:13: management: the tenant says what its devices are enrolled as/,
    ],
    ['management of another platform', 'management: { ios: knox }', /^s\.yaml:1:20: management\.ios: .*"managed"\|"unmanaged"/],
    ['a rate below nothing', 'arrival: { rate: -1 }', /^s\.yaml:1:18: arrival\.rate: .*>0/],
    ['an arrival that is none', 'arrival: {}', /^s\.yaml:1:10: arrival: expected all-at-once, or /],
    ['a duration without a unit', 'duration: 10', /^s\.yaml:1:11: duration: expected a duration such as 500ms/],
    ['a year and a day', 'duration: 366d', /^s\.yaml:1:11: duration: .*at most 365d/],
    [
      'a target of another scheme',
      'target:\n  scep:\n    url: ldap://a\n    root: r.pem',
      /^s\.yaml:3:10: target\.scep\.url: expected an http or/,
    ],
    ['a kind of no platform', 'devices:\n  - count: 3', /^s\.yaml:2:5: devices\.0\.platform: /],
    [
      'kinds without a device',
      'devices: [{ platform: ios, count: 0 }]',
      /^s\.yaml:1:10: devices: expected counts that add up to 1 to 100000/,
    ],
    [
      'too many of all kinds',
      'devices: [{ platform: ios, count: 100000 }, { platform: macos, count: 1 }]',
      /^s\.yaml:1:10: devices: expected counts that add up/,
    ],
    [
      'an OS version as a number',
      'devices: [{ platform: ios, count: 1, osVersion: 18.1 }]',
      /^s\.yaml:1:49: devices\.0\.osVersion: .*quotes/,
    ],
    [
      'hardware of a phone',
      'devices: [{ platform: ios, count: 1, hardware: no-tpm }]',
      /devices\.0\.hardware: nothing keeps keys on ios but software/,
    ],
    [
      'a mode of another platform',
      'devices: { total: 1, of: [{ platform: macos, management: knox }] }',
      /^s\.yaml:1:58: devices\.of\.0\.management: expected managed for macos/,
    ],
    ['shares of nothing in a list', 'devices: { total: 1, of: [{ platform: ios, share: 0 }] }', /devices\.of: expected one share above 0/],
    [
      'a count where shares are',
      'devices: { total: 1, of: [{ platform: ios, count: 1 }] }',
      /^s\.yaml:1:44: devices\.of\.0\.count: unknown key/,
    ],
    [
      'a metric that is none',
      'thresholds:\n  - enrolment.p99 < 2s',
      /^s\.yaml:2:5: thresholds\.0: character 1: .*did you mean enrollment\.p99\?/,
    ],
    ['check-ins of devices that leave', 'checkIn: 1m', /^s\.yaml:1:10: checkIn: only devices that stay check in/],
    ['pauses of devices that leave', 'think: 1m', /^s\.yaml:1:8: think: only devices that stay check in/],
    ['a delay of nothing', 'faults: { delay: 1s }', /^s\.yaml:1:18: faults\.delay: nothing is delayed/],
    [
      'a lab beside another target',
      'lab: {}\ntarget: { policy: { url: http://a, token-file: t } }',
      /^s\.yaml:1:6: lab: there is no embedded lab/,
    ],
    [
      'profiles beside a policy service',
      'profiles: a\ntarget: { policy: { url: http://a, token-file: t } }',
      /^s\.yaml:1:11: profiles: the policy service has its own/,
    ],
    ['keys of a pool in a TPM', 'ksp: tpm\nkeys: primes', /^s\.yaml:1:6: ksp: keys of a pool are not made/],
    ...['arrival: all-at-once', 'duration: 1h', 'faults: {}', 'thresholds: []', 'workers: 0'].map((line): [string, string, RegExp] => [
      `${line} on a virtual clock`,
      `virtual: {}\n${line}`,
      /^s\.yaml:2:\d+: \w+: has no effect on a virtual clock/,
    ]),
    ['three contradictions', 'tenant: a\ndevices: 1\nthink: 1s\nvirtual: {}', /devices: .*\n.*think: only.*\n.*think: has no effect/],
    ['two problems', 'seed: []\nconcurrency: no', /seed: .*\n.*concurrency: /],
  ]
  for (const [name, text, message] of rows) t.throws(() => parseScenario(text, 's.yaml'), { name: 'InputError', message }, name)
  t.throws(() => parseScenario('ksp: "4711"', 's.yaml'), { message: /^((?!4711).)*$/ }, 'a PIN in the wrong place is not repeated')
})

t.test('aliases cannot multiply without end', async (t) => {
  const levels = ['a: &a [1,1,1,1,1,1,1,1,1]', ...['b', 'c', 'd'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abc'[i]}`)}]`)]
  t.throws(() => parseScenario(levels.join('\n'), 's.yaml'), { name: 'InputError', message: /alias/ })
})

t.test('loadScenario', async (t) => {
  const folder = t.testdir({
    'a.yaml': 'profiles: graph\ntenant: ../t.yaml',
    'scep.yaml': 'target: { scep: { url: http://a, root: r.pem, ca: ca.pem, challenge: { file: c.txt } } }',
    'admin.yaml':
      'target: { scep: { url: http://a, root: r.pem, ca: ca.pem, challenge: { mscepAdmin: http://a/admin, user: u, password-file: p.txt } } }',
    'policy.yaml': 'target: { policy: { url: http://a, token-file: t.txt } }',
    'b.yaml': 'ksp: passport\npin-file: pin.txt',
    'big.yaml': `# ${'x'.repeat(1_048_576)}`,
  })
  t.strictSame(
    await loadScenario(join(folder, 'a.yaml')),
    { profiles: join(folder, 'graph'), tenant: resolve(folder, '../t.yaml') },
    'takes paths from the place of the file',
  )
  const scep = (challenge: object) => ({
    target: { scep: { url: 'http://a', root: join(folder, 'r.pem'), ca: join(folder, 'ca.pem'), challenge } },
  })
  t.strictSame(await loadScenario(join(folder, 'scep.yaml')), scep({ file: join(folder, 'c.txt') }))
  t.strictSame(
    await loadScenario(join(folder, 'admin.yaml')),
    scep({ mscepAdmin: 'http://a/admin', user: 'u', 'password-file': join(folder, 'p.txt') }),
  )
  t.strictSame(await loadScenario(join(folder, 'policy.yaml')), {
    target: { policy: { url: 'http://a', 'token-file': join(folder, 't.txt') } },
  })
  t.match(await loadScenario(join(folder, 'b.yaml')), { 'pin-file': join(folder, 'pin.txt') })
  await t.rejects(loadScenario(join(folder, 'none.yaml')), { name: 'InputError', message: /none\.yaml: cannot be read \(ENOENT\)/ })
  await t.rejects(loadScenario(join(folder, 'big.yaml')), { name: 'InputError', message: /expected at most 1048576/ })
})

t.test('populationOf', async (t) => {
  const rows: [string, Parameters<typeof populationOf>[0], number[]][] = [
    ['shares a number evenly', 200, [50, 50, 50, 50]],
    ['gives what is left over to the earlier platforms', 6, [2, 2, 1, 1]],
    ['one device', 1, [1, 0, 0, 0]],
    ['takes counts as they are', { macos: 2, android: 1 }, [0, 2, 1, 0]],
    ['apportions by share', { total: 7, shares: { windows: 3, ios: 1 } }, [2, 0, 0, 5]],
    ['keeps the total with shares that do not divide', { total: 10, shares: { ios: 1, macos: 1, android: 1 } }, [4, 3, 3, 0]],
    ['takes fractions', { total: 4, shares: { ios: 0.25, android: 0.75 } }, [1, 0, 3, 0]],
  ]
  for (const [name, devices, counts] of rows) {
    const kinds = fleetPlatforms.map((platform, i) => ({ platform, count: counts[i] })).filter(({ count }) => count !== 0)
    t.strictSame(populationOf(devices), kinds, name)
  }
  const tablets = { platform: 'ios', osVersion: '17.0' } as const
  const phones = { platform: 'ios', devicesPerUser: 2 } as const
  t.strictSame(
    populationOf([
      { ...tablets, count: 2 },
      { ...phones, count: 0 },
    ]),
    [{ ...tablets, count: 2 }],
    'leaves out kinds without a device',
  )
  t.strictSame(
    populationOf({ total: 5, of: [tablets, { ...phones, share: 3 }] }),
    [
      { ...tablets, count: 1 },
      { ...phones, count: 4 },
    ],
    'apportions by the shares of kinds, 1 where none is given',
  )
})
