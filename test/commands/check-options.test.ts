import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommandLine } from '@certfleet/emulator/commands'
import t from 'tap'
import { bindTo, scep, trustedRoot } from '../tenant/graph.ts'
import { exampleExport, exampleProfiles } from './example.ts'
import { scepLab } from './scep-lab.ts'
import { command, terminal } from './terminal.ts'

const tenant = join(exampleExport, 'tenant.yaml')
const withTenant = ['check', exampleExport, '--tenant', tenant]

t.test('--explain walks one profile on one device', async (t) => {
  const walk = [...withTenant, '--explain', 'iOS Wi-Fi user', '--device', 'ios-jane']
  t.match(await command(walk), {
    exitCode: 0,
    stderr: '',
    stdout: /^"iOS Wi-Fi user" on ios-jane\n {2}\+ assigned: .*\n[\s\S]*subject: CN=jane,/,
  })
  const { stdout } = await command([...walk, '--json'])
  t.match(JSON.parse(stdout), {
    profile: 'iOS Wi-Fi user',
    device: 'ios-jane',
    steps: [{ title: 'assigned', outcome: 'goes-on', source: String }],
  })
  t.match(await command([...withTenant, '--explain', 'none', '--device', 'ios-jane']), { exitCode: 2, stderr: /none/ })
})

t.test('--device tells what that device sends, and nothing of others', async (t) => {
  const { stdout, exitCode } = await command([...withTenant, '--device', 'ios-jane'])
  t.equal(exitCode, 0)
  t.match(stdout, /^info {2}ios-jane: .*subject CN=jane,.* \[names-sent/m)
  t.notMatch(stdout, 'omar')
  const { stdout: whole } = await command(withTenant)
  t.notMatch(whole, '[names-sent')
  t.match(whole, /^names {2}what \d+ requests say exactly/m)
})

t.test('--platform leaves the others out', async (t) => {
  const { findings } = JSON.parse((await command([...withTenant, '--platform', 'android', '--json'])).stdout)
  const profiles = findings.map(({ profile }: { profile?: string }) => profile)
  t.ok(profiles.length > 0)
  t.strictSame([...new Set(profiles)], ['Android work profile Wi-Fi user'])
})

t.test('an export of nothing is told as that', async (t) => {
  const folder = t.testdir({ 'x.json': '{"value":[]}' })
  t.match(await command(['check', folder]), { exitCode: 0, stdout: /^nothing of it is a certificate profile; .*\n0 profiles/ })
})

t.test('--diff tells what an edit does', async (t) => {
  const profile = JSON.parse(readFileSync(join(exampleProfiles, 'ios-wifi-user.json'), 'utf8'))
  const [before, after] = ['2048', '4096'].map((bits) =>
    t.testdir({ old: { 'p.json': JSON.stringify(profile) }, new: { 'p.json': JSON.stringify({ ...profile, keySize: `size${bits}` }) } }),
  ) as [string, string]
  const { exitCode, stdout } = await command(['check', '--diff', join(before, 'old'), join(after, 'new'), '--json'])
  t.equal(exitCode, 0)
  t.match(JSON.parse(stdout), { errors: 0, findings: [{ id: 'edit-reissues' }, { id: 'edit-revokes' }] })
  t.match(await command(['check', exampleExport, '--diff', exampleProfiles]), { exitCode: 0, stdout: /"Windows VPN device": it is new/ })
})

t.test('--emulate confirms, and --html writes a page of it', async (t) => {
  const page = join(t.testdir(), 'check.html')
  const outcome = await command([...withTenant, '--emulate', '--html', page])
  t.match(outcome, { exitCode: 0, stdout: /^9 devices emulated, 0 disagreements\n/m, stderr: 'emulated 9 of 9 devices\n' })
  t.match(readFileSync(page, 'utf8'), /^<!doctype html>[\s\S]*iOS Wi-Fi user[\s\S]*<\/html>\s*$/i)
  t.match(await command([...withTenant, '--html', join(page, 'none')]), { exitCode: 2, stderr: /--html .*: cannot be written \(ENOTDIR\)/ })
})

t.test('--emulate is interrupted', async (t) => {
  const { io, stdout, stderr } = terminal()
  const onInterrupt = (listener: () => void) => {
    listener()
    return () => {}
  }
  const ended = runCommandLine([...withTenant, '--emulate'], { ...io, onInterrupt })
  t.equal(await ended, 130)
  t.equal(stdout(), '')
  t.match(stderr(), 'interrupted')
})

t.test('--probe asks the SCEP server that is named, over HTTP', async (t) => {
  const { lab, url, requests } = await scepLab(t)
  const root = (der: Uint8Array, id: string) => trustedRoot({ id, trustedRootCertificate: Buffer.from(der).toString('base64') })
  const profile = (id: string, rootId: string) =>
    scep({ id, displayName: id, scepServerUrls: [url], 'rootCertificate@odata.bind': bindTo(rootId) })
  const folder = t.testdir({
    good: { 'x.json': JSON.stringify([root(lab.rootCertificate, 'own'), profile('fits', 'own')]) },
    bad: { 'x.json': JSON.stringify([trustedRoot({ id: 'other' }), profile('does-not', 'other')]) },
  })
  t.match(await command(['check', join(folder, 'good'), '--probe', '--json']), { exitCode: 0 })
  const { exitCode, stdout } = await command(['check', join(folder, 'bad'), '--probe', '--json'])
  t.equal(exitCode, 1)
  const found = JSON.parse(stdout).findings.filter(({ id }: { id: string }) => id.startsWith('server-'))
  t.match(found, [{ id: 'server-other-root', severity: 'error', profile: 'does-not' }])
  t.strictSame(
    new Set(requests.map(({ method, url }) => `${method} ${url.replace(/.*(\?operation=\w+).*/, '$1')}`)),
    new Set(['GET ?operation=GetCACert']),
  )
})

for (const [name, options, message] of [
  ['no export', [], /expected the path of an export; --how-to-export/],
  ['--explain without a device', ['x', '--explain', 'y'], /give it with --device/],
  ['--explain and --diff', ['x', '--explain', 'y', '--device', 'd', '--diff', 'z'], /give one of them/],
  ['--diff and --emulate', ['x', '--diff', 'z', '--emulate'], /--emulate has no effect with --diff/],
  ['--device without a tenant', ['x', '--device', 'd'], /give that with --tenant/],
  ['--emulate without a tenant', ['x', '--emulate'], /give that with --tenant/],
  ['a device that is not there', ['x', '--tenant', tenant, '--device', 'd'], /no device has the id "d"/],
  ['a device of another platform', ['x', '--tenant', tenant, '--device', 'ios-jane', '--platform', 'macos'], /is a device of ios/],
  ['a platform that is none', ['x', '--platform', 'beos'], /beos/],
] as const) {
  t.test(`refused: ${name}`, async (t) => {
    t.match(await command(['check', ...options]), { exitCode: 2, stdout: '', stderr: message })
  })
}
