import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CheckResult } from '@certfleet/platforms/conformance'
import t from 'tap'
import { isConformant, renderConformance } from '#emulator/report/conformance.ts'
import { junitXml } from '#emulator/report/junit.ts'
import { command } from '../commands/terminal.ts'

t.setTimeout(240_000)

t.test('certfleet conformance --json: every check passes on the lab, or has no place on its platform', async (t) => {
  const junit = join(t.testdir(), 'conformance.xml')
  const { exitCode, stdout, stderr } = await command(['conformance', '--json', '--seed', '7', '--junit', junit])
  t.equal(exitCode, 0)
  t.match(stderr, /^seed 7; keys: key pool \(insecure, emulation only\)\n/)
  const { checks, ...rest } = JSON.parse(stdout)
  t.same(rest, {}, 'nothing but checks')
  for (const check of checks) {
    t.same(Object.keys(check), ['id', 'platform', 'status', 'reason', 'source'])
    if (check.status !== 'passed') t.match(check, { status: 'skipped', reason: /has no hash setting/ }, check.id)
  }
  t.same([...new Set(checks.map(({ platform }: { platform: string }) => platform))].sort(), ['android', 'ios', 'macos', 'windows'])
  const xml = readFileSync(junit, 'utf8')
  t.equal(xml.split('<testcase ').length - 1, checks.length)
  t.match(xml, /<testsuites name="certfleet conformance" tests="\d+" failures="0" skipped="6">/)
})

t.test('--platform and --check choose', async (t) => {
  const { exitCode, stdout } = await command([
    'conformance',
    '--platform',
    'ios',
    'windows',
    '--check',
    'wire.order',
    'keys.passport.too-old@windows-8.1',
    '--json',
  ])
  t.equal(exitCode, 0)
  t.same(
    JSON.parse(stdout).checks.map(({ id, platform }: { id: string; platform: string }) => `${platform} ${id}`),
    ['ios wire.order', 'windows wire.order', 'windows keys.passport.too-old@windows-8.1'],
  )
})

t.test('without --json there is a table by platform at the end', async (t) => {
  const { exitCode, stdout } = await command(['conformance', '--check', 'wire.order', 'matrix.hash.sha1'])
  t.equal(exitCode, 0)
  t.match(stdout, /\nplatform {2}checks {2}passed {2}failed {2}skipped\n/)
  t.match(stdout, /\nios {12}2 {7}1 {7}0 {8}1\n/)
  t.match(
    stdout,
    /\nskipped: the SCEP payload has no hash setting, and the matrix has N\/A here\n {2}ios matrix.hash.sha1, macos matrix.hash.sha1\n/,
  )
})

t.test('a check that failed is told with its reason and its source, and is the verdict', async (t) => {
  const passed: CheckResult = { id: 'wire.order', platform: 'ios', status: 'passed', reason: '', source: 'ID-NDES iOS log' }
  const failed: CheckResult = { ...passed, platform: 'macos', status: 'failed', reason: 'calls: expected 1, got 2' }
  t.ok(isConformant([passed, { ...passed, status: 'skipped' }]))
  t.notOk(isConformant([passed, failed]))
  const lines = renderConformance([passed, failed]).split('\n')
  t.same(lines.slice(-4), ['', 'failed  macos  wire.order', '  calls: expected 1, got 2', '  ID-NDES iOS log'])
})

t.test('--list runs nothing', async (t) => {
  const { exitCode, stdout, stderr } = await command(['conformance', '--list', '--check', 'wire.order', '--json'])
  t.equal(exitCode, 0)
  t.equal(stderr, '')
  t.match(JSON.parse(stdout).checks[0], { id: 'wire.order', platform: 'ios', given: /./, expect: /./, source: /ID-NDES/ })
  t.match((await command(['conformance', '--list'])).stdout, /^ios {2}trust\.root-not-assigned\n {2}given {3}a SCEP profile/)
})

const bad: readonly (readonly [name: string, argv: readonly string[], message: RegExp])[] = [
  ['a platform that is none', ['--platform', 'symbian'], /Allowed choices are ios, macos, android, windows/],
  ['a check that is none', ['--check', 'wire.color'], /--check wire\.color: there is no such check; .*--list/],
  ['a check of another platform', ['--platform', 'ios', '--check', 'keys.passport'], /no such check on ios/],
  [
    'a file in no folder',
    ['--check', 'wire.order', '--junit', '/nowhere/at/all.xml'],
    /--junit \/nowhere\/at\/all\.xml: cannot be written \(ENOENT\)/,
  ],
]
for (const [name, argv, message] of bad)
  t.test(`${name} is bad input`, async (t) => {
    const { exitCode, stderr, stdout } = await command(['conformance', ...argv])
    t.equal(exitCode, 2)
    t.match(stderr, message)
    t.equal(stdout, '')
  })

t.test('JUnit: what would break XML is escaped, and reads back', { skip: !existsSync('/usr/bin/xmllint') && 'no xmllint' }, async (t) => {
  const reason = 'expected "<a>" & \'b\'\n\tgot \u0000\ud800\uffff ]]>'
  const xml = junitXml('a & b', [
    { suite: 'ios', name: 'one<', status: 'failed', reason, source: 'SEED & more' },
    { suite: 'ios', name: 'two', status: 'skipped', reason: 'why', source: '' },
    { suite: 'macos', name: 'three', status: 'passed', reason: '', source: '' },
  ])
  const read = (expression: string) => execFileSync('xmllint', ['--xpath', expression, '-'], { input: xml, encoding: 'utf8' }).trimEnd()
  t.equal(read('string(/testsuites/@failures)'), '1')
  t.equal(read('string(//testcase[1]/failure/@message)'), 'expected "<a>" & \'b\'\n\tgot \\u{0}\\u{d800}\\u{ffff} ]]>')
  t.equal(read('count(//testsuite)'), '2')
  t.equal(read('string(//testsuite[@name="ios"]/testcase[1]/@name)'), 'one<')
})

t.test('JUnit: no character that XML cannot have, and no markup from outside', async (t) => {
  const xml = junitXml('t', [{ suite: 's', name: '<!ENTITY x "&y;">', status: 'failed', reason: '\u0007\n', source: '<x/>' }])
  t.match(xml, 'name="&lt;!ENTITY x &quot;&amp;y;&quot;&gt;"')
  t.match(xml, 'message="\\u{7}&#10;"')
  t.match(xml, '>&lt;x/&gt;</failure>')
})
