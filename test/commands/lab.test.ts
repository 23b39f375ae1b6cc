import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import {
  createAgent,
  httpTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  type PolicyDocument,
  policyService,
  registerDevice,
  softwareKeys,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { type ExitCode, runCommandLine } from '@certfleet/emulator/commands'
import { platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { readLabCa, setRegistry } from '#emulator/commands/lab-ca.ts'
import { derOf } from '#emulator/commands/read-input.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { startLab } from '../lab/surroundings.ts'
import { importedPfx, pkcs, scep, trustedRoot } from '../tenant/graph.ts'
import { serve } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'
import { command, type Terminal, terminal } from './terminal.ts'

interface Announcement {
  readonly scepUrl: string
  readonly policyUrl: string
  readonly caFingerprint: string
  readonly registrationToken: string
  readonly adminToken: string
  readonly adminUrl: string
  readonly mscepAdmin?: { readonly url: string; readonly user: string; readonly password: string }
  readonly validationApi?: Readonly<Record<'authority' | 'graph' | 'tenant' | 'clientId' | 'clientSecret', string>>
}

const dayMs = 86_400_000
const transport = httpTransport({ allowLoopback: true })
t.teardown(() => transport.close())

t.test('the first line says where everything is', async (t) => {
  const { announced, terminal, end } = await lab(t, [])
  const base = new URL(announced.policyUrl).origin
  t.strictSame(announced, {
    scepUrl: `${base}/certsrv/mscep/mscep.dll`,
    policyUrl: `${base}/device/policy`,
    registerUrl: `${base}/device/register`,
    pushUrl: `${base.replace('http', 'ws')}/device/push`,
    challengeUrl: `${base}/device/challenge`,
    pfxUrl: `${base}/device/pfx`,
    reportUrl: `${base}/device/report`,
    crlUrl: `${base}/crl`,
    ocspUrl: `${base}/ocsp`,
    adminUrl: `${base}/v1.0/`,
    caFingerprint: announced.caFingerprint,
    registrationToken: announced.registrationToken,
    adminToken: announced.adminToken,
  })
  t.match(announced.caFingerprint, /^[0-9a-f]{64}$/)
  t.match(announced.registrationToken, /^[\w-]{43}$/)
  t.match(new URL(base), { hostname: '127.0.0.1' })

  await t.test('a device that no tenant knows gets what all devices of its platform get', async (t) => {
    const credential = await register(announced, 'laptop 1', 'windows')
    const { report } = await agentOf(announced, 'laptop 1', credential)
    t.strictSame(
      report.profiles.map(({ state }) => state),
      ['installed'],
    )
    t.match(terminal.stderr(), /^\d{4}-\d\d-\d\dT[\d:.]+Z registered deviceId="laptop 1"$/m)
    t.match(terminal.stderr(), /^\S+ issued .*serialNumber="[0-9a-f]+" deviceId="laptop 1"/m)
    for (const secret of [credential, announced.registrationToken]) t.notMatch(terminal.stderr(), secret, 'no secret is in the log')
  })
  for (const [name, platform, osVersion] of [
    ['of no platform', 'beos', '5'],
    ['of an OS version that is none', 'ios', 'seventeen'],
  ] as const) {
    await t.test(`a device ${name} gets no policy`, async (t) => {
      const credential = await register(announced, 'other', platform, osVersion)
      const headers = { authorization: `Bearer ${credential}` }
      t.match(await transport.send({ method: 'GET', url: announced.policyUrl, headers }), { status: 404 })
    })
  }
  t.equal(await end(), 0)
  t.match(terminal.stderr(), /closed\n$/)
})

t.test('a state folder keeps CA, token and credentials', async (t) => {
  const state = join(t.testdir(), 'state')
  const before = await lab(t, ['--state', state])
  const credential = await register(before.announced, 'phone', 'ios')
  await before.end()
  t.equal(statSync(state).mode & 0o777, 0o700)
  t.equal(statSync(join(state, 'registration-token')).mode & 0o777, 0o600)

  const after = await lab(t, ['--state', state])
  t.equal(after.announced.caFingerprint, before.announced.caFingerprint)
  t.equal(after.announced.registrationToken, before.announced.registrationToken)
  const headers = { authorization: `Bearer ${credential}` }
  t.match(await transport.send({ method: 'GET', url: after.announced.policyUrl, headers }), { status: 200 })
  await after.end()

  writeFileSync(join(state, 'registration-token'), 'short\n')
  t.match(await command(['lab', '--state', state]), {
    exitCode: 2,
    stdout: '',
    stderr: /registration-token: expected 32 or more/,
  })
})

t.test('an administrator gets a one-time password, which enrols once', async (t) => {
  const folder = t.testdir()
  const state = ['--state', join(folder, 'state')]
  const { announced, end } = await lab(t, ['--mscep-admin', ...state])
  const { url, user, password } = announced.mscepAdmin as NonNullable<Announcement['mscepAdmin']>
  const page = (authorization: string) => transport.send({ method: 'GET', url, headers: { authorization } })
  const basic = (secret: string) => `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`
  t.equal((await page(basic('guess'))).status, 401)
  const { status, body } = await page(basic(password))
  const [challenge = ''] = /\b[0-9A-F]{16}\b/.exec(Buffer.from(body).toString('utf16le')) ?? []
  t.equal(status, 200)
  const enroll = (out: string) =>
    command(['enroll', '--url', announced.scepUrl, '--subject', 'CN=laptop', '--ca-fingerprint', announced.caFingerprint, '--out', out], {
      CERTFLEET_CHALLENGE: challenge,
    })
  t.match(await enroll(join(folder, 'first')), { exitCode: 0 })
  t.match(await enroll(join(folder, 'second')), { exitCode: 1, stderr: /badRequest/ }, 'spent')
  await end()
  const again = await lab(t, ['--mscep-admin', ...state])
  t.equal(again.announced.mscepAdmin?.password, password, 'the administrator stays the same over a restart')
  await again.end()
})

t.test("somebody else's SCEP server gets a token and finds the services", async (t) => {
  const { announced, terminal, end } = await lab(t, ['--validation-api'])
  const { authority, graph, tenant, clientId, clientSecret } = announced.validationApi as NonNullable<Announcement['validationApi']>
  const token = (secret: string) =>
    transport.send({
      method: 'POST',
      url: `${authority}/${tenant}/oauth2/v2.0/token`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(
        new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: clientId,
          client_secret: secret,
          scope: 'https://graph.microsoft.com/.default',
        }).toString(),
      ),
    })
  t.equal((await token('guess')).status, 401)
  const { access_token: bearer } = JSON.parse(Buffer.from((await token(clientSecret)).body).toString())
  const url = `${graph}/v1.0/servicePrincipals/appId=0000000a-0000-0000-c000-000000000000/endpoints`
  const { status, body } = await transport.send({ method: 'GET', url, headers: { authorization: `Bearer ${bearer}` } })
  t.equal(status, 200)
  t.match(Buffer.from(body).toString(), /ScepRequestValidationFEService/)
  t.notMatch(terminal.stderr(), clientSecret, 'no secret is in the log')
  await end()
})

t.test("a tenant of one's own", async (t) => {
  const tenant = join(
    t.testdir({
      't.yaml': 'devices: [{ id: kiosk, platform: ios, osVersion: "18.1" }]\nassignments:\n  - { profile: iOS root, allDevices: true }\n',
    }),
    't.yaml',
  )
  const { announced, end } = await lab(t, ['--tenant', tenant])
  const { report } = await agentOf(announced, 'kiosk', await register(announced, 'kiosk', 'ios'), 'ios')
  t.equal(report.profiles.length, 0, 'nothing that is not assigned')
  await end()
})

t.test("the profiles point at somebody else's SCEP server", async (t) => {
  const authority = await testCertificate({ subject: 'CN=Other CA', key: await testKey('other-ca'), ca: true })
  const pfx = [pkcs(), importedPfx({ displayName: 'S/MIME\n\u001b[2J' })]
  const unlinked = trustedRoot({ id: 'root-2', displayName: 'Another root' })
  const profiles = JSON.stringify([trustedRoot(), unlinked, scep(), ...pfx])
  const folder = t.testdir({ 'root.der': Buffer.from(authority), 'profiles.json': profiles })
  const file = join(folder, 'root.der')
  const scepUrl = 'https://scep.example.com/scep'
  const { announced, terminal, end } = await lab(t, ['--profiles', join(folder, 'profiles.json'), '--scep-url', scepUrl, '--root', file])
  const headers = { authorization: `Bearer ${await register(announced, 'laptop', 'windows')}` }
  const { body } = await transport.send({ method: 'GET', url: announced.policyUrl, headers })
  const { scepProfiles, trustedRoots } = JSON.parse(Buffer.from(body).toString()) as PolicyDocument
  t.same([...new Set(scepProfiles.flatMap(({ scepUrls }) => scepUrls))], [scepUrl])
  t.equal(trustedRoots.length, 2)
  const linked = new Set(scepProfiles.map(({ rootProfileId }) => rootProfileId))
  for (const { id, certificate } of trustedRoots)
    t.equal(certificate === Buffer.from(authority).toString('base64'), linked.has(id), `${id}: the root, where a SCEP profile links to it`)
  t.match(terminal.stderr(), /^the profiles get that server's root and URL in \d+ places$/m)
  t.match(announced.scepUrl, /^http:\/\/127\.0\.0\.1/, 'its own is there still')
  t.match(terminal.stderr(), /^warning: "Pkcs", "S\/MIME\\n\\u001b\[2J": the lab still delivers these PFX itself.*refuse them/m)
  await end()
})

const templates = `
templates:
  - name: Short
    displayName: Shown
    validityDays: 10
    renewalPeriodDays: 9
    minKeyBits: 2048
    keyUsages: [digitalSignature, keyAgreement]
    applicationPolicies: [1.3.6.1.5.5.7.3.4]
    enrollAccounts: [ndes]
    signatureIsProofOfOrigin: true
registry:
  GeneralPurposeTemplate: short
`

t.test('certificate templates and the registry are those of the file', async (t) => {
  const profiles = JSON.stringify([trustedRoot(), pkcs({ certificateTemplateName: 'SHORT' })])
  const folder = t.testdir({ 'templates.yaml': templates, 'profiles.json': profiles })
  const files = ['--profiles', join(folder, 'profiles.json'), '--templates', join(folder, 'templates.yaml')]
  const { announced, terminal, end } = await lab(t, [...files, '--challenge', 'secret'])
  const { scepUrl, caFingerprint, adminToken, adminUrl } = announced
  const wish = ['--subject', 'CN=laptop', '--challenge', 'secret', '--ca-fingerprint', caFingerprint, '--out', join(folder, 'out')]
  t.match(await command(['enroll', '--url', scepUrl, ...wish]), { exitCode: 0 })
  const certificate = parseCertificate(derOf(readFileSync(join(folder, 'out/cert.pem'))))
  t.equal(certificate.notAfter - certificate.notBefore, 10 * dayMs)
  t.strictSame([...(certificate.keyUsage ?? [])], ['digitalSignature', 'nonRepudiation', 'keyAgreement'])
  t.strictSame(certificate.extendedKeyUsage, ['1.3.6.1.5.5.7.3.4'])
  const url = new URL('deviceManagement/deviceConfigurations/pkcs-1', adminUrl).href
  const { body } = await transport.send({ method: 'GET', url, headers: { authorization: `Bearer ${adminToken}` } })
  t.match(JSON.parse(Buffer.from(body).toString()), { certificateTemplateName: 'SHORT' }, 'a PKCS profile may name it')
  t.notMatch(terminal.stderr(), /warning/, 'PFX are of the CA whose root the profiles have')
  await end()
})

t.test('a lab started without the file has none of its registry', async (t) => {
  const { lab } = await startLab()
  const { registry: builtIn } = await readLabCa(undefined)
  const { SignatureTemplate, ...others } = builtIn
  await setRegistry(lab, { ...others, SignatureTemplate: 'Gone' })
  t.match(lab.ndes.registry(), { ...others, SignatureTemplate: 'Gone' })
  await setRegistry(lab, builtIn)
  t.match(lab.ndes.registry(), builtIn)
})

t.test('templates that cannot be are told with line, column and path, all at once', async (t) => {
  const one = (members: string) => `templates: [{ name: A, validityDays: 10, ${members} }]`
  const many = (count: number) => `[${Array.from({ length: count }, () => '1.2.3.4').join(', ')}]`
  const rows: [string, string, RegExp | undefined][] = [
    ['an empty file', '', undefined],
    ['the least', 'templates: [{ name: A, validityDays: 1 }]', undefined],
    ['no day', 'templates: [{ name: A, validityDays: 0 }]', /:1:38: templates\.0\.validityDays: .*>=1/],
    ['100 years', 'templates: [{ name: A, validityDays: 36500 }]', undefined],
    ['a day more', 'templates: [{ name: A, validityDays: 36501 }]', /validityDays: .*<=36500/],
    ['no validity', 'templates:\n  - name: A', /:2:5: templates\.0\.validityDays: .*expected number/],
    ['no name', 'templates: [{ validityDays: 1 }]', /templates\.0\.name: expected text/],
    ['a name of 64 characters', `templates: [{ validityDays: 1, name: ${'x'.repeat(64)} }]`, undefined],
    ['a name of 65', `templates: [{ validityDays: 1, name: ${'x'.repeat(65)} }]`, /name: expected 1 to 64 printable ASCII/],
    ['the name of the built-in one', 'templates: [{ validityDays: 1, name: certfleetdevice }]', /:1:38: templates\.0\.name: there are two/],
    ['a renewal period a day shorter', one('renewalPeriodDays: 9'), undefined],
    ['as long as the validity', one('renewalPeriodDays: 10'), /renewalPeriodDays: expected fewer than the 10 days/],
    ['keys of 1023 bits', one('minKeyBits: 1023'), /minKeyBits: .*>=1024/],
    ['of 1024', one('minKeyBits: 1024'), undefined],
    ['of 8192', one('minKeyBits: 8192'), undefined],
    ['of 8193', one('minKeyBits: 8193'), /minKeyBits: .*<=8192/],
    ['no key usage', one('keyUsages: []'), /keyUsages: expected one at least/],
    ['a CA', one('keyUsages: [keyCertSign]'), /keyUsages\.0: expected one of digitalSignature, /],
    ['no application policy', one('applicationPolicies: []'), /applicationPolicies: expected one at least/],
    ['500 of them', one(`applicationPolicies: ${many(500)}`), undefined],
    ['501', one(`applicationPolicies: ${many(501)}`), /applicationPolicies: expected at most 500/],
    ['one that is no OID', one('applicationPolicies: [client]'), /applicationPolicies\.0: expected a dotted OID/],
    ['nobody may enrol', one('enrollAccounts: []'), undefined],
    ['an account that is none', one('enrollAccounts: [ada]'), /enrollAccounts\.0: expected one of ndes, connector/],
    ['a switch that is neither', one('signatureIsProofOfOrigin: maybe'), /signatureIsProofOfOrigin: expected true or false/],
    ['an unknown key', one('subject: x'), /templates\.0\.subject: unknown key; remove it, or see "certfleet lab --help"/],
    [
      'a template by its display name',
      `${templates}  SignatureTemplate: Shown`,
      /:14:22: registry\.SignatureTemplate: expected the name, not/,
    ],
    ['the built-in one by its name', `${templates}  SignatureTemplate: CertfleetDevice`, undefined],
    ['another registry value', 'registry: { PasswordMax: 3 }', /:1:13: registry\.PasswordMax: unknown key/],
    ['templates that are none', 'templates: 3', /:1:12: templates: expected a list/],
    ['a list', '- 1', /:1:1: .*expected object/],
    [
      'two of a name, and another problem',
      `${one('')}\nregistry: { SignatureTemplate: B, x: 1 }`,
      /registry\.x: .*\n.*SignatureTemplate: /,
    ],
    [
      'a name twice, and no number',
      'templates: [{ name: A, validityDays: 1 }, { name: a, validityDays: soon }]',
      /validityDays: .*\n.*:1:51: templates\.1\.name: /,
    ],
  ]
  const folder = t.testdir()
  const file = join(folder, 'ca.yaml')
  for (const [name, text, message] of rows) {
    writeFileSync(file, text)
    if (message) await t.rejects(readLabCa(file), { name: 'InputError', message }, name)
    else await t.resolves(readLabCa(file), name)
  }
  const { stdout } = await command(['lab', '--help'])
  writeFileSync(file, stdout.slice(stdout.indexOf('  templates:\n')))
  t.match(await readLabCa(file), { templates: [{ name: 'Signing' }], registry: { SignatureTemplate: 'Signing' } }, 'the example of --help')
  const none = join(folder, 'none.yaml')
  const unreadable = /none\.yaml: cannot be read \(ENOENT\); expected certificate templates in YAML/
  t.match(await command(['lab', '--templates', none]), { exitCode: 2, stdout: '', stderr: unreadable })
  writeFileSync(file, 'templates: [{ name: A, validityDays: 7 }]')
  const [filled] = (await readLabCa(file)).templates
  t.strictSame(filled, {
    name: 'A',
    displayName: 'A',
    subject: 'supplied-in-request',
    validityMs: 7 * dayMs,
    renewalPeriodMs: Math.floor((7 * dayMs) / 5),
    minKeyBits: 2048,
    enrollAccounts: ['ndes', 'connector'],
    signatureIsProofOfOrigin: false,
  })
})

t.test('a challenge may be 16,384 characters long', async (t) => {
  const challenge = 'x'.repeat(16_384)
  const folder = t.testdir({ 'challenge.txt': `${challenge}\n` })
  const option = ['--challenge-file', join(folder, 'challenge.txt')]
  const { announced, end } = await lab(t, option)
  const wish = ['enroll', '--url', announced.scepUrl, '--subject', 'CN=laptop', '--ca-fingerprint', announced.caFingerprint, ...option]
  t.match(await command([...wish, '--out', join(folder, 'out')]), { exitCode: 0 })
  await end()
})

t.test('it serves the address that is asked for, and warns where others reach it', async (t) => {
  const own = Object.values(networkInterfaces()).flat()
  const outside = own.find((one) => one && !one.internal && one.family === 'IPv4')?.address
  for (const [host, warning] of [['127.0.0.2', false], ...(outside === undefined ? [] : [[outside, true] as const])] as const) {
    const { announced, terminal, end } = await lab(t, ['--host', host])
    const { mscepAdmin: _, validationApi: __, ...urls } = announced
    for (const url of Object.values(urls).filter((value) => URL.canParse(value))) t.equal(new URL(url).hostname, host)
    t.equal(/^warning: whoever reaches that address .* private network alone$/m.test(terminal.stderr()), warning, host)
    await end()
  }
})

t.test('bad input ends with 2', async (t) => {
  const folder = t.testdir({ file: '', 'empty.txt': '\n', 'bad.yaml': 'users: 3' })
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const rows: [string, string[], RegExp][] = [
    ['a port that is taken', ['--port', String(port)], /--port \d+: cannot be served \(EADDRINUSE\)/],
    ['a port that is none', ['--port', '65536'], /whole number from 0 to 65535/],
    ['an address of nobody here', ['--host', '192.0.2.1'], /--host 192\.0\.2\.1: no address of this machine \(EADDRNOTAVAIL\); name/m],
    ['a name', ['--host', 'localhost'], /Expected an IP address of this machine/],
    ['all addresses', ['--host', '0.0.0.0'], /It stands for all addresses/],
    ['all of IPv6', ['--host', '0:0::0'], /It stands for all addresses/],
    ['all of both', ['--host', '::ffff:0.0.0.0'], /It stands for all addresses/],
    ['an address with its interface', ['--host', 'fe80::1%lo'], /Expected an IP address of this machine/],
    ['a state folder that is a file', ['--state', join(folder, 'file')], /--state .*cannot be used/],
    ['an empty challenge', ['--challenge', ''], /--challenge is empty/],
    ['an empty challenge file', ['--challenge-file', join(folder, 'empty.txt')], /its first line is empty/],
    ['two challenges', ['--challenge', 'a', '--challenge-file', join(folder, 'empty.txt')], /both given/],
    ['a tenant', ['--tenant', join(folder, 'bad.yaml')], /bad\.yaml:1:8/],
    ['a SCEP server without its root', ['--scep-url', 'https://scep.example/scep'], /--scep-url and --root go together/],
    ['a root without its SCEP server', ['--root', join(folder, 'file')], /--scep-url and --root go together/],
    [
      'a root that is none',
      ['--scep-url', 'https://a.example/scep', '--root', join(folder, 'file')],
      /--root .*: expected one self-signed/,
    ],
    ['a SCEP URL with a query', ['--scep-url', 'https://a.example/scep?x', '--root', 'x'], /without a query/],
    ['profiles', ['--profiles', join(folder, 'none')], /ENOENT/],
  ]
  for (const [name, options, stderr] of rows) t.match(await command(['lab', ...options]), { exitCode: 2, stdout: '', stderr }, name)
})

t.test('the program ends in order at SIGTERM', async (t) => {
  const { server } = await serve(t, process.execPath, [join(root, 'packages/emulator/dist/cli.js'), 'lab'], /^\{.*scepUrl/)
  const ended = new Promise((resolve) => server.once('exit', (code) => resolve(code)))
  server.kill('SIGTERM')
  t.equal(await ended, 0)
})

async function lab(
  t: Test,
  options: readonly string[],
): Promise<{ announced: Announcement; terminal: Terminal; end: () => Promise<ExitCode> }> {
  const own = terminal()
  const running = runCommandLine(['lab', ...options], own.io)
  const end = () => {
    own.interrupt()
    return running
  }
  t.teardown(end)
  await Promise.race([own.seen(/scepUrl.*\n/), running.then((code) => Promise.reject(new Error(`ended with ${code}: ${own.stderr()}`)))])
  return { announced: JSON.parse(own.stdout()) as Announcement, terminal: own, end }
}

async function register(
  { policyUrl, registrationToken }: Announcement,
  deviceId: string,
  platform: string,
  osVersion = '18',
): Promise<string> {
  return (await registerDevice({ policyUrl, registrationToken, transport, deviceId, platform, osVersion })).credential
}

function agentOf({ policyUrl }: Announcement, deviceId: string, credential: string, name: 'ios' | 'windows' = 'windows') {
  const system = { clock: systemClock, jitter: systemJitter, transport }
  const stores = { keyStorageProviders: [softwareKeys()], certificateStores: memoryStores(), identities: memoryIdentities() }
  const platform = platformAdapter(name, { ...system, ...stores, osVersion: '18', allowHttp: true })
  const service = policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() })
  return createAgent({ ...system, ...service, platform, state: memoryState() }).runOnce()
}
