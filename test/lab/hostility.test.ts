import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  AgentError,
  type Clock,
  createAgent,
  type HttpResponse,
  handlerTransport,
  type Identity,
  memoryIdentities,
  memoryPolicyCache,
  memoryState,
  memoryStores,
  policyService,
  registerDevice,
  softwareKeyHandle,
  type Transport,
} from '@certfleet/agent-core'
import type { CmsSigner } from '@certfleet/agent-core/cms'
import { fingerprintOf, parseCertificate } from '@certfleet/agent-core/pki'
import { parseCaCertificates, parseCapabilities } from '@certfleet/agent-core/scep/messages'
import { seededJitter } from '@certfleet/agent-core/system'
import { createLab, type Lab, type LabStore, memoryLabStore } from '@certfleet/emulator/lab'
import { type PlatformName, platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { type HostileOptions, hesitant, hostile } from '#emulator/lab/hostility/hostile.ts'
import { type Unkindness, unkindnesses } from '#emulator/lab/hostility/unkindness.ts'
import { testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { policyDocument } from '../fakes/policy-document.ts'
import { pooledKeys } from '../fakes/pooled-keys.ts'
import { cheapKeys } from './kill-keys.ts'
import { challengeFor, csrFor, messageFor, register, scepUrl, sendMessage, startLab } from './surroundings.ts'

const names = Object.keys(unkindnesses) as Unkindness[]
const minute = 60_000

/** A clock that leaps to whoever is due first once all who are at work sleep. */
function leapingClock(now: number): Clock & { work<T>(task: () => Promise<T>): Promise<T> } {
  let [current, atWork] = [now, 0]
  const sleepers: { readonly at: number; readonly wake: () => void }[] = []
  const leap = () => {
    if (sleepers.length < atWork) return
    const [first] = sleepers.sort((a, b) => a.at - b.at).splice(0, 1)
    current = Math.max(current, first?.at ?? current)
    first?.wake()
  }
  return {
    now: () => current,
    sleep: (ms) =>
      new Promise((wake) => {
        sleepers.push({ at: current + ms, wake })
        leap()
      }),
    async work(task) {
      atWork++
      try {
        return await task()
      } finally {
        atWork--
        leap()
      }
    },
  }
}

/** The RA's signing certificate and key as the store has them. */
function signerIn(store: LabStore): CmsSigner {
  const record = [...store.list('registrationAuthorities')].at(-1) ?? store.get('authority', 'lab')
  if (record === undefined) throw new Error('the store has no RA')
  const key = createPrivateKey({ key: Buffer.from(record.signing.privateKey), format: 'der', type: 'pkcs8' })
  return { certificate: parseCertificate(record.signing.certificate), key: softwareKeyHandle(key, 'ra') }
}

const start = Date.UTC(2027, 0, 1)
const platforms: readonly PlatformName[] = ['windows', 'ios', 'macos', 'android']
const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const
const fleetSize = 12
const pool = await cheapKeys(fleetSize * 4)
const authority = memoryLabStore()
await createLab({ store: authority, clock: new FakeClock(start), registrationToken: 'token', policyFor: () => undefined })
const seeds = process.env.CERTFLEET_HOSTILITY_SEEDS?.split(',') ?? ['one', 'two', 'three']

interface Ended {
  readonly deviceId: string
  readonly identities: readonly Identity[]
  readonly passes: number
  readonly failures: readonly string[]
}

async function hostileFleet(level: number, seed: string) {
  const clock = leapingClock(start)
  const store = memoryLabStore()
  const record = authority.get('authority', 'lab')
  if (record) await store.transaction((tx) => tx.put('authority', 'lab', record))
  const met = new Map<string, number>()
  const lab: Lab = await createLab({
    store,
    clock,
    registrationToken: 'token',
    keyBits: 1024,
    policyFor: (deviceId) => policyDocument(deviceId, lab.rootCertificate),
    hostility: { level, seed, onUnkindness: (name) => void met.set(name, (met.get(name) ?? 0) + 1) },
  })
  const transport = handlerTransport(lab.handle)
  const devices = await Promise.all(
    Array.from({ length: fleetSize }, (_, index) => clock.work(() => untilInstalled(index, { clock, transport, seed }))),
  )
  return { lab, store, devices, met, hours: (clock.now() - start) / 3_600_000 }
}

/** The real agent, which wakes when it says that it will, until its certificate is there. */
async function untilInstalled(index: number, world: { clock: Clock; transport: Transport; seed: string }): Promise<Ended> {
  const { clock, transport } = world
  const name = platforms[index % platforms.length] as PlatformName
  const osVersion = osVersions[name]
  const jitter = seededJitter(`${world.seed}/${index}`)
  const policyUrl = 'http://lab.example/device/policy'
  const signal = new AbortController().signal
  const failures: string[] = []
  const again = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof AgentError)) throw error
        failures.push(error.code)
        await clock.sleep(minute)
      }
    }
  }
  const registration = { policyUrl, transport, registrationToken: 'token', deviceId: `dev-${index}`, platform: name, osVersion }
  const { deviceId, credential } = await again(() => registerDevice(registration))
  const identities = memoryIdentities()
  const keys = pooledKeys(pool.slice(index * 4, index * 4 + 4) as KeyObject[])
  const stores = memoryStores()
  const adapter = {
    osVersion,
    keyStorageProviders: [keys],
    certificateStores: stores,
    identities,
    transport,
    clock,
    jitter,
    allowHttp: true,
  }
  const service = policyService({ policyUrl, deviceId, credential, transport, cache: memoryPolicyCache() })
  const agent = createAgent({ ...service, clock, jitter, platform: platformAdapter(name, adapter), state: memoryState() })
  agent.on('result', ({ code }) => void (code && failures.push(code)))
  let passes = 0
  for (; (await identities.list()).length === 0 && passes < 200; passes++) {
    const { wakeAt } = await again(() => agent.runOnce(signal))
    if ((await identities.list()).length === 0) await clock.sleep(Math.max(minute, (wakeAt ?? 0) - clock.now()))
  }
  return { deviceId, identities: await identities.list(), passes, failures }
}

function problemsOf(devices: readonly Ended[], lab: Lab, store: LabStore): string[] {
  const issued = [...lab.issued()]
  const uses = [...store.list('challenges')].map(({ transactionId }) => transactionId)
  const twice = (values: readonly (string | undefined)[]) => values.length - new Set(values).size
  return [
    ...devices.flatMap(({ deviceId, identities }) => identityProblems(deviceId, identities, lab)),
    ...(issued.length === devices.length ? [] : [`${issued.length} certificates for ${devices.length} devices`]),
    ...(twice(issued.map(({ deviceId }) => deviceId)) ? ['a device with two certificates'] : []),
    ...(twice(issued.map(({ transactionId }) => transactionId)) ? ['a transaction with two certificates'] : []),
    ...(twice(issued.map(({ attemptId }) => attemptId)) ? ['an attempt with two certificates'] : []),
    ...(twice(uses) ? ['a transaction with two challenges'] : []),
    ...(issued.every(({ transactionId }) => uses.includes(transactionId)) ? [] : ['a certificate without a challenge']),
  ]
}

/** What is installed is what this lab issued to this very device, up to its own root. */
function identityProblems(deviceId: string, identities: readonly Identity[], lab: Lab): string[] {
  const [identity, ...others] = identities
  if (identity === undefined || others.length > 0) return [`${deviceId} has ${identities.length} certificates`]
  const [leaf, issuing, root] = identity.chain.map(fingerprintOf)
  const record = [...lab.issued()].find(({ fingerprint }) => fingerprint === leaf)
  return [
    ...(record?.deviceId === deviceId ? [] : [`${deviceId} has a certificate of ${record?.deviceId ?? 'somebody else'}`]),
    ...(issuing === fingerprintOf(lab.issuingCertificate) && root === lab.caFingerprint ? [] : [`the chain of ${deviceId} is another`]),
  ]
}

for (const [level, seed] of [...seeds.map((seed) => [30, seed] as const), [60, 'four'] as const]) {
  t.test(`at ${level} %, seed ${seed}, a fleet ends installed: nothing unverified, nothing issued twice`, async (t) => {
    const { devices, lab, store, met, hours } = await hostileFleet(level, seed)
    const problems = problemsOf(devices, lab, store)
    const codes = new Set(devices.flatMap(({ failures }) => failures))
    const told = [...met].map(([name, count]) => `${name} ${count}`).join(', ')
    t.comment(`seed ${seed}: ${hours.toFixed(1)} h; ${told}; seen by devices: ${[...codes].sort().join(', ')}`)
    t.same(problems, [], `seed ${seed}: CERTFLEET_HOSTILITY_SEEDS=${seed} runs it again`)
    t.ok(met.size >= 6 && codes.size >= 1, `${met.size} unkindnesses met, ${codes.size} codes`)
    t.ok(
      devices.some(({ passes }) => passes > 1),
      'it was not all done at once',
    )
  })
}

t.test('at 0 % nothing is unkind; above 100 % nothing starts', async (t) => {
  const { devices, met } = await hostileFleet(0, 'any')
  t.equal(met.size, 0)
  t.ok(devices.every(({ passes, failures }) => passes === 1 && failures.length === 0))
  const clock = new FakeClock()
  for (const level of [-1, 101, Number.NaN]) {
    t.throws(() => hostile(async () => reply(''), { level, seed: 1, clock }), { code: 'ERR_UNSUPPORTED' }, `${level}`)
    t.throws(() => hesitant(() => 'issue', { level, seed: 1 }), { code: 'ERR_UNSUPPORTED' }, `${level}`)
  }
})

const reply = (text: string): HttpResponse => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from(text) })
const resolving: Clock = { now: () => start, sleep: async () => {} }
const urls = {
  GetCACaps: `${scepUrl}?operation=GetCACaps`,
  GetCACert: `${scepUrl}?operation=GetCACert`,
  PKIOperation: `${scepUrl}?operation=PKIOperation`,
  other: 'http://lab.example/device/challenge',
} as const

async function sequence(seed: number, level: number, order: readonly (keyof typeof urls)[]) {
  const seen: Record<string, string[]> = {}
  let last = 'kind'
  const handle = hostile(async () => reply('AES\nPOSTPKIOperation\nSHA-256'), {
    level,
    seed,
    clock: resolving,
    onUnkindness: (name) => {
      last = name
    },
  })
  for (const asked of order) {
    last = 'kind'
    const { status, body } = await handle({ method: asked === 'PKIOperation' ? 'POST' : 'GET', url: urls[asked], headers: {} }).catch(() =>
      reply('bundle'),
    )
    seen[asked] = [...(seen[asked] ?? []), `${last} ${status} ${body.length}`]
  }
  return seen
}

t.test('the same seed, the same sequence: whatever order the kinds of request come in', async (t) => {
  const kinds = ['GetCACaps', 'PKIOperation', 'other'] as const
  const turns = Array.from({ length: 300 }, (_, i) => kinds[i % 3] as keyof typeof urls)
  const first = await sequence(7, 30, turns)
  t.same(await sequence(7, 30, turns), first)
  t.same(await sequence(7, 30, [...turns].sort()), first)
  t.notSame(await sequence(8, 30, turns), first)
  const share = Object.values(first)
    .flat()
    .filter((row) => !row.startsWith('kind')).length
  t.ok(share > 60 && share < 120, `${share} of 300 at 30 %`)
})

t.test('every unkindness happens where its row says, and nowhere else', async (t) => {
  const happened = new Map<string, Set<string>>()
  const { lab, store } = await startLab()
  const handle = hostile(lab.handle, {
    level: 100,
    seed: 1,
    clock: resolving,
    signer: () => signerIn(store),
    renewRegistrationAuthority: async () => {},
    onUnkindness: (name, asked) => void happened.set(name, (happened.get(name) ?? new Set()).add(asked)),
  })
  for (let i = 0; i < 150; i++) for (const url of Object.values(urls)) await handle({ method: 'GET', url, headers: {} })
  for (const name of names) t.same([...(happened.get(name) ?? [])].sort(), [...unkindnesses[name].meets].sort(), name)
})

/** A handler that meets this one unkindness first. */
async function only(wanted: Unkindness, asked: keyof typeof urls, lab: Lab, options: Partial<HostileOptions> = {}) {
  for (let seed = 0; seed < 2_000; seed++) {
    let met: string | undefined
    const probe = hostile(async () => reply(''), {
      level: 100,
      clock: resolving,
      signer: () => Promise.reject as never,
      renewRegistrationAuthority: async () => {},
      ...options,
      seed,
      onUnkindness: (name) => {
        met = name
      },
    })
    await probe({ method: 'GET', url: urls[asked], headers: {} }).catch(() => {})
    if (met !== wanted) continue
    return hostile(lab.handle, { level: 100, clock: resolving, renewRegistrationAuthority: async () => {}, ...options, seed })
  }
  throw new Error(`no seed for ${wanted}`)
}

t.test('a forged reply is signed by the RA, and refused for what is wrong in it', async (t) => {
  const { lab, store } = await startLab()
  const credential = await register(lab)
  const rows: [Unkindness, string | undefined][] = [
    ['wrong-recipient-nonce', 'ERR_SCEP_REPLY_MISMATCH'],
    ['wrong-transaction-id', 'ERR_SCEP_REPLY_MISMATCH'],
    ['wrong-sender-nonce', undefined],
  ]
  for (const [wanted, code] of rows) {
    const key = await testKey('a')
    const challenge = await challengeFor(lab, credential, 'attempt')
    const { message, read } = await messageFor(lab, { key, content: await csrFor({ key, challenge }) })
    const handle = await only(wanted, 'PKIOperation', lab, { signer: () => signerIn(store) })
    const { body } = await handle({ method: 'POST', url: urls.PKIOperation, headers: {}, body: message })
    const honest = (await sendMessage(lab, message)).body
    t.notSame(Buffer.from(body), Buffer.from(honest))
    t.equal((await read(honest)).status, 'success')
    if (code) await t.rejects(read(body), { code }, wanted)
    else t.equal((await read(body)).status, 'success', wanted)
  }
})

t.test('bundles in every order hold the same roles; odd capabilities are read without a word', async (t) => {
  const { lab } = await startLab()
  const ask = (handle: Lab['handle'], asked: keyof typeof urls) => handle({ method: 'GET', url: urls[asked], headers: {} })
  const honest = await ask(lab.handle, 'GetCACert')
  const rolesOf = (body: Uint8Array) => {
    const { ca, recipient, signers } = parseCaCertificates(body)
    return [ca, recipient, ...signers].map(({ raw }) => fingerprintOf(raw))
  }
  const orders = new Set<string>()
  const texts = new Set<string>()
  for (let seed = 0; seed < 400; seed++) {
    const names: string[] = []
    const handle = hostile(lab.handle, { level: 100, seed, clock: resolving, onUnkindness: (name) => void names.push(name) })
    const bundle = await ask(handle, 'GetCACert')
    const caps = await ask(handle, 'GetCACaps')
    if (names[0] === 'reordered') {
      orders.add(Buffer.from(bundle.body).toString('hex'))
      t.same(rolesOf(bundle.body), rolesOf(honest.body))
      t.equal(bundle.body.length, honest.body.length)
    }
    if (names[1] !== 'odd-capabilities') continue
    const text = Buffer.from(caps.body).toString('latin1')
    texts.add(text)
    parseCapabilities(text)
  }
  t.equal(orders.size, 24, 'every order of the four')
  t.ok(texts.size > 20, `${texts.size} kinds of capabilities`)
  t.ok([...texts].some((text) => text.includes('\r\n')) && [...texts].some((text) => text.includes('<html>')) && texts.has(''))
})

t.test('503 names seconds, dates and nonsense; a reply is cut at any octet, the first and the last too', async (t) => {
  const { lab } = await startLab()
  const full = (await lab.handle({ method: 'GET', url: urls.GetCACaps, headers: {} })).body
  const waits = new Set<string | undefined>()
  const lengths = new Set<number>()
  for (let seed = 0; seed < 3_000; seed++) {
    let met = ''
    const onUnkindness = (name: string) => {
      met = name
    }
    const { status, headers, body } = await hostile(lab.handle, { level: 100, seed, clock: resolving, onUnkindness })({
      method: 'GET',
      url: urls.GetCACaps,
      headers: {},
    })
    if (met === 'unavailable') waits.add(headers['retry-after'])
    if (met === 'unavailable') t.equal(status, 503)
    if (met === 'truncated') lengths.add(body.length)
    if (met === 'truncated') t.same(Buffer.from(body), Buffer.from(full.subarray(0, body.length)))
  }
  t.ok(
    ['120', 'Fri, 01 Jan 2027 00:01:00 GMT', '99999999999999999999', 'soon', ''].every((wait) => waits.has(wait)),
    [...waits].join('; '),
  )
  t.ok(lengths.has(0) && lengths.has(full.length - 1) && !lengths.has(full.length), `${lengths.size} lengths of ${full.length}`)
})

t.test('a duplicate is the reply before; the request behind it was done', async (t) => {
  const { lab } = await startLab()
  let count = 0
  const counting: Lab['handle'] = async () => reply(`reply ${++count}`)
  for (let seed = 0; seed < 200; seed++) {
    count = 0
    const met: string[] = []
    const handle = hostile(counting, { level: 50, seed, clock: resolving, onUnkindness: (name) => void met.push(name) })
    const ask = async () => Buffer.from((await handle({ method: 'POST', url: urls.PKIOperation, headers: {} })).body).toString()
    const [first, second] = [await ask(), await ask()]
    if (met.join() !== 'duplicate' || first !== 'reply 1' || second !== 'reply 1') continue
    t.equal(count, 2)
    t.equal((await lab.handle({ method: 'GET', url: urls.GetCACaps, headers: {} })).status, 200)
    return
  }
  t.fail('no seed has a duplicate second')
})
