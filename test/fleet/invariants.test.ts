import {
  type DevicePolicy,
  handlerTransport,
  type Identity,
  type IdentityKey,
  type KeyHandle,
  type KeyStorageProvider,
  memoryIdentities,
  memoryState,
  memoryStores,
  reconcile,
  systemClock,
  systemJitter,
  type Transport,
} from '@certfleet/agent-core'
import {
  authorityKeyIdentifierExtension,
  basicConstraintsExtension,
  buildCertificate,
  fingerprintOf,
  keyIdentifierOf,
  keyUsageExtension,
} from '@certfleet/agent-core/pki'
import { platformAdapter } from '@certfleet/platforms'
import t from 'tap'
import { inspectDevice } from '#emulator/invariants/inspect.ts'
import { invariantLedger, type RunEnd } from '#emulator/invariants/ledger.ts'
import { type DeviceFindings, type InvariantId, invariantNames } from '#emulator/invariants/names.ts'
import { deviceWitness, type WitnessedStorage } from '#emulator/invariants/witness.ts'
import { type FleetPlatform, fleetPlatforms } from '#emulator/scenario/devices.ts'
import { testCertificate, testKey } from '../fakes/certificates.ts'
import { pooledKeys } from '../fakes/pooled-keys.ts'
import { rsaKey } from '../fakes/rsa-keys.ts'
import { caCertificates, type Script, scriptedServer } from '../fakes/scep-server.ts'

const dayMs = 86_400_000
const { root, issuing } = caCertificates

/** What is wrong on purpose. */
interface Sabotage {
  /** Of the certificate that the CA issues. */
  readonly serialNumber?: number
  readonly issueFor?: KeyHandle
  readonly answer?: NonNullable<Script['answers']>[number]
  /** What the agent takes for its identities. */
  readonly identities?: (identities: WitnessedStorage['identities']) => WitnessedStorage['identities']
  /** What is under the witness. */
  readonly storage?: (storage: WitnessedStorage) => WitnessedStorage
  readonly transport?: (transport: Transport) => Transport
}

interface Enrolled {
  readonly id: string
  readonly platform?: FleetPlatform
  readonly isOver?: boolean
  /** Of an Android device whose user is asked. */
  readonly userConsent?: 'granted' | 'waiting'
}

/** The real agent enrols by SCEP with a CA that does what it is told to. */
async function findingsOf(
  { id, platform: name = 'windows', isOver = true, userConsent }: Enrolled,
  sabotage: Sabotage = {},
): Promise<DeviceFindings> {
  const privateKey = rsaKey()
  const whole = {
    keyStorageProviders: [pooledKeys([privateKey])],
    certificateStores: memoryStores(),
    identities: memoryIdentities(),
    state: memoryState(),
  }
  const storage = sabotage.storage?.(whole) ?? whole
  const witness = deviceWitness(storage)
  const made = await pooledKeys([privateKey]).generate({ algorithm: 'rsa', bits: 2048 }, 'same')
  const certificate = await issued(sabotage.issueFor ?? made, sabotage.serialNumber ?? serialOf(id))
  const success = { status: 'success', certificates: [issuing, certificate], crls: [], cipher: 'aes-128-cbc' } as const
  const server = scriptedServer({ answers: [sabotage.answer ?? success] })
  const transport = handlerTransport(server.handle)
  const { clock, jitter } = { clock: systemClock, jitter: systemJitter }
  const spec = { id, platform: name, osVersion: '15', ...(userConsent && { management: 'deviceAdministrator' as const }) }
  const platform = witness.watchPlatform(
    platformAdapter(name, {
      ...storage,
      ...spec,
      identities: sabotage.identities?.(witness.identities) ?? witness.identities,
      transport: witness.watchTransport(sabotage.transport?.(transport) ?? transport),
      clock,
      jitter,
      allowHttp: true,
      userConsent: async ({ kind }) => (kind === 'install-identity' && userConsent) || 'granted',
    }),
  )
  const silent = { challengeSource: { challengeFor: async () => undefined }, reporter: { send: async () => {} } }
  const { signal } = new AbortController()
  await reconcile({ ...silent, policySource: { fetch: async () => policy }, platform, clock, jitter, state: storage.state }, signal)
  return JSON.parse(JSON.stringify(await inspectDevice({ spec, witness, platform, storage, clock, jitter, isOver }, signal)))
}

const serialOf = (id: string): number => [...id].reduce((all, character) => (all * 31 + character.charCodeAt(0)) % 30_000, 7) + 256

const policy: DevicePolicy = {
  revision: 1,
  trustedRoots: [
    {
      ...{ id: 'root', displayName: 'Root', assignedTo: ['device'], destinationStore: 'computer-root' },
      certificate: root,
      fingerprint: fingerprintOf(root),
    },
  ],
  scepProfiles: [
    {
      ...{ id: 'wifi', displayName: 'Wi-Fi', principal: 'device', assignedTo: ['device'], rootProfileId: 'root' },
      scepUrls: ['http://scep.invalid/scep'],
      renewalThresholdPercent: 20,
      request: {
        ...{ subject: 'CN=dev', subjectAltNames: [], keySpec: { algorithm: 'rsa', bits: 2048 }, keyStorage: 'useSoftwareKsp' },
        keyUsages: ['digitalSignature'],
        extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
        validity: { value: 1, scale: 'years' },
        rootFingerprint: fingerprintOf(root),
      },
    },
  ],
  pfxProfiles: [],
  failedProfiles: [],
}

async function issued({ publicKey }: Pick<KeyHandle, 'publicKey'>, serialNumber: number): Promise<Uint8Array> {
  const signer = await testKey('issuing')
  const hex = serialNumber.toString(16)
  return buildCertificate({
    serialNumber: Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'),
    issuer: 'CN=Issuing',
    subject: 'CN=dev',
    publicKey,
    notBefore: systemClock.now() - dayMs,
    notAfter: systemClock.now() + dayMs,
    extensions: [
      basicConstraintsExtension({ ca: false }),
      authorityKeyIdentifierExtension(keyIdentifierOf(signer.publicKey)),
      keyUsageExtension(['digitalSignature']),
    ],
    signer,
    hash: 'sha256',
  })
}

function resultsOf(findings: readonly DeviceFindings[], end?: RunEnd) {
  const ledger = invariantLedger()
  for (const one of findings) ledger.add(one)
  return ledger.results(end)
}

/** The invariants that are violated, and by what. */
const violated = (findings: readonly DeviceFindings[], end?: RunEnd) =>
  Object.fromEntries(resultsOf(findings, end).flatMap(({ name, violations, found }) => (violations > 0 ? [[name, found]] : [])))

const of = (id: InvariantId, ...found: (string | RegExp)[]) => ({ [invariantNames[id]]: found })

t.test('nothing is violated where everything is right', async (t) => {
  const findings = await Promise.all(fleetPlatforms.map((platform) => findingsOf({ id: `${platform}-1`, platform })))
  t.strictSame(violated(findings), {})
  const checked = (end?: RunEnd) => resultsOf(findings, end).map((result) => [result.name, result.checked])
  t.strictSame(
    checked(),
    Object.values(invariantNames).map((name) => [name, 4]),
  )
  const labIssued = findings.flatMap(({ certificates }) => certificates)
  t.strictSame(violated(findings, { labIssued }), {})
  t.strictSame(
    violated(findings, { labIssued: labIssued.map(({ serialNumber }) => ({ serialNumber: `00${serialNumber.toUpperCase()}` })) }),
    {},
  )
})

t.test('a CA that gives a serial number twice', async (t) => {
  const findings = await Promise.all(['a', 'b', 'c'].map((id) => findingsOf({ id }, { serialNumber: 5 })))
  t.strictSame(violated(findings), of('serials', 'serial 05 of CN=Issuing: 3 certificates: a, b, c'))
  t.equal(resultsOf(findings)[0]?.violations, 1)
  t.strictSame(violated([...findings.slice(0, 1), ...findings.slice(0, 1)]), {}, 'the same certificate again is no other')
})

t.test('many that share a serial number are not all named', async (t) => {
  const findings = Array.from({ length: 10 }, (_, i): DeviceFindings => {
    const certificates = [{ issuer: 'CN=a', serialNumber: '01', fingerprint: `${i}` }]
    return { device: `d${i}`, certificates, judged: {}, isUnderWay: false }
  })
  t.strictSame(violated(findings), of('serials', 'serial 01 of CN=a: 10 certificates: d0, d1, d2, d3, d4, d5, d6, d7 and 2 more'))
  const otherIssuers = findings.map((one, i) => ({ ...one, certificates: one.certificates.map((c) => ({ ...c, issuer: `CN=${i}` })) }))
  t.strictSame(violated(otherIssuers), {}, 'another CA may use the number too')
})

t.test('one device is enough for each of the others', async (t) => {
  const other = await testKey('other')
  const otherRoot = await testCertificate({ subject: 'CN=Root', key: other, ca: true })
  const otherIssuing = await testCertificate({ subject: 'CN=Issuing', key: other, issuer: { subject: 'CN=Root', key: other }, ca: true })
  const withChain = (change: (identity: Identity) => readonly Uint8Array[]) => (identities: WitnessedStorage['identities']) => ({
    list: () => identities.list(),
    remove: (key: IdentityKey) => identities.remove(key),
    install: (identity: Identity) => identities.install({ ...identity, chain: change(identity) }),
  })
  const withKeys = (change: (provider: KeyStorageProvider) => Partial<KeyStorageProvider>) => (storage: WitnessedStorage) => ({
    ...storage,
    keyStorageProviders: storage.keyStorageProviders.map((provider) => ({ ...provider, ...change(provider) })),
  })
  const pki = { status: 200, headers: { 'content-type': 'application/x-pki-message' }, body: Buffer.from('300000', 'hex') }
  const leaf = /^d: serial [0-9a-f]+ of CN=Issuing /
  const rows: [name: string, sabotage: Sabotage, id: InvariantId, found: RegExp][] = [
    ['a key storage that has another key', { storage: withKeys(() => ({ open: async () => other })) }, 'keys', /is for another key$/],
    ['a key that is gone', { storage: withKeys(() => ({ open: async () => undefined })) }, 'keys', /is for another key$/],
    [
      'a chain to another root',
      { identities: withChain(({ chain }) => [chain[0] as Uint8Array, otherIssuing, otherRoot]) },
      'roots',
      /leads to no root that is installed$/,
    ],
    ['a chain without its end', { identities: withChain(({ chain }) => chain.slice(0, 2)) }, 'roots', /leads to no root/],
    ['a chain with a gap', { identities: withChain(({ chain }) => [chain[0] as Uint8Array, root]) }, 'roots', /leads to no root/],
    [
      'a chain over what is no certificate',
      { identities: withChain(({ chain }) => [chain[0] as Uint8Array, Buffer.from('3000', 'hex')]) },
      'roots',
      /leads to no root/,
    ],
    ['a certificate for another key', { issueFor: other }, 'orphans', /was issued and not installed$/],
    ['an answer that cannot be read', { answer: pki }, 'orphans', /^d: an answer of the CA could not be accepted \(ERR_\w+\)$/],
  ]
  for (const [name, sabotage, id, found] of rows) {
    const results = violated([await findingsOf({ id: 'd' }, sabotage)])
    t.match(results, of(id, found), name)
    t.strictSame(Object.keys(results), [invariantNames[id]], name)
    if (!('answer' in sabotage)) t.match(results, of(id, leaf), name)
  }
})

t.test('stores that forget to remove', async (t) => {
  const rows: [name: string, storage: NonNullable<Sabotage['storage']>, found: string][] = [
    [
      'certificates',
      (storage) => ({ ...storage, identities: { ...storage.identities, remove: async () => {} } }),
      'the certificate of device/wifi is left',
    ],
    ['roots', (storage) => ({ ...storage, certificateStores: { ...storage.certificateStores, remove: async () => {} } }), 'a root is left'],
    [
      'keys',
      (storage) => ({
        ...storage,
        keyStorageProviders: storage.keyStorageProviders.map((provider) => ({ ...provider, destroy: async () => {} })),
      }),
      'a key is left without a certificate',
    ],
  ]
  for (const [name, storage, found] of rows) {
    const expected = of('removal', `d: ${found} though no profile is assigned any more`)
    t.strictSame(violated([await findingsOf({ id: 'd' }, { storage })]), expected, name)
    const stayed = await findingsOf({ id: 'd', isOver: false }, { storage })
    t.strictSame(violated([stayed]), {}, `${name}: not while the device goes on`)
    t.match(resultsOf([stayed])[4], { checked: 0, note: /^not looked at/ })
  }
  const attempt = await findingsOf(
    { id: 'd' },
    {
      answer: { status: 500, headers: {}, body: Buffer.alloc(0) },
      storage: (storage) => ({ ...storage, state: { ...storage.state, endAttempt: async () => {} } }),
    },
  )
  t.strictSame(violated([attempt]), of('removal', 'd: an attempt is under way though no profile is assigned any more'))
})

t.test('what is no certificate is no orphan', async (t) => {
  const rows: [string, Sabotage][] = [
    ['a refusal', { answer: { status: 'failure', failInfo: 'badRequest' } as never }],
    ['a page', { answer: { status: 200, headers: { 'content-type': 'text/html' }, body: Buffer.from('<html>') } }],
    ['an error', { answer: { status: 500, headers: { 'content-type': 'application/x-pki-message' }, body: Buffer.alloc(0) } }],
  ]
  for (const [name, sabotage] of rows) t.strictSame(violated([await findingsOf({ id: 'd' }, sabotage)]), {}, name)
  for (const isOver of [false, true]) {
    const { certificates, judged, isUnderWay } = await findingsOf({ id: 'd', platform: 'android', userConsent: 'waiting', isOver })
    t.strictSame({ certificates, orphans: judged.orphans }, { certificates: [], orphans: { checked: 1, found: [] } }, 'one that waits')
    t.equal(isUnderWay, true)
  }
  const granted = await findingsOf({ id: 'd', platform: 'android', userConsent: 'granted' })
  t.match(granted, { certificates: [{ issuer: 'CN=Issuing' }], isUnderWay: false })
})

t.test('what the lab has issued and no device has', async (t) => {
  const installed = await findingsOf({ id: 'a' })
  const lost = { serialNumber: 'beef', deviceId: 'b' }
  const labIssued = [{ ...(installed.certificates[0] as { serialNumber: string }), deviceId: 'a' }, lost]
  const found = of('orphans', 'the lab issued serial beef for b, and no device has it')
  t.strictSame(violated([installed], { labIssued }), found)
  t.strictSame(violated([installed], { labIssued, crashed: new Set(['b']) }), {}, 'its worker crashed')
  const goesOn = { device: 'b', certificates: [], judged: {}, isUnderWay: true }
  t.strictSame(violated([installed, goesOn], { labIssued }), {}, 'it may yet get it')
  const told = { ...goesOn, isUnderWay: false, judged: { orphans: { checked: 1, found: ['b: refused'] } } }
  t.strictSame(violated([installed, told], { labIssued }), of('orphans', 'b: refused'), 'and it is told once')
  t.match(resultsOf([installed], { labIssued })[3], { checked: 2, violations: 1 })
  t.match(resultsOf([installed])[3], { checked: 1, violations: 0, note: /the records of the CA were not there/ })
})

t.test('found is the first of many, counted are all', async (t) => {
  const findings = Array.from({ length: 30 }, (_, i) => ({
    device: `${i}`,
    certificates: [],
    judged: { keys: { checked: 1, found: [`${i}: wrong`] } },
    isUnderWay: false,
  }))
  t.match(resultsOf(findings)[1], { checked: 30, violations: 30, found: Array.from({ length: 20 }, (_, i) => `${i}: wrong`) })
})
