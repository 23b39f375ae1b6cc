import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HttpRequest, systemClock } from '@certfleet/agent-core'
import { runCommandLine } from '@certfleet/emulator/commands'
import { createLab, serveLab } from '@certfleet/emulator/lab'
import t from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { command, terminal } from './terminal.ts'

const challenge = 'open-sesame-17'
let decision: 'issue' | 'pending' = 'issue'
let broken = false
const requests: HttpRequest[] = []
const lab = await createLab({
  store: await labStore(systemClock),
  clock: systemClock,
  policyFor: () => undefined,
  registrationToken: 'token',
  staticChallenge: challenge,
  approve: () => decision,
})
const served = await serveLab({
  ...lab,
  async handle(request) {
    requests.push(request)
    return broken && request.method === 'POST' ? { status: 500, headers: {}, body: new Uint8Array() } : lab.handle(request)
  },
})
t.teardown(() => served.close())
const url = `${new URL(served.scepUrl).origin}/certsrv/mscep/mscep.dll`
const wish = ['enroll', '--url', url, '--subject', 'CN=laptop-1,O=Lab']

t.test('one enrolment', async (t) => {
  const out = join(t.testdir(), 'deep', 'out')
  const sans = ['--san', 'dns:laptop-1.example.org', '--san', 'UPN:ada@example.org', '--san', 'email:ada@example.org']
  const { exitCode, stdout, stderr } = await command([...wish, ...sans, '--challenge', challenge, '--out', out])
  t.equal(exitCode, 0, stderr)
  t.match(stdout, /^issued CN=laptop-1, O=Lab by CN=Lab Issuing CA/)
  t.match(stderr, `compare its SHA-256 fingerprint and give it with --ca-fingerprint:\n  `)
  t.match(stderr, /^ {2}[0-9a-f]{64}$/m)
  t.notMatch(stdout + stderr, challenge)
  t.strictSame(readdirSync(out).sort(), ['cert.pem', 'chain.pem', 'key.pem'], 'no temporary file is left')
  const file = (name: string) => join(out, name)
  t.equal(statSync(file('key.pem')).mode & 0o777, 0o600)
  t.equal(openssl('pkey', '-in', file('key.pem'), '-pubout'), openssl('x509', '-in', file('cert.pem'), '-noout', '-pubkey'))
  writeFileSync(file('root.pem'), openssl('x509', '-inform', 'DER', '-in', derFile(file('root.der'))))
  t.match(openssl('verify', '-CAfile', file('root.pem'), '-untrusted', file('chain.pem'), file('cert.pem')), ': OK')
  t.match(openssl('x509', '-in', file('cert.pem'), '-noout', '-ext', 'subjectAltName'), 'DNS:laptop-1.example.org')

  await t.test('and an existing file is never overwritten', async (t) => {
    const key = readFileSync(file('key.pem'))
    t.match(await command([...wish, '--challenge', challenge, '--out', out]), {
      exitCode: 2,
      stdout: '',
      stderr: /key\.pem exists and is not overwritten/,
    })
    t.strictSame(readFileSync(file('key.pem')), key)
  })
})

t.test('an EC key is enrolled too', async (t) => {
  const out = join(t.testdir(), 'out')
  t.match(await command([...wish, '--key-curve', 'P-384', '--challenge', challenge, '--out', out]), { exitCode: 0 })
  t.match(
    openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-text'),
    /NIST CURVE: P-384[\s\S]*Key Usage: critical\s+Digital Signature\n/,
  )
  t.equal(openssl('pkey', '-in', join(out, 'key.pem'), '-pubout'), openssl('x509', '-in', join(out, 'cert.pem'), '-noout', '-pubkey'))
  const both = await command([...wish, '--key-curve', 'P-256', '--key-bits', '2048', '--out', out])
  t.match(both, { exitCode: 2, stderr: /--key-curve.*cannot be used with option '--key-bits/ })
})

t.test('as one document', async (t) => {
  const folder = t.testdir({ 'challenge.txt': `${challenge}\n` })
  derFile(join(folder, 'root.der'))
  const out = join(folder, 'out')
  const { exitCode, stdout, stderr } = await command([
    ...wish,
    '--challenge-file',
    join(folder, 'challenge.txt'),
    '--root',
    join(folder, 'root.der'),
    '--platform',
    'windows',
    '--out',
    out,
    '--json',
  ])
  t.equal(exitCode, 0, stderr)
  t.equal(stderr, '', 'with a root there is nothing to warn of')
  t.match(JSON.parse(stdout), {
    status: 'issued',
    subject: 'CN=laptop-1, O=Lab',
    serialNumber: /^[0-9a-f]+$/,
    caFingerprint: lab.caFingerprint,
    files: { certificate: join(out, 'cert.pem'), chain: join(out, 'chain.pem'), key: join(out, 'key.pem') },
    os: { Status: 1, ErrorCode: 0, CertThumbprint: /^[0-9A-F]{40}$/, RespondentServerUrl: `${url}/pkiclient.exe` },
  })
  t.match(requests.at(-1)?.url, '/pkiclient.exe', 'the platform shows on the wire')
  const told = [
    ...wish,
    '--challenge',
    challenge,
    '--root',
    join(folder, 'root.der'),
    '--platform',
    'windows',
    '--fact',
    'windows.scep.url-suffix=',
  ]
  const other = await command([...told, '--out', join(folder, 'other'), '--json'])
  t.strictSame(JSON.parse(other.stdout).overriddenFacts, { 'windows.scep.url-suffix': '' })
  t.notMatch(requests.at(-1)?.url, '/pkiclient.exe', 'and what was said in place of a fact, too')
})

t.test('the fingerprint of a CA is trust enough', async (t) => {
  const folder = t.testdir()
  const fingerprint = (lab.caFingerprint.match(/../g) as string[]).join(':').toUpperCase()
  const { exitCode, stderr } = await command([...wish, '--ca-fingerprint', fingerprint, '--out', folder], {
    CERTFLEET_CHALLENGE: challenge,
  })
  t.equal(exitCode, 0, stderr)
  t.equal(stderr, '')
})

t.test('what goes wrong is told, and nothing is written', async (t) => {
  const folder = t.testdir({ 'text.pem': 'no certificate' })
  const out = join(folder, 'out')
  const rows: [string, string[], number, RegExp, object][] = [
    [
      'a wrong challenge',
      ['--challenge', 'not-that-one'],
      1,
      /failInfo badRequest.*nothing was written\n {2}usual causes: a challenge.*\n {2}iOS would show: MCSCEPErrorDomain 22013, /,
      { status: 'rejected', failInfo: 'badRequest', os: { Status: 'Error', ErrorChain: Array } },
    ],
    ['no challenge', ['--platform', 'windows'], 1, /failInfo badRequest[\s\S]*ErrorCode 0x80070057\n/, { os: { hresult: '0x80070057' } }],
    [
      'a CA of another fingerprint',
      ['--ca-fingerprint', 'ab'.repeat(32)],
      1,
      /ERR_CA_UNTRUSTED: to be put right/,
      { error: { code: 'ERR_CA_UNTRUSTED' } },
    ],
    [
      'a page that is no SCEP server',
      ['--url', `${url}/other`],
      1,
      /HTTP status 404; nothing was written/,
      { error: { code: 'ERR_HTTP_STATUS' } },
    ],
    [
      'the same as windows',
      ['--url', `${url}/other`, '--platform', 'windows'],
      1,
      /appends \/pkiclient\.exe.*\n {2}Windows would show: Status 16, ErrorCode 0x80190001\n/,
      { error: { code: 'ERR_HTTP_STATUS' }, os: { Status: 16, hresult: '0x80190001' } },
    ],
    ['nobody there', ['--url', 'http://127.0.0.1:1/scep'], 1, /ERR_NETWORK: to be put right between/, { error: { code: 'ERR_NETWORK' } }],
    [
      'a root that is none',
      ['--root', join(folder, 'text.pem')],
      2,
      /--root .*expected one self-signed CA certificate/,
      { error: { code: 'BAD_INPUT' } },
    ],
    ['a root that is not there', ['--root', join(folder, 'none.pem')], 2, /cannot be read \(ENOENT\)/, { error: { code: 'BAD_INPUT' } }],
    ['two kinds of trust', ['--root', 'a', '--ca-fingerprint', 'ab'.repeat(32)], 2, /both given/, { error: { code: 'BAD_INPUT' } }],
  ]
  for (const [name, options, exitCode, stderr, document] of rows) {
    const outcome = await command([...wish, '--json', '--out', out, ...options])
    t.match(outcome, { exitCode, stderr }, name)
    t.match(JSON.parse(outcome.stdout), document, name)
    t.notMatch(outcome.stderr + outcome.stdout, 'not-that-one', 'the challenge is not repeated')
  }
  t.strictSame(readdirSync(out), [])
  t.match(await command([...wish, '--out', join(folder, 'text.pem')]), { exitCode: 2, stderr: /--out .*cannot be used \(EEXIST\)/ })
})

t.test('a server error is told with its status', async (t) => {
  broken = true
  t.teardown(() => {
    broken = false
  })
  t.match(await command([...wish, '--challenge', challenge, '--out', t.testdir()]), {
    exitCode: 1,
    stderr: /PKIOperation with HTTP status 500/,
  })
})

t.test('a request that is pending is asked for by the schedule of the platform', async (t) => {
  decision = 'pending'
  t.teardown(() => {
    decision = 'issue'
  })
  const started = async (options: readonly string[]) => {
    const clock = new FakeClock(systemClock.now())
    const own = terminal({ clock })
    const running = runCommandLine([...wish, '--challenge', challenge, '--out', t.testdir(), ...options], own.io)
    await own.seen(/the CA has not decided; asking again in \d+ s/)
    return { clock, own, running }
  }
  await t.test('until it is issued', async (t) => {
    const { clock, own, running } = await started(['--timeout', '86400'])
    decision = 'issue'
    await clock.advance(0)
    t.equal(await running, 0, own.stderr())
    decision = 'pending'
  })
  await t.test('until the time is up', async (t) => {
    const { clock, own, running } = await started(['--timeout', '5'])
    await clock.advance(5_000)
    t.equal(await running, 1)
    t.match(own.stderr(), /no certificate within 5 s.*\n {2}ERR_PENDING_TIMEOUT/)
  })
  await t.test('until it is interrupted', async (t) => {
    const { own, running } = await started(['--json'])
    own.interrupt()
    t.equal(await running, 130)
    t.match(JSON.parse(own.stdout()), { error: { code: 'INTERRUPTED' } })
  })
})

function derFile(path: string): string {
  writeFileSync(path, lab.rootCertificate)
  return path
}

function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
