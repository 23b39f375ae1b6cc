import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { type HttpResponse, systemClock } from '@certfleet/agent-core'
import { openTarget, readTarget, type TargetSettings, targetTransport } from '@certfleet/emulator/fleet'
import { generateTenant, loadExport } from '@certfleet/emulator/tenant'
import t, { type Test } from 'tap'
import { exampleProfiles } from '../commands/example.ts'
import { terminal } from '../commands/terminal.ts'
import { badServer } from '../fakes/bad-server.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'

const key = await testKey('root')
const root = await testCertificate({ subject: 'CN=Root', key, ca: true })
const leaf = await testCertificate({ subject: 'CN=Leaf', key: await testKey('leaf'), issuer: { subject: 'CN=Root', key } })
const pem = (der: Uint8Array) => `-----BEGIN CERTIFICATE-----\n${base64(der)}\n-----END CERTIFICATE-----\n`
const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64')

function files(t: Test) {
  const folder = t.testdir({
    token: 'token-4711\nmore\n',
    open: 'token-4711\n',
    empty: '\n',
    'root.pem': pem(root),
    'root.der': Buffer.from(root),
    'leaf.pem': pem(leaf),
    'two.pem': `first\n${pem(root)}second\n${pem(leaf)}`,
    'bad.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  })
  chmodSync(join(folder, 'token'), 0o600)
  chmodSync(join(folder, 'open'), 0o644)
  return (name: string) => join(folder, name)
}

type Document = Parameters<typeof readTarget>[0]
const policy = (url: string, file: string, ca?: string): Document => ({ policy: { url, 'token-file': file, ...(ca && { ca }) } })

t.test('what a scenario names is read, with its files', async (t) => {
  const file = files(t)
  const page = 'https://ndes.example/certsrv/mscep_admin/'
  const scep = { url: 'http://ndes.example/scep', root: file('root.pem') }
  const settings = { kind: 'scep', scepUrl: scep.url, root: base64(root) } as const
  const rows: [string, Document, TargetSettings][] = [
    [
      'a policy service',
      policy('https://mdm.example/device/policy', file('token')),
      { kind: 'policy', policyUrl: 'https://mdm.example/device/policy', registrationToken: 'token-4711' },
    ],
    [
      'one on this machine, in plain http, with its own CAs',
      policy('http://127.0.0.1:8080/device/policy', file('token'), file('two.pem')),
      {
        kind: 'policy',
        policyUrl: 'http://127.0.0.1:8080/device/policy',
        registrationToken: 'token-4711',
        trustAnchors: [base64(root), base64(leaf)],
      },
    ],
    ['a SCEP server, in plain http', { scep }, settings],
    ['a root in DER', { scep: { ...scep, root: file('root.der') } }, settings],
    [
      'a static challenge',
      { scep: { ...scep, challenge: { file: file('token') } } },
      { ...settings, challenge: { kind: 'static', text: 'token-4711' } },
    ],
    [
      'the page of NDES',
      { scep: { ...scep, challenge: { mscepAdmin: page, user: 'admin', 'password-file': file('token') } } },
      { ...settings, challenge: { kind: 'mscep-admin', url: page, user: 'admin', password: 'token-4711' } },
    ],
  ]
  for (const [name, document, expected] of rows) {
    const { io, stderr } = terminal()
    const read = await readTarget(document, false, io)
    t.strictSame(read, expected, name)
    t.strictSame(JSON.parse(JSON.stringify(read)), read, `${name}: goes to a worker`)
    t.equal(stderr(), '')
  }
  const { io, stderr } = terminal()
  await readTarget(policy('https://mdm.example/', file('open')), false, io)
  t.match(stderr(), /^warning: target\.policy\.token-file .*open: others on this machine can read it; "chmod 600" ends that\n$/)
})

t.test('what cannot be used is told', async (t) => {
  const file = files(t)
  const good = { url: 'http://127.0.0.1/scep', root: file('root.pem') }
  const page = (mscepAdmin: string) => ({ mscepAdmin, user: 'admin', 'password-file': file('token') })
  const rows: [string, Document, boolean, RegExp][] = [
    [
      'a token over plain http',
      policy('http://mdm.example/device/policy', file('token')),
      false,
      /^target\.policy\.url: plain http is for this/,
    ],
    [
      'a token in the URL',
      policy('https://user:hidden@mdm.example/', file('token')),
      false,
      /^target\.policy\.url: a URL holds no account/,
    ],
    [
      'a query',
      { scep: { ...good, url: 'http://127.0.0.1/scep?operation=GetCACert' } },
      false,
      /^target\.scep\.url: expected the URL without/,
    ],
    [
      'an empty token',
      policy('https://mdm.example/', file('empty')),
      false,
      /token-file .*first line is empty; expected the registration token/,
    ],
    ['no file', policy('https://mdm.example/', file('absent')), false, /token-file .*absent: cannot be read \(ENOENT\)/],
    ['a root that is none', { scep: { ...good, root: file('leaf.pem') } }, false, /^target\.scep\.root .*expected one self-signed CA/],
    ['trust that is none', { scep: { ...good, ca: file('bad.pem') } }, false, /^target\.scep\.ca .*expected CA certificates, PEM/],
    ['trust without PEM', policy('https://mdm.example/', file('token'), file('root.der')), false, /^target\.policy\.ca .*expected CA/],
    [
      "the page's password over plain http",
      { scep: { ...good, challenge: page('http://ndes.example/admin') } },
      false,
      /^target\.scep\.challenge\.mscepAdmin: plain http/,
    ],
    ['cheap keys off this machine', { scep: { ...good, url: 'http://ndes.example/scep' } }, true, /^ndes\.example is not on this machine/],
    [
      'the page of cheap keys',
      { scep: { ...good, challenge: page('https://ndes.example/') } },
      true,
      /^ndes\.example is not on this machine/,
    ],
    ['the service of cheap keys', policy('https://mdm.example/', file('token')), true, /^mdm\.example is not on this machine/],
  ]
  for (const [name, document, emulatedKeys, message] of rows) {
    const error = await readTarget(document, emulatedKeys, terminal().io).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    t.match(error, { name: 'InputError', message }, name)
    t.notMatch(String(error), /hidden|token-4711/, name)
  }
})

t.test('what a policy names leads to no local address, unless the service was named by one', async (t) => {
  const answer = async (): Promise<HttpResponse> => ({ status: 200, headers: {}, body: Buffer.from('here') })
  const { url } = await badServer(t, answer, { habit: 'error', share: 0 })
  const { port } = new URL(url)
  const service = (policyUrl: string): TargetSettings => ({ kind: 'policy', policyUrl, registrationToken: 'token' })
  const scep: TargetSettings = { kind: 'scep', scepUrl: 'http://ndes.example/scep', root: base64(root) }
  const refused = { code: 'ERR_UNSUPPORTED', message: /loopback address/ }
  const linkLocal = { code: 'ERR_UNSUPPORTED', message: /link-local address/ }
  const offMachine = { code: 'ERR_UNSUPPORTED', message: /^ndes\.example is not on this machine/ }
  const ownLab: TargetSettings = { kind: 'policy', policyUrl: 'http://192.0.2.1:8085/', registrationToken: 'token', isOwnLab: true }
  const elsewhere = `http://[::ffff:127.0.0.1]:${port}/`
  const notOwnLab = { code: 'ERR_UNSUPPORTED', message: /^192\.0\.2\.1:8086 is not on this machine/ }
  const rows: [string, TargetSettings, string, boolean, { code: string; message: RegExp } | undefined][] = [
    ['the service itself', service(url), url, false, undefined],
    ['beside it', service(`http://localhost:${port}/`), url, false, undefined],
    ['of a service elsewhere', service('https://mdm.example/'), url, false, refused],
    ['metadata of a machine', service(url), 'http://169.254.169.254/latest', false, linkLocal],
    ['a SCEP server that was named', { ...scep, scepUrl: url }, url, false, undefined],
    ['cheap keys, here', service(url), url, true, undefined],
    ['cheap keys, elsewhere', service(url), 'https://ndes.example/scep', true, offMachine],
    ['cheap keys, from the own lab to elsewhere', { ...ownLab, policyUrl: url }, 'https://ndes.example/scep', true, offMachine],
    // Another name of this machine, which counts as none.
    ['cheap keys, at the own lab', { ...ownLab, policyUrl: elsewhere }, elsewhere, true, undefined],
    ['cheap keys, at another lab', service(elsewhere), elsewhere, true, { code: 'ERR_UNSUPPORTED', message: /is not on this machine/ }],
    ['cheap keys, beside the own lab', ownLab, 'http://192.0.2.1:8086/scep', true, notOwnLab],
  ]
  for (const [name, settings, asked, emulatedKeys, expected] of rows) {
    const transport = targetTransport(settings, { clock: systemClock, emulatedKeys })
    const answered = transport.send({ method: 'GET', url: asked, headers: {} })
    if (expected) await t.rejects(answered, expected, name)
    else t.match(await answered, { status: 200 }, name)
    await transport.close()
  }
})

t.test('settings open as the target that they name', async (t) => {
  const tenant = generateTenant({ counts: { ios: 1 }, domain: 'contoso.example' })
  const options = { policies: { imported: await loadExport(exampleProfiles), tenant } }
  const admission = { spec: { id: 'ios-000001', platform: 'ios', osVersion: '18.1' } } as const
  const opened = openTarget({ kind: 'scep', scepUrl: 'http://ndes.example/scep', root: base64(root) }, options)
  const { policySource } = await opened.admit(admission as unknown as Parameters<typeof opened.admit>[0], new AbortController().signal)
  const policy = await policySource.fetch(new AbortController().signal)
  t.strictSame(
    policy.scepProfiles.map(({ scepUrls }) => scepUrls),
    [['http://ndes.example/scep']],
  )
  t.strictSame(Buffer.from(policy.trustedRoots[0]?.certificate ?? []), Buffer.from(root))
})
