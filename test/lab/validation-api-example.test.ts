import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Lab, serveLab } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { root } from '../tooling/root.ts'
import { challengeFor, policyWith, register, startLab } from './surroundings.ts'
import { intune, validationApi } from './third-party.ts'

type Enrol = (
  service: object,
  transactionId: string,
  csr: Uint8Array,
  issue: (csr: Uint8Array) => Promise<Uint8Array>,
) => Promise<Uint8Array>
const { enrol } = (await import(join(root, '.build/examples/scep-server-integration.js'))) as { enrol: Enrol }

const config = (challenge: string) => `
[req]
prompt = no
distinguished_name = subject
attributes = attributes
req_extensions = extensions
[subject]
CN = device-1
O = Example
[attributes]
challengePassword = ${challenge}
[extensions]
keyUsage = digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
subjectAltName = DNS:device-1.example, otherName:1.3.6.1.4.1.311.20.2.3;UTF8:ada@example
`

/** A lab on loopback, a CSR for its device by openssl, and somebody else's CA by openssl. */
async function surroundings(t: Test, alter: (lab: Lab) => Lab = (lab) => lab) {
  const test = await startLab({ validationApi })
  const { url, close } = await serveLab(alter(test.lab))
  t.teardown(close)
  const folder = t.testdir({ 'request.cnf': config(await challengeFor(test.lab, await register(test.lab))) })
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  openssl(
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'key.pem',
    '-config',
    'request.cnf',
    '-outform',
    'DER',
    '-out',
    'csr.der',
  )
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-subj', '/CN=Other CA', '-out', 'ca.pem')
  const csr = readFileSync(join(folder, 'csr.der'))
  let issues = 0
  const issue = async () => {
    issues++
    openssl(
      'x509',
      '-req',
      '-inform',
      'DER',
      '-in',
      'csr.der',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-days',
      '30',
      '-outform',
      'DER',
      '-out',
      'c.der',
    )
    return readFileSync(join(folder, 'c.der'))
  }
  const service = { ...validationApi, authority: url, graph: url, resource: intune }
  return { ...test, service, csr, issue, issues: () => issues }
}

const failsAt = (action: string) => (lab: Lab) => ({
  ...lab,
  handle: async (request: Parameters<Lab['handle']>[0]) =>
    request.url.endsWith(action) ? { status: 500, headers: {}, body: new Uint8Array() } : lab.handle(request),
})

t.test('a third party’s server with a CSR by openssl: validated, issued by its CA, notified, handed out', async (t) => {
  const { lab, service, csr, issue } = await surroundings(t)
  const certificate = await enrol(service, 'TX-1', csr, issue)
  const { fingerprint, subject } = new X509Certificate(certificate)
  t.equal(subject, 'CN=device-1\nO=Example')
  t.match(
    [...(lab.validationApi?.enrollments() ?? [])],
    [
      {
        transactionId: 'TX-1',
        binding: { deviceId: 'device-1', profileId: 'wifi' },
        callerInfo: 'my-scep-server 1.0',
        outcome: { status: 'issued', thumbprint: fingerprint.replaceAll(':', '').toLowerCase(), issuerName: 'CN=Other CA' },
      },
    ],
  )
})

t.test('what it must not do', async (t) => {
  t.test('issue where validation refuses', async (t) => {
    const { service, csr, issue, issues, policies } = await surroundings(t)
    policies.set('device-1', policyWith())
    await t.rejects(enrol(service, 'TX-1', csr, issue), { message: 'validateRequest: ScepProfileNoLongerTargetedToTheClient' })
    t.equal(issues(), 0)
  })
  t.test('issue where validation answers 500', async (t) => {
    const { service, csr, issue, issues } = await surroundings(t, failsAt('validateRequest'))
    await t.rejects(enrol(service, 'TX-1', csr, issue), { message: 'validateRequest: HTTP 500' })
    t.equal(issues(), 0)
  })
  t.test('issue where it cannot authenticate', async (t) => {
    const { service, csr, issue, issues } = await surroundings(t)
    await t.rejects(enrol({ ...service, clientSecret: 'wrong' }, 'TX-1', csr, issue), { message: 'token: HTTP 401' })
    t.equal(issues(), 0)
  })
  t.test('hand out a certificate whose notification failed', async (t) => {
    const { lab, service, csr, issue, issues } = await surroundings(t, failsAt('successNotification'))
    await t.rejects(enrol(service, 'TX-1', csr, issue), { message: 'successNotification: HTTP 500' })
    t.equal(issues(), 1)
    t.equal([...(lab.validationApi?.enrollments() ?? [])][0]?.outcome, undefined)
  })
  t.test('keep a failure of its CA to itself', async (t) => {
    const { lab, service, csr } = await surroundings(t)
    await t.rejects(
      enrol(service, 'TX-1', csr, () => Promise.reject(new Error('CA down'))),
      { message: 'CA down' },
    )
    t.match([...(lab.validationApi?.enrollments() ?? [])], [{ outcome: { status: 'failed', hResult: -2147467259 } }])
  })
})

t.test('the page shows the example as it is', async (t) => {
  const page = readFileSync(join(root, 'docs/test-your-scep-server.md'), 'utf8')
  t.ok(page.includes(`\`\`\`ts\n${readFileSync(join(root, 'examples/scep-server-integration.ts'), 'utf8')}\`\`\``))
})
