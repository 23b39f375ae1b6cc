import { once } from 'node:events'
import { statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  createAgent,
  httpTransport,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  softwareKeys,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { type ExitCode, runCommandLine } from '@certfleet/emulator/commands'
import { platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { serve } from '../tooling/process.ts'
import { root } from '../tooling/root.ts'
import { command, type Terminal, terminal } from './terminal.ts'

interface Announcement {
  readonly scepUrl: string
  readonly policyUrl: string
  readonly caFingerprint: string
  readonly registrationToken: string
  readonly adminToken: string
  readonly mscepAdmin?: { readonly url: string; readonly user: string; readonly password: string }
  readonly validationApi?: Readonly<Record<'authority' | 'graph' | 'tenant' | 'clientId' | 'clientSecret', string>>
}

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

t.test('bad input ends with 2', async (t) => {
  const folder = t.testdir({ file: '', 'empty.txt': '\n', 'bad.yaml': 'users: 3' })
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const rows: [string, string[], RegExp][] = [
    ['a port that is taken', ['--port', String(port)], /--port \d+: cannot be served \(EADDRINUSE\)/],
    ['a port that is none', ['--port', '65536'], /whole number from 0 to 65535/],
    ['a state folder that is a file', ['--state', join(folder, 'file')], /--state .*cannot be used/],
    ['an empty challenge', ['--challenge', ''], /--challenge is empty/],
    ['an empty challenge file', ['--challenge-file', join(folder, 'empty.txt')], /its first line is empty/],
    ['two challenges', ['--challenge', 'a', '--challenge-file', join(folder, 'empty.txt')], /both given/],
    ['a tenant', ['--tenant', join(folder, 'bad.yaml')], /bad\.yaml:1:8/],
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
