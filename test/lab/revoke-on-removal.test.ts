import type { PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { type LabOptions, memoryLabStore } from '@certfleet/emulator/lab'
import t from 'tap'
import { testKey } from '../fakes/certificates.ts'
import {
  challengeFor,
  csrFor,
  enroll,
  enrolled,
  exchange,
  jsonOf,
  policyWith,
  post,
  register,
  startLab,
  type TestLab,
  wifi,
} from './surroundings.ts'

const day = 86_400_000
const retired = { ...policyWith(), lifecycle: 'retired' } as const

/** A device of that platform with one certificate. */
async function enrolledOn(platform: string, options: Partial<LabOptions> = {}) {
  const it = await startLab(options)
  const credential = await register(it.lab, 'device-1', platform)
  const serialNumber = await another({ ...it, credential }, 'a')
  return { ...it, credential, serialNumber }
}

async function another({ lab, credential }: Pick<TestLab, 'lab'> & { credential: string }, key: string): Promise<string> {
  const challenge = await challengeFor(lab, credential, `attempt-${key}`)
  return serialNumberHex(parseCertificate(await enrolled(lab, { key: await testKey(key), challenge })))
}

/** What the CRL would say of it. */
const reasonOf = ({ store }: Pick<TestLab, 'store'>, serialNumber: string) => store.get('revocations', serialNumber)?.reason

async function change(it: TestLab, policy: PolicyDocument | undefined): Promise<void> {
  if (policy) it.policies.set('device-1', policy)
  else it.policies.delete('device-1')
  await it.lab.policiesChanged()
}

const rows: [name: string, platform: string, PolicyDocument | undefined, reason: string | undefined][] = [
  ...['windows', 'ios', 'macos', 'android'].flatMap((platform): typeof rows => [
    ['profile unassigned', platform, policyWith(), 'cessationOfOperation'],
    ['retired', platform, retired, 'cessationOfOperation'],
    ['retired, whatever is still listed', platform, { ...policyWith(wifi), lifecycle: 'retired' }, 'cessationOfOperation'],
    ['unenrolled', platform, { ...policyWith(), lifecycle: 'unenrolled' }, 'cessationOfOperation'],
    ['unlicensed', platform, { ...policyWith(), lifecycle: 'unlicensed' }, undefined],
    ['wiped', platform, { ...policyWith(), lifecycle: 'wiped' }, platform === 'macos' ? undefined : 'cessationOfOperation'],
    ['nothing changed for it', platform, policyWith(wifi, { ...wifi, id: 'vpn' }), undefined],
    [
      'the profile fails',
      platform,
      { ...policyWith(), failedProfiles: [{ ...wifi, code: 'ERR_VARIABLE_UNRESOLVED', message: 'no' }] },
      undefined,
    ],
    ['no policy: nobody knows the device', platform, undefined, undefined],
  ]),
  ['profile unassigned', 'plan9', policyWith(), 'cessationOfOperation'],
]

for (const [name, platform, policy, reason] of rows) {
  t.test(`${platform}: ${name}`, async (t) => {
    const it = await enrolledOn(platform)
    await change(it, policy)
    t.equal(reasonOf(it, it.serialNumber), reason)
    const entries = it.lab.audit().length
    await it.lab.policiesChanged()
    t.equal(it.lab.audit().length, entries, 'and that is all')
  })
}

async function report(it: TestLab & { credential: string }, serialNumber: string): Promise<void> {
  const policy = await it.lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${it.credential}` } })
  const { revision } = jsonOf(policy)
  const profiles = [{ profileId: 'wifi', principal: 'device', state: 'installed', serialNumber }]
  const told = await post(
    it.lab,
    '/device/report',
    { revision, at: 0, platform: 'windows', results: [], roots: [], profiles },
    it.credential,
  )
  t.equal(told.status, 204)
}

t.test('a device that is managed no longer gets no profile, no challenge and no renewal, whatever is still listed', async (t) => {
  const it = await enrolledOn('macos')
  const key = await testKey('b')
  const challenge = await challengeFor(it.lab, it.credential, 'attempt-b')
  await change(it, { ...policyWith(wifi), lifecycle: 'wiped' })
  const { body } = await it.lab.handle({ method: 'GET', url: '/device/policy', headers: { authorization: `Bearer ${it.credential}` } })
  t.match(JSON.parse(Buffer.from(body).toString()), { lifecycle: 'wiped', scepProfiles: [], trustedRoots: [] })
  t.equal((await post(it.lab, '/device/challenge', { profileId: 'wifi', attemptId: 'attempt-c' }, it.credential)).status, 404)
  t.equal(await enroll(it.lab, { key, challenge }), 'badRequest', 'by a challenge of before')
  const certificate = parseCertificate(it.store.get('issued', it.serialNumber)?.certificate ?? new Uint8Array())
  const signer = { certificate, key: await testKey('a') }
  const reply = await exchange(it.lab, { messageType: 'RenewalReq', key, signer, content: await csrFor({ key }) })
  t.match(reply, { failInfo: 'badRequest' }, 'by the certificate that nobody revoked')
})

t.test('profile edited: the old certificate is revoked once the device has the new one, and not before', async (t) => {
  for (const platform of ['windows', 'ios', 'macos', 'android']) {
    const it = await enrolledOn(platform)
    await report(it, it.serialNumber)
    await change(it, policyWith({ ...wifi, keyStorage: 'useTpmKspOtherwiseFail' }))
    const next = await another(it, 'b')
    await report(it, it.serialNumber)
    t.equal(reasonOf(it, it.serialNumber), undefined, `${platform}: in use still`)
    await report(it, next)
    t.equal(reasonOf(it, it.serialNumber), 'superseded', platform)
    t.equal(reasonOf(it, next), undefined)
    t.match(it.lab.audit().at(-1), { event: 'revoked', serialNumber: it.serialNumber })
  }
})

t.test('a renewal, and an edit that forces no new request, revoke nothing', async (t) => {
  const it = await enrolledOn('windows')
  await report(it, it.serialNumber)
  await change(
    it,
    policyWith({ ...wifi, displayName: 'WLAN', renewalThresholdPercent: 40, scepUrls: [...wifi.scepUrls, ...wifi.scepUrls] }),
  )
  const next = await another(it, 'b')
  await report(it, next)
  t.equal(reasonOf(it, it.serialNumber), undefined)
})

t.test('a device speaks for its own certificates alone', async (t) => {
  const it = await enrolledOn('windows')
  it.policies.set('device-2', { ...policyWith({ ...wifi, subject: 'CN=device-2' }), deviceId: 'device-2' })
  const other = { ...it, credential: await register(it.lab, 'device-2') }
  await report(other, it.serialNumber)
  it.policies.set('device-2', { ...policyWith({ ...wifi, subject: 'CN=device-2,O=New' }), deviceId: 'device-2' })
  await report(other, '00ff')
  t.equal(reasonOf(it, it.serialNumber), undefined)
})

t.test('by the account that asked for it (S52): one that may not is told of once, and the others are revoked', async (t) => {
  const accounts = [{ name: 'ndes', issueAndManage: false }]
  const it = await enrolledOn('windows', { accounts })
  await change(it, policyWith())
  t.equal(reasonOf(it, it.serialNumber), undefined)
  await it.lab.policiesChanged()
  const refusals = it.lab.audit().filter(({ event }) => event === 'revocation-refused')
  t.match(refusals, [{ serialNumber: it.serialNumber, detail: /"ndes" does not hold/ }])
  t.equal(refusals.length, 1)
})

t.test('what has expired is let be, and what a static challenge let through is nobody’s', async (t) => {
  const it = await enrolledOn('windows', { staticChallenge: 'secret' })
  const free = serialNumberHex(parseCertificate(await enrolled(it.lab, { key: await testKey('c'), challenge: 'secret' })))
  await it.clock.advance(400 * day)
  await change(it, policyWith())
  t.same([reasonOf(it, it.serialNumber), reasonOf(it, free)], [undefined, undefined])
})

t.test('after a restart of the lab it goes on where a crash cut it off', async (t) => {
  const store = memoryLabStore()
  const it = await enrolledOn('windows', { store })
  it.policies.set('device-1', policyWith())
  const again = await startLab({ store, policyFor: (deviceId) => it.policies.get(deviceId) })
  await again.lab.policiesChanged()
  t.equal(reasonOf(it, it.serialNumber), 'cessationOfOperation')
})
