import { spawnSync } from 'node:child_process'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { root } from '../tooling/root.ts'
import { limboFileSuite } from './suites/index.ts'

const script = fileURLToPath(new URL(`./run${extname(import.meta.url)}`, import.meta.url))

function run(...args: readonly string[]): { readonly status: number | null; readonly out: string; readonly errors: readonly string[] } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, script, ...args], { cwd: root, encoding: 'utf8' })
  return { status, out: stdout, errors: stderr.trim().split('\n') }
}

const ca = { subject: 'CN=Root', key: await testKey('root') }
const rootPem = pem(await testCertificate({ ...ca, ca: true }))
const leafPem = pem(await testCertificate({ subject: 'CN=leaf', key: await testKey('leaf'), issuer: ca }))

function pem(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
}

function limbo(...cases: readonly Record<string, unknown>[]): string {
  const common = {
    trusted_certs: [rootPem],
    peer_certificate: leafPem,
    validation_time: '2026-01-01T00:00:00Z',
    expected_result: 'SUCCESS',
  }
  return JSON.stringify({ testcases: cases.map((own, i) => ({ id: `case-${i}`, ...common, ...own })) })
}

t.test('one limbo file', async (t) => {
  const untrusted = { trusted_certs: [], expected_result: 'FAILURE' }
  const dir = t.testdir({
    'good.json': limbo({}, untrusted, { features: null, crls: [], max_chain_depth: null }),
    'bad.json': limbo({}, { expected_result: 'FAILURE' }, { validation_time: '2200-01-01T00:00:00Z' }),
  })
  const good = run('--limbo', join(dir, 'good.json'), '--json')
  t.equal(good.status, 0)
  t.match(JSON.parse(good.out), {
    suites: [{ name: 'good.json', total: 3, passed: 3, falseAccepts: 0, falseRejects: 0, hangs: 0, excused: 0 }],
  })
  const bad = run('--limbo', join(dir, 'bad.json'), '--json')
  t.equal(bad.status, 1)
  t.match(JSON.parse(bad.out), {
    suites: [
      {
        passed: 1,
        falseAccepts: 1,
        falseRejects: 1,
        failures: [
          { id: 'case-1', kind: 'false-accept' },
          { id: 'case-2', kind: 'false-reject' },
        ],
      },
    ],
  })
})

t.test('a folder without most suites, and with one that nobody knows', async (t) => {
  const dir = t.testdir({ 'bettertls-path': { 'bettertls-path.json': limbo({}) }, pkcs12: { 'a.p12': '' }, unheard: {} })
  const { status, out } = run(dir)
  t.equal(status, 0)
  t.match(out, /^bettertls-path +1\/1 /m)
  t.match(out, /^not scored: unheard \(no suite\)$/m)
  t.match(out, /^not scored: pkcs12\/a\.p12 \(nothing says what to expect of it\)$/m)
  t.match(out, /^not scored: nist-pkits \(not in .*\)$/m)
})

t.test('wrong usage and what cannot be read are one line and exit status 2', async (t) => {
  const dir = t.testdir({ 'cut.json': '{"testcases": [' })
  const rows: readonly (readonly [name: string, args: readonly string[], line: RegExp])[] = [
    ['an unknown option', ['--bogus'], /^usage: /],
    ['a folder and a file', ['--limbo', join(dir, 'cut.json'), dir], /^usage: /],
    ['a folder that is not there', [join(dir, 'nowhere')], /nowhere: no folder/],
    ['half a file', ['--limbo', join(dir, 'cut.json')], /cut\.json: no JSON/],
  ]
  for (const [name, args, line] of rows) {
    const { status, out, errors } = run(...args)
    t.strictSame({ status, out, lines: errors.length }, { status: 2, out: '', lines: 1 }, name)
    t.match(errors[0], line, name)
  }
})

t.test('files that are not what a suite reads', async (t) => {
  const dir = t.testdir({
    'cut.json': '{"testcases": [',
    'null.json': 'null',
    'other.json': '{"tests": []}',
    'half.json': '{"testcases": [{"id": "a"}]}',
    'undated.json': limbo({ validation_time: 'noon' }),
  })
  const rows: readonly (readonly [file: string, problem: RegExp])[] = [
    ['nowhere.json', /no such file$/],
    ['cut.json', /no JSON/],
    ['null.json', /expected an object with an array "testcases"$/],
    ['other.json', /expected an object with an array "testcases"$/],
    ['half.json', /testcases\[0\] is not a test case in the limbo format$/],
    ['undated.json', /testcases\[0\] is not a test case in the limbo format$/],
  ]
  for (const [file, problem] of rows) {
    const path = join(dir, file)
    t.throws(() => limboFileSuite(path).load(path), { name: 'UnreadableVectors', message: problem }, file)
  }
})
