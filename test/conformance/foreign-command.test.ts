import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import { createLab, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { command } from '../commands/terminal.ts'
import { labStore } from '../fakes/lab-store.ts'

const challenge = 'open-sesame-17'
const administrator = { name: 'admin', password: 'of-the-admin-23' }

async function servedLab(t: Test) {
  const lab = await createLab({
    store: await labStore(systemClock),
    clock: systemClock,
    policyFor: () => undefined,
    registrationToken: 'token',
    staticChallenge: challenge,
    ndes: { administrators: [administrator] },
  })
  const { scepUrl, url, close } = await serveLab(lab)
  t.teardown(() => close())
  return { lab, scepUrl, adminUrl: `${url}/certsrv/mscep_admin/` }
}

interface Row {
  readonly id: string
  readonly platform: string
  readonly status: string
  readonly reason: string
  readonly source: string
}

const rowsOf = (stdout: string): readonly Row[] => JSON.parse(stdout).checks
const idsOf = (rows: readonly Row[], status: string) => [...new Set(rows.filter((row) => row.status === status).map(({ id }) => id))].sort()

t.test('our own lab on loopback: passed on every platform, or skipped for a reason', async (t) => {
  const { lab, scepUrl } = await servedLab(t)
  const args = ['--ca-fingerprint', lab.caFingerprint, '--parallel', '2', '--json']
  const { exitCode, stdout, stderr } = await command(['conformance', '--target', scepUrl, '--challenge', challenge, ...args])
  t.equal(exitCode, 0, stderr)
  const { checks, ...rest } = JSON.parse(stdout)
  t.same(rest, {}, 'nothing but checks')
  for (const check of checks) t.same(Object.keys(check), ['id', 'platform', 'status', 'reason', 'source'])
  t.same([...new Set(checks.map(({ platform }: Row) => platform))], ['ios', 'macos', 'android', 'windows'])
  t.same(idsOf(checks, 'failed'), [])
  t.same(idsOf(checks, 'skipped'), ['server.challenge.reused', 'server.https', 'server.next-ca', 'server.pending'])
  for (const { status, reason } of checks) t.equal(status === 'passed', reason === '')
  t.notMatch(stderr + stdout, challenge, 'the challenge is told nowhere')
  t.notMatch(stderr, /believed on first use/)
  const issued = [...lab.issued()]
  t.match(stderr, new RegExp(`\n${issued.length} certificates were issued by this run`))
  for (const { serialNumber } of issued) t.match(stderr, `  ${serialNumber}  `)
})

t.test('with one-time challenges of mscep_admin', async (t) => {
  const { scepUrl, adminUrl } = await servedLab(t)
  const args = ['conformance', '--target', scepUrl, '--mscep-admin', adminUrl, '--mscep-admin-user', 'admin', '--platform', 'ios']
  const env = { CERTFLEET_MSCEP_ADMIN_PASSWORD: administrator.password }
  const { exitCode, stdout, stderr } = await command([...args, '--json'], env)
  t.equal(exitCode, 0, stdout)
  t.same(idsOf(rowsOf(stdout), 'skipped'), ['server.next-ca', 'server.pending'], 'a challenge that was used is refused')
  t.match(stderr, /believed on first use/)

  const refused = await command([...args, '--check', 'server.enrol', '--json'], { CERTFLEET_MSCEP_ADMIN_PASSWORD: 'wrong-24' })
  t.equal(refused.exitCode, 1)
  t.match(rowsOf(refused.stdout)[0]?.reason, /mscep_admin shows no challenge password \(HTTP status 401\)/)
  t.notMatch(refused.stdout + refused.stderr, 'wrong-24')
})

t.test('with one challenge that is good once, and with none', async (t) => {
  const { scepUrl, adminUrl } = await servedLab(t)
  const authorization = `Basic ${Buffer.from(`admin:${administrator.password}`).toString('base64')}`
  const page = Buffer.from(await (await fetch(adminUrl, { headers: { authorization } })).arrayBuffer()).toString('utf16le')
  const password = /password is: <B> (\w+) /.exec(page)?.[1] ?? ''
  const args = [
    'conformance',
    '--target',
    scepUrl,
    '--platform',
    'macos',
    '--json',
    '--check',
    'server.enrol',
    'server.challenge.reused',
    'server.concurrency',
  ]
  const once = await command(args, { CERTFLEET_CHALLENGE: password })
  t.equal(once.exitCode, 0)
  const rows = rowsOf(once.stdout)
  t.match(
    rows.find(({ id }) => id === 'server.challenge.reused'),
    { status: 'passed' },
  )
  t.match(
    rows.find(({ id }) => id === 'server.concurrency'),
    { status: 'skipped', reason: /good once, and was used: give one for each request/ },
  )
  t.notMatch(once.stdout + once.stderr, password)

  const none = await command(args)
  t.equal(none.exitCode, 0)
  t.match(
    rowsOf(none.stdout).find(({ id }) => id === 'server.enrol'),
    { status: 'skipped', reason: 'no challenge was given' },
  )
  t.match(none.stderr, /\n0 certificates were issued by this run\n/)
})

t.test('a server that takes a one-time challenge twice: exit code 1, and it is named', async (t) => {
  const { scepUrl } = await servedLab(t)
  const file = join(t.testdir(), 'challenges.txt')
  writeFileSync(file, `${challenge}\n${challenge}\n`)
  const args = ['--platform', 'ios', '--check', 'server.challenge.reused', '--challenge-file', file]
  const { exitCode, stdout, stderr } = await command(['conformance', '--target', scepUrl, ...args])
  t.equal(exitCode, 1)
  t.match(stdout, /\nfailed {2}ios {2}server\.challenge\.reused\n {2}a certificate was issued to a challenge that was used before\n/)
  t.match(stderr, /2 certificates were issued by this run; revoke what must not stay/)
})

t.test('--list tells the checks of a server, and asks nobody', async (t) => {
  const { exitCode, stdout } = await command(['conformance', '--target', 'https://scep.invalid/scep', '--platform', 'android', '--list'])
  t.equal(exitCode, 0)
  t.match(stdout, /^android {2}server\.https\n {2}given/)
  t.notMatch(stdout, 'server.url-suffix')
})

t.test('a server that is not there is told, and is no finding', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  const { exitCode, stdout, stderr } = await command(['conformance', '--target', `http://127.0.0.1:${port}/scep`, '--challenge', challenge])
  t.equal(exitCode, 1)
  t.equal(stdout, '')
  t.match(stderr, /^certfleet: the request to 127\.0\.0\.1:\d+ failed: .*ECONNREFUSED.*\n {2}ERR_NETWORK: .+\n$/)
})

const target = ['--target', 'https://scep.invalid/scep']
const bad: readonly (readonly [name: string, argv: readonly string[], message: RegExp])[] = [
  ['plain http elsewhere', ['--target', 'http://192.0.2.1/scep'], /--target: plain http is for loopback alone; give an https URL/],
  ['a name that begins as loopback', ['--target', 'http://127.0.0.1.example.com/scep'], /plain http is for loopback alone/],
  ['plain http for a password', [...target, '--mscep-admin', 'http://192.0.2.1/', '--mscep-admin-user', 'a'], /--mscep-admin: plain http/],
  ['what is no URL', ['--target', 'scep'], /http or https URL/],
  ['a challenge for the lab', ['--challenge', challenge], /--challenge is for somebody's server; name it with --target/],
  ['a legacy switch for the lab', ['--legacy-des'], /--legacy-des is for somebody's server/],
  [
    'two sources of challenges',
    [...target, '--challenge', challenge, '--challenge-file', 'x'],
    /--challenge and --challenge-file were both given/,
  ],
  ['a seed', [...target, '--seed', '7'], /--seed/],
  ['a check of the lab', [...target, '--check', 'wire.order'], /--check wire\.order: there is no such check of a server/],
  ['an admin page without account', [...target, '--mscep-admin', 'https://scep.invalid/'], /--mscep-admin-user/],
  [
    'an admin page without password',
    [...target, '--mscep-admin', 'https://scep.invalid/', '--mscep-admin-user', 'a'],
    /CERTFLEET_MSCEP_ADMIN_PASSWORD/,
  ],
  ['an account without admin page', [...target, '--mscep-admin-user', 'a'], /name it with --mscep-admin/],
  ['one request in parallel', [...target, '--parallel', '1'], /from 2 to 256/],
]
for (const [name, argv, message] of bad)
  t.test(`${name} is bad input`, async (t) => {
    const { exitCode, stderr, stdout } = await command(['conformance', ...argv])
    t.equal(exitCode, 2)
    t.match(stderr, message)
    t.notMatch(stderr, challenge)
    t.equal(stdout, '')
  })
