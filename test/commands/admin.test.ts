import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  createAgent,
  httpTransport,
  managementIdentity,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  softwareKeyHandle,
  softwareKeys,
  systemClock,
  systemJitter,
} from '@certfleet/agent-core'
import { buildPfx, openPfx } from '@certfleet/agent-core/pfx'
import { type ExitCode, runCommandLine } from '@certfleet/emulator/commands'
import { platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { example, type Json } from '../lab/admin-world.ts'
import { command, type Outcome, terminal } from './terminal.ts'

const transport = httpTransport({ allowLoopback: true })
t.teardown(() => transport.close())

interface Served {
  readonly announced: Json
  admin(...argv: string[]): Promise<Outcome>
  end(): Promise<ExitCode>
}

async function lab(t: Test, options: readonly string[] = []): Promise<Served> {
  const own = terminal()
  const running = runCommandLine(['lab', ...options], own.io)
  const end = () => {
    own.interrupt()
    return running
  }
  t.teardown(end)
  await Promise.race([own.seen(/scepUrl.*\n/), running.then((code) => Promise.reject(new Error(`ended with ${code}: ${own.stderr()}`)))])
  const announced = JSON.parse(own.stdout())
  const env = { CERTFLEET_ADMIN_TOKEN: announced.adminToken }
  return { announced, end, admin: (...argv) => command(['admin', '--url', announced.adminUrl, ...argv], env) }
}

/** One pass of an agent on a device that registers. */
async function checkIn({ policyUrl, registrationToken }: Json, deviceId: string): Promise<void> {
  const { credential } = await registerDevice({ policyUrl, registrationToken, transport, deviceId, platform: 'windows', osVersion: '11' })
  const system = { clock: systemClock, jitter: systemJitter, transport }
  const stores = { keyStorageProviders: [softwareKeys()], certificateStores: memoryStores(), identities: memoryIdentities() }
  const platform = platformAdapter('windows', { ...system, ...stores, osVersion: '11', allowHttp: true })
  const service = policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() })
  await createAgent({ ...system, ...service, platform, state: memoryState() }).runOnce()
}

const jsonOf = ({ stdout }: Outcome): Json => JSON.parse(stdout)

t.test('profiles, assignments, devices, certificates, revocation', async (t) => {
  const { announced, admin } = await lab(t)
  const folder = t.testdir()
  const file = join(folder, 'root.json')
  writeFileSync(file, JSON.stringify({ ...example('windows-root'), id: 'mine', displayName: 'Mine \u001b[31m' }))
  const unlinked = join(folder, 'wifi.json')
  const { 'rootCertificate@odata.bind': _, ...wifi } = example('windows-wifi-user')
  writeFileSync(unlinked, JSON.stringify({ ...wifi, id: 'unlinked' }))

  t.match(await admin('profiles', 'create', file), { exitCode: 0, stdout: 'created "Mine \\u{1b}[31m", id mine\n', stderr: '' })
  t.match(await admin('profiles', 'create', file), {
    exitCode: 1,
    stdout: '',
    stderr: /^certfleet: a device configuration has the id "mine"/,
  })
  t.match(await admin('profiles', 'create', unlinked), { exitCode: 0, stderr: /^warning: .*wifi.json: it names no Trusted profile/ })
  t.match(await admin('profiles', 'delete', 'unlinked'), { exitCode: 0, stdout: /^deleted "Windows Wi-Fi user", id unlinked\n$/ })
  const listed = await admin('profiles', 'list')
  t.match(listed.stdout, /^id +type +name +assigned to +source\n/)
  t.match(listed.stdout, /^mine +windows81TrustedRootCertificate +Mine \\u\{1b\}\[31m +- +api$/m)
  t.match(
    listed.stdout,
    /^c0a70500-0004-4000-8000-000000000002 +windows81SCEPCertificateProfile +Windows Wi-Fi user +all devices, all users +file$/m,
  )

  const assigned = async (...argv: string[]) => {
    const outcome = await admin('assign', 'mine', ...argv, '--json')
    t.equal(outcome.exitCode, 0, outcome.stderr)
    return jsonOf(outcome).assigned.assignments.map(({ target }: Json) => target['@odata.type'].split('.').at(-1))
  }
  t.same(await assigned('--all-devices'), ['allDevicesAssignmentTarget'])
  t.same(await assigned('--all-devices', '--all-users'), ['allDevicesAssignmentTarget', 'allLicensedUsersAssignmentTarget'], 'added')
  t.same(await assigned('--none', '--all-users'), ['allLicensedUsersAssignmentTarget'])
  t.same(await assigned('--none'), [])
  const headers = { authorization: `Bearer ${announced.adminToken}` }
  await transport.send({
    method: 'POST',
    url: `${announced.adminUrl}groups`,
    headers,
    body: Buffer.from('{"id":"g","displayName":"Pilots"}'),
  })
  t.same(await assigned('--group', 'Pilots'), ['groupAssignmentTarget'])
  t.match(await admin('assign', 'mine', '--group', 'none'), { exitCode: 2, stderr: /no group has the id or name "none"/ })
  t.match(await admin('assign', 'none', '--all-users'), { exitCode: 2, stderr: /no profile has the id or name "none"/ })
  t.match(await admin('assign', 'mine'), { exitCode: 2, stderr: /expected --group, --exclude-group, --all-devices, --all-users or --none/ })
  t.match(await admin('assign', 'Windows Wi-Fi user', '--all-users'), {
    exitCode: 1,
    stderr: /comes from a file that the lab was started with/,
  })

  t.match(await admin('devices'), { exitCode: 0, stdout: 'no devices\n' })
  await checkIn(announced, 'laptop')
  t.match((await admin('devices')).stdout, /^laptop +Windows 11 +user-of-laptop@contoso.example +registered +2\S+Z$/m)
  const { certificates } = jsonOf(await admin('certificates', '--json'))
  t.match(certificates, [{ certificateIssuanceState: 'installed', certificateRevokeStatus: 'none' }])
  t.match((await admin('certificates')).stdout, /^laptop +Windows Wi-Fi user +installed +[0-9a-f]+ +2\S+Z +-$/m)
  t.match(await admin('certificates', '--failed'), { exitCode: 0, stdout: 'no certificates\n' })
  t.match(await admin('certificates', '--expiring', '1'), { stdout: 'no certificates\n' })
  t.match((await admin('certificates', '--expiring', '400')).stdout, /laptop/)
  t.match(await admin('certificates', '--expiring', 'soon'), { exitCode: 2, stderr: /whole number from 0 to 36500/ })
  const serial = certificates[0].certificateSerialNumber as string
  t.match(await admin('revoke', serial, '--reason', 'boredom'), { exitCode: 1, stderr: /reason: expected one of/ })
  t.match(await admin('revoke', serial.toUpperCase().replace(/..(?=.)/g, '$&:'), '--reason', 'keyCompromise'), {
    exitCode: 0,
    stdout: `revoked ${serial}\n`,
  })
  t.match((await admin('certificates')).stdout, /laptop +Windows Wi-Fi user +revoked/)
  t.match(await admin('revoke', 'ff'), { exitCode: 1, stderr: /no issued certificate has the id "ff"/ })
  t.match(await admin('revoke', 'xyz'), { exitCode: 2, stderr: /expected a serial number in hexadecimal/ })
  t.match(jsonOf(await admin('revoke', 'ff', '--json')), { error: { code: 'ResourceNotFound' } })
})

t.test('PFX of users: import, list, delete', async (t) => {
  const { announced, admin } = await lab(t)
  const folder = t.testdir()
  const at = (name: string) => join(folder, name)
  const key = await testKey('pfx')
  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const handle = softwareKeyHandle(privateKey, 'ada')
  const certificate = await testCertificate({ subject: 'CN=Ada', key: handle, issuer: { subject: 'CN=CA', key } })
  writeFileSync(at('ada.pfx'), await buildPfx({ privateKey, certificates: [certificate], password: 'pfx-canary', iterations: 1_000 }))
  for (const [name, line] of [
    ['right', 'pfx-canary'],
    ['wrong', 'other-canary'],
    ['long', 'x'.repeat(127)],
  ] as const)
    writeFileSync(at(name), `${line}\n`, { mode: 0o600 })
  const ada = ['--user', 'ada@contoso.example']
  const importing = (passwordFile: string, ...more: string[]) =>
    admin('pfx', 'import', at('ada.pfx'), ...ada, '--purpose', 'smimeEncryption', '--password-file', at(passwordFile), ...more)

  t.match(await admin('pfx', 'list'), { exitCode: 0, stdout: 'no pfx\n' })
  t.match(await importing('wrong'), {
    exitCode: 1,
    stdout: '',
    stderr: /^certfleet: encryptedPfxPassword: the password is wrong, or the file was changed/,
  })
  t.match(await importing('long'), { exitCode: 2, stderr: /more than 126 octets/ })
  t.match(await importing('none'), { exitCode: 2, stderr: /--password-file .*none: cannot be read/ })
  t.match(await admin('pfx', 'import', at('none'), ...ada), { exitCode: 2, stderr: /pfx import .*none: cannot be read/ })
  t.match(await admin('pfx', 'import', at('ada.pfx')), { exitCode: 2, stderr: /expected --user/ })
  t.match(await admin('pfx', 'import', at('ada.pfx'), ...ada), { exitCode: 2, stderr: /no passphrase for the PFX: .*--password-file/ })
  const done = await importing('right')
  const [, thumbprint, id] = /^imported ([0-9A-F]{40}) for ada@contoso\.example, id ([0-9a-f-]{36})\n$/.exec(done.stdout) ?? []
  t.match(done, { exitCode: 0, stderr: '' })
  t.match(await importing('right', '--json'), { exitCode: 1, stdout: /"code":"Conflict"/ })
  const listed = await admin('pfx', 'list')
  t.match(listed.stdout, new RegExp(`^${id} +ada@contoso.example +smimeEncryption +${thumbprint} +2096\\S+ +2\\S+$`, 'm'))
  t.match(jsonOf(await admin('pfx', 'list', '--json')).pfx, [{ id, encryptedPfxBlob: null, encryptedPfxPassword: null }])
  chmodSync(at('right'), 0o644)
  t.match(await importing('right', '--purpose', 'vpn'), { exitCode: 0, stderr: /^warning: --password-file .*chmod 600/ })
  t.match(await admin('pfx', 'delete', thumbprint as string), { exitCode: 2, stderr: /^.*2 PFX have the thumbprint/ })
  t.match(await admin('pfx', 'delete', id as string), { exitCode: 0, stdout: `deleted ${thumbprint} of ada@contoso.example, id ${id}\n` })
  const spelled = (thumbprint as string).toLowerCase().replace(/..(?=.)/g, '$&:')
  t.match(await admin('pfx', 'delete', spelled, '--json'), { exitCode: 0, stdout: /^\{"deleted":\{/ })
  t.match(await admin('pfx', 'delete', 'none'), { exitCode: 2, stderr: /no PFX has the id or thumbprint "none"/ })
  for (const { stdout, stderr } of [done, listed]) t.notMatch(stdout + stderr, 'canary')

  const smime = {
    '@odata.type': '#microsoft.graph.windows10ImportedPFXCertificateProfile',
    ...{ id: 'smime', displayName: 'S/MIME', intendedPurpose: 'smimeEncryption' },
    ...{ renewalThresholdPercentage: 20, keyStorageProvider: 'useSoftwareKsp' },
    'rootCertificate@odata.bind': `…/deviceConfigurations('${example('windows-root').id}')`,
  }
  writeFileSync(at('smime.json'), JSON.stringify(smime))
  t.match(await admin('profiles', 'create', at('smime.json')), { exitCode: 0, stderr: '' })
  t.match(await admin('assign', 'smime', '--all-devices'), { exitCode: 0 })
  const { policyUrl, registrationToken } = announced
  const device = { deviceId: 'laptop', platform: 'windows', osVersion: '11' }
  const management = await managementIdentity(softwareKeys())
  const managementCertificate = management.certificate
  const { credential } = await registerDevice({ policyUrl, registrationToken, transport, ...device, managementCertificate })
  const source = policyService({ policyUrl, deviceId: 'laptop', credential, transport, cache: memoryPolicyCache(), management }).pfxSource
  const ask = () => source?.pfxFor('smime', 'attempt-1', new AbortController().signal)
  await t.rejects(async () => ask(), { code: 'ERR_PFX_UNAVAILABLE', message: /404/ }, 'nothing is imported for its user')
  const mine = ['--user', 'user-of-laptop@contoso.example', '--purpose', 'smimeEncryption', '--password-file', at('right')]
  t.match(await admin('pfx', 'import', at('ada.pfx'), ...mine), { exitCode: 0 })
  const delivered = await ask()
  const { certificates } = await openPfx(delivered?.pfx ?? new Uint8Array(), { password: delivered?.password ?? '' })
  t.same(certificates[0]?.der, certificate, 'its device has it')
})

t.test('the token comes from a file or the environment, and is not repeated', async (t) => {
  const { announced, end } = await lab(t)
  const { adminUrl, adminToken } = announced
  const file = join(t.testdir(), 'token')
  const run = (argv: readonly string[], env = {}) => command(['admin', '--url', adminUrl, 'devices', ...argv], env)
  writeFileSync(file, `${adminToken}\n`, { mode: 0o600 })
  t.match(await run(['--token-file', file]), { exitCode: 0, stderr: '' })
  chmodSync(file, 0o644)
  t.match(await run(['--token-file', file]), { exitCode: 0, stderr: /^warning: --token-file .*chmod 600/ })
  t.match(await run([]), { exitCode: 2, stderr: /no admin token: set CERTFLEET_ADMIN_TOKEN/ })
  t.match(await run(['--token-file', `${file}s`]), { exitCode: 2, stderr: /--token-file .*tokens: cannot be read/ })
  const guess = { CERTFLEET_ADMIN_TOKEN: 'guess-canary' }
  for (const outcome of [await run([], guess), await run([], { CERTFLEET_ADMIN_TOKEN: 'guess\u00e9-canary' })]) {
    t.not(outcome.exitCode, 0)
    t.notMatch(outcome.stdout + outcome.stderr, 'canary')
  }
  t.match(await run([], guess), { exitCode: 1, stderr: /expected the token of the admin as bearer/ })
  t.match(await command(['admin', 'devices'], guess), { exitCode: 2, stderr: /expected --url/ })
  for (const url of ['nothing', 'ftp://lab', 'http://a:b@lab', 'http://lab?x=1'])
    t.match(await command(['admin', '--url', url, 'devices'], guess), { exitCode: 2, stderr: /--url: expected the URL of a lab/ }, url)
  const root = new URL(adminUrl).origin
  t.match(await command(['admin', '--url', root, 'devices'], { CERTFLEET_ADMIN_TOKEN: adminToken }), { exitCode: 0 }, 'without /v1.0')
  t.match(await command(['admin', '--url', `${root}/beta/`, 'devices'], { CERTFLEET_ADMIN_TOKEN: adminToken }), { exitCode: 0 })
  await end()
  t.match(await run([], guess), { exitCode: 1, stderr: /ERR_NETWORK/ }, 'nobody is there')
})

t.test('a server that is no lab', async (t) => {
  const rows: [name: string, status: number, body: string][] = [
    ['a page', 200, '<html>'],
    ['nothing', 200, ''],
    ['an object that is no list', 200, '{}'],
    ['an error of another shape', 404, '{"error":"no"}'],
    ['no object', 500, 'null'],
  ]
  for (const [name, status, body] of rows) {
    const server = createServer((_, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const outcome = await command(['admin', '--url', url, 'devices'], { CERTFLEET_ADMIN_TOKEN: 'token' })
    t.match(outcome, { exitCode: 1, stderr: new RegExp(`answered ${status}, and not as the admin's API of a lab does`) }, name)
  }
})

t.test('a list of several pages comes whole, from the host that was named', async (t) => {
  const asked: string[] = []
  const server = createServer(({ url = '' }, response) => {
    asked.push(url)
    const next = asked.length < 3 ? { '@odata.nextLink': `http://elsewhere.invalid/v1.0/x?$skiptoken=${asked.length}` } : {}
    response.end(JSON.stringify({ value: [{ id: `d${asked.length}` }], ...next }))
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const outcome = await command(['admin', '--url', url, 'devices', '--json'], { CERTFLEET_ADMIN_TOKEN: 'token' })
  t.same(
    jsonOf(outcome).devices.map(({ id }: Json) => id),
    ['d1', 'd2', 'd3'],
  )
  t.same(asked, [
    '/v1.0/deviceManagement/managedDevices',
    ...[1, 2].map((page) => `/v1.0/deviceManagement/managedDevices?%24skiptoken=${page}`),
  ])
})

t.test('help has examples', async (t) => {
  for (const argv of [
    ['admin'],
    ['admin', 'assign'],
    ['admin', 'certificates'],
    ['admin', 'profiles'],
    ['admin', 'revoke'],
    ['admin', 'pfx', 'import'],
  ]) {
    const { stdout, exitCode } = await command([...argv, '--help'])
    t.equal(exitCode, 0)
    if (argv.length === 1 || argv[1] === 'assign') t.match(stdout, /Examples:\n {2}\$ /)
  }
})
