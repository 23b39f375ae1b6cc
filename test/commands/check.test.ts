import { readFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { exampleProfiles } from './example.ts'
import { command } from './terminal.ts'

t.test('an export in order', async (t) => {
  const { exitCode, stdout, stderr } = await command(['check', exampleProfiles, '--json'])
  t.equal(exitCode, 0)
  t.equal(stderr, '')
  const told = JSON.parse(stdout)
  t.match(told, { errors: 0 })
  t.match(
    told.profiles.find(({ kind }: { kind: string }) => kind === 'scep'),
    { id: String, displayName: String, platform: String, file: /\.json$/ },
  )
  t.match(await command(['check', exampleProfiles]), { exitCode: 0, stdout: /\d+ profiles, \d+ findings, 0 errors\n$/ })
})

t.test('a profile that cannot work ends with 1, a file that cannot be read with 2', async (t) => {
  const scep = JSON.parse(readFileSync(join(exampleProfiles, 'ios-wifi-user.json'), 'utf8'))
  const invalid = JSON.stringify({ ...scep, displayName: 'bad\u001b[2J', keySize: 'size3000' })
  const folder = t.testdir({ 'a.json': invalid, 'b.json': '{', alone: { 'a.json': invalid }, links: { 'links.json': '{"link": []}' } })
  t.match(await command(['check', join(folder, 'alone')]), { exitCode: 1 })
  t.match(await command(['check', join(folder, 'links')]), {
    exitCode: 2,
    stdout: /^error {2}links\.json links: .*\[links-file-invalid\]$/m,
  })
  const { exitCode, stdout, stderr } = await command(['check', folder, '--json'])
  t.equal(exitCode, 2)
  t.equal(stderr, '')
  const { findings, errors } = JSON.parse(stdout)
  t.equal(errors, findings.filter(({ severity }: { severity: string }) => severity === 'error').length)
  t.ok(findings.some((finding: object) => matches(finding, { id: 'profile-invalid', severity: 'error', file: 'a.json', path: 'keySize' })))
  t.ok(
    findings.some((finding: object) => matches(finding, { id: 'file-malformed', severity: 'error', file: 'b.json' })),
    'both are told',
  )
  const text = await command(['check', folder])
  t.match(text, { exitCode: 2, stdout: /^error {2}a\.json keySize: .*\[profile-invalid\]$/m })
  t.notMatch(text.stdout, '\u001b', 'nothing in it steers a terminal')
})

t.test('with a tenant, what a device would not get', async (t) => {
  const folder = t.testdir({
    'tenant.yaml': 'assign: all\ndevices:\n  - { id: kiosk, platform: ios, osVersion: "18.1" }\n',
    'bad.yaml': 'users: 3\n',
  })
  const { exitCode, stdout } = await command(['check', exampleProfiles, '--tenant', join(folder, 'tenant.yaml'), '--json'])
  t.equal(exitCode, 1)
  const failed = JSON.parse(stdout).findings.filter(({ id }: { id: string }) => id === 'variable-unresolved')
  t.match(
    failed,
    [{ device: 'kiosk', severity: 'error', profile: String, file: /ios/, message: /\{\{/ }],
    'a device without a user has no user variables',
  )
  t.match(await command(['check', exampleProfiles, '--tenant', join(folder, 'bad.yaml')]), {
    exitCode: 2,
    stderr: /bad\.yaml:1:8 users: expected a list/,
  })
})

t.test('a path that cannot be read ends with 2', async (t) => {
  const folder = t.testdir({})
  t.match(await command(['check', devNull]), { exitCode: 2, stdout: '', stderr: /: expected a regular file\n$/ })
  const asJson = await command(['check', devNull, '--json'])
  t.equal(asJson.exitCode, 2)
  t.match(JSON.parse(asJson.stdout), { error: { message: /: expected a regular file$/ } })
  t.match(await command(['check', join(folder, 'none')]), { exitCode: 2, stdout: '', stderr: /none: .*ENOENT/ })
  t.match(await command(['check', folder]), { exitCode: 2, stderr: /found none/ })
})

function matches(finding: object, expected: Record<string, string>): boolean {
  return Object.entries(expected).every(([name, value]) => Reflect.get(finding, name) === value)
}
