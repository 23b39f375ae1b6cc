import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import {
  managementIdentity,
  managementKeyLabel,
  memoryPolicyCache,
  type PfxSource,
  policyService,
  registerDevice,
  softwareKeys,
} from '@certfleet/agent-core'
import { buildEnvelopedData } from '@certfleet/agent-core/cms'
import { isSelfSigned, parseCertificate, publicKeyOf } from '@certfleet/agent-core/pki'
import t from 'tap'
import { pfxSourceContract } from '../contracts/pfx-source.ts'
import { answer, type FakeService, fakeService, jsonOf, policyUrl } from './fake-service.ts'

const signal = new AbortController().signal
const keys = softwareKeys()
const management = await managementIdentity(keys)
const stranger = await managementIdentity(softwareKeys())

function sourceOf({ transport }: FakeService, credential = 'credential-1'): PfxSource {
  const service = policyService({ policyUrl, credential, deviceId: 'device-1', transport, cache: memoryPolicyCache(), management })
  return service.pfxSource as PfxSource
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
const sealed = (content: Uint8Array | string, certificate = management.certificate) =>
  buildEnvelopedData({ content: Buffer.from(content), recipient: parseCertificate(certificate), cipher: 'aes-256-cbc' })

await pfxSourceContract(t, async (_, { pfx, password }) => {
  const service = fakeService()
  let { certificate } = management
  service.answers.set('pfx', (request) =>
    (jsonOf(request) as { profileId: string }).profileId === 'mail'
      ? answer(200, { pfx: base64(pfx), password: base64(sealed(password, certificate)) })
      : answer(404),
  )
  const cut = () => {
    service.cut = true
  }
  const misdirect = () => {
    certificate = stranger.certificate
  }
  return { source: sourceOf(service), misdirect, cut }
})

await t.test('a PFX is asked for by profile and attempt, with the credential', async (t) => {
  const service = fakeService()
  service.answers.set('pfx', () => answer(200, { pfx: 'AAAA', password: base64(sealed('p')) }))
  await sourceOf(service).pfxFor('mail', 'attempt-7', signal)
  const [request] = service.requests
  t.equal(request?.method, 'POST')
  t.equal(request?.url, 'https://policy.invalid/device/pfx')
  t.same(request && jsonOf(request), { profileId: 'mail', attemptId: 'attempt-7' })
})

await t.test('with a credential that is refused it is ERR_UNAUTHORIZED', async (t) => {
  await t.rejects(sourceOf(fakeService('another')).pfxFor('mail', 'a', signal), { code: 'ERR_UNAUTHORIZED' })
})

await t.test('without a management identity there is no source', async (t) => {
  const service = policyService({
    policyUrl,
    credential: 'c',
    deviceId: 'd',
    transport: fakeService().transport,
    cache: memoryPolicyCache(),
  })
  t.notOk('pfxSource' in service)
})

const good = { pfx: 'AAAA', password: base64(sealed('hidden')) }
for (const [name, status, body] of [
  ['204', 204, ''],
  ['no JSON', 200, '{"pfx":"hidden'],
  ['without a password', 200, { pfx: 'AAAA' }],
  ['a password in the clear', 200, { ...good, password: 'hidden!' }],
  ['an empty file', 200, { ...good, pfx: '' }],
  ['a file beyond 1 MiB', 200, { ...good, pfx: 'A'.repeat(4 * Math.ceil((1024 * 1024) / 3) + 4) }],
  ['a password beyond 16 KiB', 200, { ...good, password: 'A'.repeat(16_388) }],
] as const) {
  await t.test(`an answer of ${name} is ERR_PFX_UNAVAILABLE, and nothing of it is told`, async (t) => {
    const service = fakeService()
    service.answers.set('pfx', () => answer(status, body))
    const error = await sourceOf(service)
      .pfxFor('mail', 'a', signal)
      .catch((error) => error)
    t.equal(error.code, 'ERR_PFX_UNAVAILABLE')
    t.notMatch(inspect(error, { depth: 9 }), /hidden|AAAA/)
  })
}

await t.test('whatever is wrong with the envelope is one error', async (t) => {
  const whole = sealed('hidden')
  const flipped = Buffer.from(whole)
  flipped[flipped.length - 1] = (flipped.at(-1) as number) ^ 1
  const rows: readonly (readonly [name: string, envelope: Uint8Array])[] = [
    ['for another', sealed('hidden', stranger.certificate)],
    ['changed', flipped],
    ['torn', whole.subarray(0, -1)],
    ['no CMS', randomBytes(40)],
    ['empty inside', sealed('')],
    ['not UTF-8', sealed(Uint8Array.of(0xff, 0xfe))],
  ]
  const told = new Set<string>()
  for (const [name, envelope] of rows) {
    const service = fakeService()
    service.answers.set('pfx', () => answer(200, { ...good, password: base64(envelope) }))
    const error = await sourceOf(service)
      .pfxFor('mail', 'a', signal)
      .catch((error) => error)
    // A changed block may still end in good padding: then it is another password, and the file does not open.
    if (name === 'changed' && error.code === undefined) continue
    told.add(`${error.code} ${error.message} ${error.cause}`)
  }
  t.same([...told], ['ERR_CMS_DECRYPT the password of the PFX could not be decrypted undefined'])
})

await t.test('the management identity', async (t) => {
  await t.test('is of an RSA-2048 key under its own label, made once', async (t) => {
    t.same(await keys.list(), [managementKeyLabel])
    t.same((await managementIdentity(keys)).certificate, management.certificate)
    t.same(await keys.list(), [managementKeyLabel])
    t.equal(publicKeyOf(parseCertificate(management.certificate)).asymmetricKeyDetails?.modulusLength, 2048)
  })
  await t.test('is self-signed, for encryption alone, and named like no other', async (t) => {
    const [own, other] = [parseCertificate(management.certificate), parseCertificate(stranger.certificate)]
    t.ok(isSelfSigned(own))
    t.same(own.keyUsage && [...own.keyUsage], ['keyEncipherment'])
    t.notSame(own.serialNumber, other.serialNumber)
  })
  await t.test('is sent when the device registers, in base64, and left out where there is none', async (t) => {
    const service = fakeService('token-1')
    service.answers.set('register', () => answer(201, { deviceId: 'device-9', credential: 'abc' }))
    const device = {
      policyUrl,
      transport: service.transport,
      registrationToken: 'token-1',
      deviceId: 'd',
      platform: 'fake',
      osVersion: '1',
    }
    await registerDevice({ ...device, managementCertificate: management.certificate })
    await registerDevice(device)
    const [first, second] = service.requests.map(jsonOf) as { managementCertificate?: string }[]
    t.equal(first?.managementCertificate, base64(management.certificate))
    t.notOk(second && 'managementCertificate' in second)
  })
})
