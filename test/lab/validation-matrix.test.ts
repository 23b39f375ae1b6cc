import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCsr, parseCertificate } from '@certfleet/agent-core/pki'
import type { Lab, LabOptions } from '@certfleet/emulator/lab'
import t, { type Test } from 'tap'
import { testKey } from '../fakes/certificates.ts'
import { root } from '../tooling/root.ts'
import { type Asked, challengeFor, csrFor, enrolled, policyWith, register, startLab, wifi } from './surroundings.ts'
import { call, certificate, codeOf, notify, validationApi } from './third-party.ts'

// Microsoft's own list of scenarios for who integrates a SCEP server, with a column for each platform. It is theirs, and not kept here.
const samples = process.env.CERTFLEET_SAMPLES ?? join(root, '../shared/samples')
const file = join(samples, 'validation/TestMatrix.csv')
const missing = existsSync(file) ? false : 'no matrix: set CERTFLEET_SAMPLES to a folder that holds validation/TestMatrix.csv'

type Profile = typeof wifi
type Scenario = (t: Test, platform: string) => Promise<void>

async function world(platform: string, profile: Partial<Profile> = {}, options: Partial<LabOptions> = {}) {
  const test = await startLab({ validationApi, ...options })
  test.policies.set('device-1', policyWith({ ...wifi, ...profile }))
  const credential = await register(test.lab, 'device-1', platform)
  return { ...test, challenge: (attempt = 'attempt-1') => challengeFor(test.lab, credential, attempt) }
}

/** A request as the profile has it passes, and a certificate is notified; one that is not so is refused. */
const profileWith =
  (profile: Partial<Profile>, other: Partial<Asked>, code: string): Scenario =>
  async (t, platform) => {
    const { lab, challenge } = await world(platform, profile)
    const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = { ...wifi, ...profile }
    const asked = { key: await testKey('a'), challenge: await challenge(), subject, subjectAltNames, keyUsages, extendedKeyUsages }
    t.equal(await codeOf(lab, await csrFor({ ...asked, ...other })), code)
    const csr = await csrFor(asked)
    t.equal(await codeOf(lab, csr), 'Success')
    t.equal(await notify(lab, csr, certificate), 'Success')
  }

const subjects: Readonly<Record<string, string>> = {
  'Common Name': 'CN=ada',
  'Common Name with email': 'CN=ada,E=ada@example',
  'Common name as email': 'CN=ada@example',
  IMEI: 'CN=356938035643809',
  'Serial number': 'CN=C02XK0AAJGH5',
  Custom: 'CN=ada,OU=Sales,O=Example,C=SE',
}
const email = { type: 'email', value: 'ada@example' } as const
const upn = { type: 'upn', value: 'ada@example' } as const

const hashed =
  (hash: 'sha1' | 'sha256'): Scenario =>
  async (t, platform) => {
    const { lab, challenge } = await world(platform, {}, { legacySha1: hash === 'sha1' })
    const { subject, subjectAltNames, keyUsages, extendedKeyUsages } = wifi
    const contents = { subject, subjectAltNames, keyUsages, extendedKeyUsages, key: await testKey('a'), challenge: await challenge() }
    const csr = await createCsr({ ...contents, hash: hash as 'sha256' })
    t.equal(await codeOf(lab, csr), 'Success')
    if (hash === 'sha1')
      t.equal(await codeOf((await startLab({ validationApi })).lab, csr), 'CertificateRequestDecodingFailed', 'by the switch alone')
  }

const answering500 = (lab: Lab, action: string): Lab => ({
  ...lab,
  handle: async (request) => (request.url.endsWith(action) ? { status: 500, headers: {}, body: new Uint8Array() } : lab.handle(request)),
})

const scenarios: readonly (readonly [RegExp, (...matched: string[]) => Scenario])[] = [
  [
    /^Validation Period/,
    () => async (t, platform) => {
      const { lab, challenge } = await world(platform, {}, { honourRequestedValidity: true })
      const { notBefore, notAfter } = parseCertificate(await enrolled(lab, { key: await testKey('a'), challenge: await challenge() }))
      t.equal((notAfter - notBefore) / 86_400_000, platform === 'ios' || platform === 'macos' ? 365 : 30)
    },
  ],
  [/^SN Format: (.+)$/, (name = '') => profileWith({ subject: subjects[name] as string }, { subject: 'CN=eve' }, 'SubjectNameMismatch')],
  [/^SAN: Email$/, () => profileWith({ subjectAltNames: [email] }, { subjectAltNames: [upn] }, 'SubjectAltNameMismatch')],
  [/^SAN: UPN$/, () => profileWith({ subjectAltNames: [upn] }, { subjectAltNames: [] }, 'SubjectAltNameMissing')],
  [/^SAN: Email and UPN$/, () => profileWith({ subjectAltNames: [email, upn] }, { subjectAltNames: [upn] }, 'SubjectAltNameMismatch')],
  [
    /^Key Usage: Digital signature$/,
    () => profileWith({ keyUsages: ['digitalSignature'] }, { keyUsages: ['keyEncipherment'] }, 'KeyUsageMismatch'),
  ],
  [/^Key Usage: Key encipherment$/, () => profileWith({ keyUsages: ['keyEncipherment'] }, { keyUsages: [] }, 'KeyUsageMismatch')],
  [
    /^Key Usage: .+ and .+$/,
    () => profileWith({ keyUsages: ['digitalSignature', 'keyEncipherment'] }, { keyUsages: ['keyEncipherment'] }, 'KeyUsageMismatch'),
  ],
  [
    /^Key Size: (\d+)$/,
    (bits) => async (t, platform) => {
      const { lab, challenge, policies } = await world(platform, { keyBits: Number(bits) as 2048 })
      const { generateKeyPairSync } = await import('node:crypto')
      const { softwareKeyHandle } = await import('@certfleet/agent-core')
      const key = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: Number(bits) }).privateKey, 'sized')
      t.equal(await codeOf(lab, await csrFor({ key, challenge: await challenge() })), 'Success')
      policies.set('device-1', policyWith({ ...wifi, keyBits: 4096 }))
      t.equal(await codeOf(lab, await csrFor({ key, challenge: await challenge('attempt-2') }), 'T2'), 'KeyLengthMismatch')
    },
  ],
  [/^Hash Alg: SHA-1$/, () => hashed('sha1')],
  [/^Hash Alg: SHA-(2|1 & SHA-2)$/, () => hashed('sha256')],
  [
    /^Extended Key Usage: (.+)$/,
    (name) =>
      profileWith(
        { extendedKeyUsages: [name === 'Client Authentication' ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.6'] },
        { extendedKeyUsages: ['1.3.6.1.5.5.7.3.1'] },
        'EnhancedKeyUsageMismatch',
      ),
  ],
  [
    /^Renewal$/,
    () => async (t, platform) => {
      const { lab, challenge } = await world(platform)
      for (const [i, key] of (await Promise.all(['a', 'b'].map(testKey))).entries()) {
        const csr = await csrFor({ key, challenge: await challenge(`attempt-${i}`) })
        t.equal(await codeOf(lab, csr, `T${i}`), 'Success')
        t.equal(await notify(lab, csr, { ...certificate, certificateSerialNumber: `0${i}` }, `T${i}`), 'Success')
      }
      t.equal([...(lab.validationApi?.enrollments() ?? [])].length, 2, 'the console shows both')
    },
  ],
  [
    /^Challenge Authentication Failure$/,
    () => async (t, platform) => {
      const { lab } = await world(platform)
      const csr = await csrFor({ key: await testKey('a'), challenge: 'A'.repeat(400) })
      t.equal(await codeOf(lab, csr), 'SignatureValidationFailed')
    },
  ],
  [
    /^(Challenge Authentication Failure - 2|Success Notification Failure)$/,
    (which = '') =>
      async (t, platform) => {
        const isSuccess = which.startsWith('Success')
        const { lab, challenge } = await world(platform)
        const failing = answering500(lab, isSuccess ? 'successNotification' : 'validateRequest')
        const csr = await csrFor({ key: await testKey('a'), challenge: await challenge() })
        t.equal(await codeOf(failing, csr), isSuccess ? 'Success' : '500')
        t.equal(await notify(failing, csr, certificate), isSuccess ? '500' : 'BadCertificateRequestIdInChallenge')
        t.notOk(
          [...(lab.validationApi?.enrollments() ?? [])].some(({ outcome }) => outcome),
          'no certificate counts',
        )
      },
  ],
  [
    /^Communication Failure$/,
    () => async (t, platform) => {
      const { lab } = await world(platform)
      t.equal((await call(lab, 'ScepActions/validateRequest', {}, { token: 'of-an-invalid-key' })).status, 401)
    },
  ],
]
const platforms = ['windows', 'ios', 'macos', 'android', 'android']

t.test("Microsoft's matrix: every scenario on every platform that it is for", { skip: missing }, async (t) => {
  const lines = readFileSync(file, 'utf8')
    .replace(/^\ufeff/, '')
    .trim()
    .split(/\r?\n/)
    .slice(1)
  t.equal(lines.length, 25)
  let cells = 0
  for (const line of lines) {
    const columns = line.split(',')
    const name = columns[0] ?? ''
    const [pattern, scenario] = scenarios.find(([expression]) => expression.test(name)) ?? []
    if (!pattern || !scenario) {
      t.fail(`no test for the scenario "${name}"`)
      continue
    }
    const run = scenario(...(pattern.exec(name)?.slice(1) ?? []))
    const wanted = platforms.filter((_, i) => columns.at(i - platforms.length) !== 'N/A')
    cells += wanted.length
    await t.test(name, async (t) => {
      for (const platform of wanted) await t.test(platform, (t) => run(t, platform))
    })
  }
  t.equal(cells, 119, 'SHA is not asked of Apple')
})
