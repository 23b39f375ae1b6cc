import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  AgentError,
  createAgent,
  type HttpRequest,
  handlerTransport,
  type KeyProtection,
  type KeyStorageProvider,
  managementIdentity,
  modelledPassport,
  modelledTpm,
  noLatency,
  openStateFolder,
  policyService,
  registerDevice,
  type StateFolder,
  softwareKeys,
} from '@certfleet/agent-core'
import { createLab, type Lab } from '@certfleet/emulator/lab'
import { platformAdapter } from '@certfleet/platforms'
import t, { type Test } from 'tap'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { type ConnectorMood, pfxConnector, withPfx } from '../fakes/pfx-connector.ts'
import { policyDocument } from '../fakes/policy-document.ts'
import { pooledKeys } from '../fakes/pooled-keys.ts'
import { filesBelow, leaks } from './leaks.ts'

const policyUrl = 'http://lab.example/device/policy'
const registrationToken = 'canary-registration-token'
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pfxKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const jwk = privateKey.export({ format: 'jwk' })
const start = Date.UTC(2027, 0, 1)

const troubles: [name: string, (request: HttpRequest, lab: Lab) => ReturnType<Lab['handle']>][] = [
  ['all is well', (request, lab) => lab.handle(request)],
  [
    'SCEP answers 500',
    async (request, lab) =>
      request.url.includes('PKIOperation') ? { status: 500, headers: {}, body: request.body ?? new Uint8Array() } : lab.handle(request),
  ],
  [
    'SCEP echoes the request',
    async (request, lab) =>
      request.url.includes('PKIOperation') ? { status: 200, headers: {}, body: request.body ?? new Uint8Array() } : lab.handle(request),
  ],
  [
    'the network fails behind the challenge',
    async (request, lab) => {
      if (request.url.includes('PKIOperation')) throw new AgentError('ERR_NETWORK', 'lab.example reset the connection')
      return lab.handle(request)
    },
  ],
  [
    'challenge is garbled',
    async (request, lab) =>
      request.url.endsWith('/challenge') ? { status: 200, headers: {}, body: Buffer.from('{"challenge":') } : lab.handle(request),
  ],
  ['the lab refuses', (request, lab) => lab.handle(request)],
]

/** What the connector does wrong, and what then is reported of its profile. */
const pfxTroubles: [name: string, mood: ConnectorMood, expected: object][] = [
  ['all is well', {}, { state: 'installed' }],
  ['the password is another', { told: 'canary-wrong-password' }, { code: 'ERR_PFX_PASSWORD' }],
  [
    'the password is not for this device',
    { recipient: (await managementIdentity(softwareKeys())).certificate },
    { code: 'ERR_CMS_DECRYPT' },
  ],
  ['the PFX is in 3DES', { contents: { algorithms: 'legacy' } }, { code: 'ERR_ALGORITHM_REFUSED' }],
  ['its certificate is a CA', { ca: true }, { code: 'ERR_CERTIFICATE_MISMATCH' }],
  ['the issuer is missing', { leafOnly: true }, { code: 'ERR_CERTIFICATE_UNTRUSTED' }],
]

interface Storage {
  readonly secrets: readonly string[]
  open(path: string, folder: StateFolder): Promise<KeyStorageProvider>
}

const passphrase = 'canary-passphrase-of-the-folder'
const pin = 'canary-pin-739104'
const clock = new FakeClock(start)
const pooled: Storage = { secrets: [], open: async () => pooledKeys([privateKey]) }
const storages: Readonly<Record<string, Storage>> = {
  software: { secrets: [passphrase], open: (_, folder) => folder.softwareKeys({ passphrase }) },
  tpm: {
    secrets: [],
    open: async (folder) => modelledTpm({ clock, latency: noLatency, folder: join(folder, 'tpm'), makeKey: async () => privateKey }),
  },
  passport: {
    secrets: [pin],
    async open(folder) {
      const onGesture = async () => ({ pin })
      return modelledPassport({ clock, user: 'jane', containerName: 'c1', pin, onGesture, folder: join(folder, 'passport') })
    },
  },
}

/** One pass of an agent that keeps everything in a folder, and where its secrets could show. */
async function enrol(
  t: Test,
  name: string,
  answer: (typeof troubles)[number][1],
  storage: Storage,
  keyStorage: KeyProtection,
  mood: ConnectorMood = {},
) {
  const folder = t.testdir({})
  const secrets: string[] = [registrationToken, jwk.d as string, jwk.p as string, jwk.q as string, ...storage.secrets]
  const store = await labStore(clock)
  const lab: Lab = await createLab({
    store,
    clock,
    registrationToken,
    keyBits: 2048,
    policyFor: (deviceId) => withPfx(policyDocument(deviceId, lab.rootCertificate), {}, true),
    approve: () => (name === 'the lab refuses' ? { failInfo: 'badRequest' } : 'issue'),
  })
  const management = await managementIdentity(softwareKeys())
  const connector = pfxConnector([pfxKey], clock, management.certificate)
  connector.mood = mood
  const transport = handlerTransport(async (request) => {
    if (request.url.endsWith('/device/pfx')) return connector.handle(request)
    const response = await answer(request, lab)
    const challenge = /"challenge":"([^"]+)"/.exec(Buffer.from(response.body).toString('latin1'))
    if (request.url.endsWith('/challenge') && challenge?.[1]) secrets.push(challenge[1])
    return response
  })
  const device = { policyUrl, transport, registrationToken, deviceId: 'dev-1', platform: 'windows', osVersion: '11' }
  const { deviceId, credential } = await registerDevice(device)
  secrets.push(credential)
  const jitter = { between: (minMs: number) => minMs }
  const kept = await openStateFolder(folder)
  const keys = await storage.open(folder, kept)
  const agent = createAgent({
    clock,
    jitter,
    state: kept.state,
    keyStorage,
    ...policyService({ policyUrl, deviceId, credential, transport, cache: kept.policyCache, management }),
    platform: platformAdapter('windows', {
      osVersion: '11',
      keyStorageProviders: [keys],
      certificateStores: kept.certificateStores,
      identities: kept.identities,
      transport,
      clock,
      jitter,
    }),
  })
  secrets.push('canary-wrong-password')
  const events: string[] = []
  agent.on('result', (result) => events.push(inspect(result, { depth: 10 })))
  agent.on('error', (error) => events.push(inspect(error, { depth: 10 })))
  const pass = await agent.runOnce()
  await kept.close()
  secrets.push(...connector.secrets)
  const places = new Map([
    ...filesBelow(folder),
    ['pass', inspect(pass, { depth: 10, maxStringLength: null })],
    ['report', JSON.stringify([...lab.reports()])],
    ['audit', JSON.stringify(lab.audit())],
    ['events', events.join('\n')],
    ['agent', inspect(agent, { depth: 10, showHidden: true })],
    ['keys', inspect(keys, { depth: 10, showHidden: true })],
  ])
  return { secrets, places, pass }
}

for (const [name, answer] of troubles) {
  t.test(`no secret shows when ${name}`, async (t) => {
    const { secrets, places } = await enrol(t, name, answer, pooled, 'software')
    t.ok(secrets.length >= (name === 'challenge is garbled' ? 5 : 6), 'there were secrets to look for')
    t.same(leaks(secrets, places), [])
    t.equal(
      ['state.json', 'stores.json', 'policy'].every((file) => places.has(file)),
      true,
      'state, stores and policy were written',
    )
  })
}

for (const [protection, storage] of Object.entries(storages)) {
  t.test(`no PIN, passphrase or key shows when keys are kept in ${protection}`, async (t) => {
    const { secrets, places, pass } = await enrol(
      t,
      'all is well',
      (request, lab) => lab.handle(request),
      storage,
      protection as KeyProtection,
    )
    const installed = { state: 'installed', keyProtection: protection }
    t.match(pass.report.profiles, [installed, installed])
    t.ok(secrets.includes(storage.secrets[0] ?? registrationToken), 'there were secrets to look for')
    t.ok(places.has('identities.json'), 'and the identities were written')
    t.ok([...places.keys()].filter((place) => /^(keys|tpm|passport)\//.test(place)).length >= 2, 'and files of the storage to look into')
    t.same(leaks(secrets, places), [])
  })
}

for (const [name, mood, expected] of pfxTroubles) {
  t.test(`no PFX password or key shows when ${name}`, async (t) => {
    const storage = storages.software as Storage
    const { secrets, places, pass } = await enrol(t, 'all is well', (request, lab) => lab.handle(request), storage, 'software', mood)
    t.match(pass.report.profiles[1], { profileId: 'mail', ...expected })
    t.same(leaks(secrets, places), [])
    t.equal(
      ['state.json', 'stores.json', 'policy'].every((file) => places.has(file)),
      true,
      'state, stores and policy were written',
    )
  })
}

t.test('the search finds a key in whatever it is written', async (t) => {
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const texts = [pkcs8.toString('latin1'), pkcs8.toString('hex'), pkcs8.toString('base64'), ` ${JSON.stringify(jwk)}`]
  for (const text of texts) t.not(leaks([jwk.d as string], new Map([['a', text]])).length, 0, text.slice(0, 20))
})

t.test('the search finds what is there', async (t) => {
  t.equal(
    leaks(
      ['canary'],
      new Map([
        ['a', 'xx canary xx'],
        ['b', Buffer.from('canary').toString('base64')],
        ['c', 'nothing'],
      ]),
    ).length,
    2,
  )
})
