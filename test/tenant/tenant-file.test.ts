import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError } from '@certfleet/agent-core'
import t from 'tap'
import { parseTenant } from '#emulator/tenant/index.ts'
import { root } from '../tooling/root.ts'

function parse(yaml: string) {
  return parseTenant(Buffer.from(yaml), 'tenant.yaml')
}

const whole = `
users:
  - {id: jane, upn: jane@contoso.example, sid: S-1-5-21-1-2-3-1104}
devices:
  - {id: d1, platform: ios, osVersion: 17.10, user: jane, imei: 004401001234567}
  - {id: d2, platform: windows, osVersion: 10, hardware: tpm-1.2}
groups:
  - {id: g1, name: Staff, users: [jane], devices: [d1]}
assignments:
  - {profile: Root, groups: [Staff], excludeGroups: [g1]}
  - {profile: Scep, intent: remove, allDevices: true, allUsers: false}
assign: all
multiFactor: [Scep]
`

t.test('a tenant file is read, every scalar as the text it was written as', async (t) => {
  const tenant = parse(whole)
  t.same(tenant.users.get('jane'), { id: 'jane', upn: 'jane@contoso.example', userName: 'jane', sid: 'S-1-5-21-1-2-3-1104' })
  t.match(tenant.devices.get('d1'), { osVersion: '17.10', imei: '004401001234567', user: 'jane' })
  t.match(tenant.devices.get('d2'), { osVersion: '10', hardware: 'tpm-1.2' })
  t.same([...(tenant.groups.get('g1')?.users ?? [])], ['jane'])
  t.match(tenant.assignments, [
    {
      profile: 'Root',
      intent: 'apply',
      path: 'assignments[0]',
      targets: [
        { kind: 'group', group: 'Staff' },
        { kind: 'exclusionGroup', group: 'g1' },
      ],
    },
    { profile: 'Scep', intent: 'remove', targets: [{ kind: 'allDevices' }] },
  ])
  t.equal(tenant.assign, 'all')
  t.same(tenant.multiFactor, ['Scep'])
})

const beyondDevices = `
users: [{id: jane, upn: jane@contoso.example}, {id: omar, upn: omar@contoso.example}]
authorities:
  - {scepUrls: ['https://ndes.contoso.example/scep'], validity: 1 year, expires: 2031-01-31, extendedKeyUsages: [1.3.6.1.5.5.7.3.2]}
  - {template: User, validity: 18 months}
importedPfx: [{user: jane, purposes: [smimeSigning, vpn]}]
checkInHours: 1.5
`

t.test('what is known of CAs, imported PFX and check-ins is read', async (t) => {
  const tenant = parse(beyondDevices)
  t.same(tenant.authorities, [
    {
      scepUrls: ['https://ndes.contoso.example/scep'],
      validity: { value: 1, scale: 'years' },
      expiresAt: Date.UTC(2031, 0, 31),
      extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
      path: 'authorities[0]',
    },
    { scepUrls: [], templateName: 'User', validity: { value: 18, scale: 'months' }, path: 'authorities[1]' },
  ])
  t.same([...(tenant.importedPfx ?? [])], [['jane', new Set(['smimeSigning', 'vpn'])]], 'who is not named has none')
  t.equal(tenant.checkInMs, 5_400_000)
  t.equal(parse('checkInHours: 0.1').checkInMs, 360_000)
  t.equal(parse('checkInHours: 8760').checkInMs, 8_760 * 3_600_000)
  t.same(parse('importedPfx: []').importedPfx, new Map(), 'known: nobody has one')
  t.notOk('importedPfx' in parse(whole) || 'authorities' in parse(whole) || 'checkInMs' in parse(whole), 'not known')
})

t.test('the tenant file of docs/check.md is one, and has every member', async (t) => {
  const page = readFileSync(join(root, 'docs/check.md'), 'utf8')
  const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(page) ?? []
  const tenant = parse(yaml)
  for (const [member, value] of Object.entries(tenant))
    t.ok(typeof value !== 'object' || [...Object.values(value)].length + (value.size ?? 0) > 0, member)
  for (const member of ['multiFactor', 'authorities', 'importedPfx', 'checkInMs'] as const) t.ok(tenant[member] !== undefined, member)
})

t.test('an empty file is an empty tenant', async (t) => {
  for (const text of ['', '# nothing', '{}']) t.equal(parse(text).devices.size, 0, JSON.stringify(text))
})

t.test('an error names file, line, column, path and what was expected', async (t) => {
  const device = (more: string) => `devices:\n  - id: d1\n    platform: ios\n    osVersion: 17.1\n${more}`
  const rows: [string, string, RegExp][] = [
    [
      'a platform that is none',
      'devices:\n  - id: d1\n    osVersion: 1\n    platform: amiga\n',
      /^tenant\.yaml:4:15 devices\[0\]\.platform: expected one of ios, macos, android, windows$/,
    ],
    ['no OS version', 'devices:\n  - id: d1\n    platform: ios\n', /^tenant\.yaml:2:5 devices\[0\]\.osVersion: expected text$/],
    [
      'an OS version in words',
      'devices: [{id: d, platform: ios, osVersion: seventeen}]',
      /1:45 devices\[0\]\.osVersion: expected dotted numbers$/,
    ],
    ['a misspelt member', device('    serail: X\n'), /^tenant\.yaml:2:5 devices\[0\]: no such member: serail$/],
    [
      'hardware of a phone',
      'devices: [{id: d, platform: ios, osVersion: 17, hardware: no-tpm}]',
      /1:59 devices\[0\]\.hardware: expected none for ios/,
    ],
    [
      'unknown hardware',
      'devices: [{id: d, platform: windows, osVersion: 10, hardware: tpm}]',
      /hardware: expected one of tpm-2\.0, tpm-1\.2, no-tpm$/,
    ],
    [
      'a management mode of another platform',
      'devices: [{id: d, platform: ios, osVersion: 17, management: knox}]',
      /1:61 devices\[0\]\.management: expected one of managed, unmanaged for ios$/,
    ],
    [
      'an answer that is none',
      'devices: [{id: d, platform: ios, osVersion: 17, userConsent: perhaps}]',
      /userConsent: expected granted, refused or waiting$/,
    ],
    ['a management mode that is none', device('    management: byod\n'), /5:17 devices\[0\]\.management: expected one of/],
    [
      'a user that is not there',
      device('    user: joe\n'),
      /^tenant\.yaml:5:11 devices\[0\]\.user: expected the id of a user of this file, found "joe"$/,
    ],
    ['an id twice', device('  - id: d1\n    platform: ios\n    osVersion: 1\n'), /5:9 devices\[1\]\.id: the id "d1" is taken$/],
    ['a key twice', device('    id: d2\n'), /^tenant\.yaml:5:5: not YAML: map keys must be unique$/],
    ['no YAML', 'users: [', /^tenant\.yaml:1:9: not YAML: /],
    ['a list where members are expected', '[1]', /^tenant\.yaml:1:1: expected members, name: value$/],
    ['text where a list is expected', 'users: jane', /1:8 users: expected a list$/],
    ['an empty id', 'users: [{id: "", upn: a@b}]', /users\[0\]\.id: expected a value$/],
    ['a UPN without domain', 'users: [{id: a, upn: jane}]', /users\[0\]\.upn: expected name@domain$/],
    ['a SID that is none', 'users: [{id: a, upn: a@b, sid: X-1}]', /users\[0\]\.sid: expected a security identifier/],
    ['a group of nobody known', 'groups: [{id: g, users: [joe]}]', /1:26 groups\[0\]\.users\[0\]: expected the id of a user/],
    [
      'an assignment to an unknown group',
      'assignments: [{profile: Root, groups: [g]}]',
      /assignments\[0\]\.groups\[0\]: expected the id of a group/,
    ],
    ['an assignment to nobody', 'assignments: [{profile: Root}]', /assignments\[0\]: expected groups, allDevices or allUsers$/],
    ['a flag that is none', 'assignments: [{profile: Root, allDevices: yes}]', /allDevices: expected true or false$/],
    ['an assign that is none', 'assign: some', /^tenant\.yaml:1:9 assign: expected all$/],
    ['an authority that nothing names', 'authorities: [{validity: 1 year}]', /1:15 authorities\[0\]: expected scepUrls or template$/],
    ['an authority of no URL', 'authorities: [{scepUrls: []}]', /authorities\[0\]: expected scepUrls or template$/],
    ['an authority at no URL', 'authorities: [{scepUrls: [ndes]}]', /1:27 authorities\[0\]\.scepUrls\[0\]: expected an http or https URL$/],
    [
      'a lifetime of none',
      'authorities: [{template: T, validity: 0 days}]',
      /validity: expected a number of days, months or years, as 12 months$/,
    ],
    [
      'a lifetime in weeks',
      'authorities: [{template: T, validity: 2 weeks}]',
      /1:39 authorities\[0\]\.validity: expected a number of days/,
    ],
    ['a day that is none', 'authorities: [{template: T, expires: 2031-02-29}]', /expires: expected a day, as 2031-01-31$/],
    ['a usage by name', 'authorities: [{template: T, extendedKeyUsages: [clientAuth]}]', /extendedKeyUsages\[0\]: expected a dotted OID$/],
    ['a misspelt member of an authority', 'authorities: [{template: T, ekus: []}]', /authorities\[0\]: no such member: ekus$/],
    [
      'a PFX for nobody known',
      'importedPfx: [{user: joe, purposes: [vpn]}]',
      /1:22 importedPfx\[0\]\.user: expected the id of a user of this file, found "joe"$/,
    ],
    ['a PFX for an unknown purpose', 'importedPfx: [{user: joe, purposes: [mail]}]', /purposes\[0\]: expected one of smimeEncryption, /],
    ['a PFX for no purpose', 'importedPfx: [{user: joe, purposes: []}]', /importedPfx\[0\]\.purposes: expected a purpose$/],
    [
      'a user with PFX twice',
      'users: [{id: a, upn: a@b}]\nimportedPfx: [{user: a, purposes: [vpn]}, {user: a, purposes: [wifi]}]',
      /2:50 importedPfx\[1\]\.user: the user "a" was named before; put all purposes into one list$/,
    ],
    ['hours in words', 'checkInHours: eight', /^tenant\.yaml:1:15 checkInHours: expected a number of hours$/],
    ['too few hours', 'checkInHours: 0.099', /checkInHours: expected 0\.1 to 8760 hours$/],
    ['too many hours', 'checkInHours: 8760.1', /checkInHours: expected 0\.1 to 8760 hours$/],
    ['an id with a line break', 'devices: [{id: "a\\nb", platform: ios, osVersion: 1}]', /devices\[0\]\.id: expected 1 to 200 characters/],
  ]
  for (const [name, yaml, message] of rows) {
    t.throws(() => parse(yaml), { name: 'AgentError', code: 'ERR_POLICY_INVALID', message }, name)
  }
  t.throws(() => parse('users: [{id: 1}, {id: 2}]'), { message: /upn.*\n.*upn/s }, 'every problem at once')
})

t.test('hostile files are errors and nothing else', async (t) => {
  const rows: [string, string][] = [
    ['nested without end', `users: ${'['.repeat(100_000)}`],
    ['aliases', `users: &a [${'*a, '.repeat(50)}]`],
    ['aliases of aliases', 'a: &a [x, x]\nb: &b [*a, *a]\nusers: [*b, *b]'],
    ['a tag', 'users: !!js/function "x"'],
    ['a prototype', '__proto__: {assign: all}'],
    ['two documents', 'assign: all\n---\nassign: all'],
  ]
  for (const [name, yaml] of rows) {
    try {
      parse(yaml)
      t.fail(`${name} was accepted`)
    } catch (error) {
      t.ok(error instanceof AgentError, `${name}: ${error}`.slice(0, 200))
    }
  }
  t.equal(({} as Record<string, unknown>).assign, undefined)
  const octets = Buffer.from([0x61, 0xff, 0xff])
  t.throws(() => parseTenant(octets, 'tenant.yaml'), { code: 'ERR_POLICY_INVALID', message: 'tenant.yaml: not UTF-8 text' })
})
