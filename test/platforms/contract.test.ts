import { createHash } from 'node:crypto'
import {
  createCsr,
  handlerTransport,
  memoryIdentities,
  memoryStores,
  type ScepProfile,
  type TrustedRootProfile,
} from '@certfleet/agent-core'
import { createLab, type Lab } from '@certfleet/emulator/lab'
import { platformAdapter, platformNames } from '@certfleet/platforms'
import t from 'tap'
import { type CaMood, enrollmentProtocolContract } from '../contracts/enrollment-protocol.ts'
import { platformAdapterContract } from '../contracts/platform-adapter.ts'
import { testKey } from '../fakes/certificates.ts'
import { FakeClock } from '../fakes/clock.ts'
import { labStore } from '../fakes/lab-store.ts'
import { makeKeyPool, pooledKeys } from '../fakes/pooled-keys.ts'

const osVersions = { ios: '17.4', macos: '14.4', android: '14', windows: '11' } as const
const clock = new FakeClock(Date.UTC(2027, 0, 1))
const jitter = { between: (minMs: number) => minMs }
const challenge = 'test-only-challenge'
let waiting = 0
let refusing = false

/** A lab of its own for each platform, so that all can use the same keys; of one CA, so that its keys are made once. */
async function makeLab(): Promise<Lab> {
  return createLab({
    store: await labStore(clock),
    clock,
    registrationToken: 'unused',
    policyFor: () => undefined,
    staticChallenge: challenge,
    approve: () => (refusing ? { failInfo: 'badRequest' } : waiting-- > 0 ? 'pending' : 'issue'),
  })
}

const first = await makeLab()
const pool = await makeKeyPool(5)

const root: TrustedRootProfile = {
  id: 'root',
  displayName: 'Root',
  certificate: first.rootCertificate,
  fingerprint: createHash('sha256').update(first.rootCertificate).digest('hex'),
  destinationStore: 'computer-root',
  assignedTo: ['device'],
}
const scep: ScepProfile = {
  id: 'wifi',
  displayName: 'Wi-Fi',
  principal: 'device',
  assignedTo: ['device'],
  scepUrls: ['https://lab.example/certsrv/mscep/mscep.dll'],
  rootProfileId: 'root',
  renewalThresholdPercent: 20,
  request: {
    subject: 'CN=dev',
    subjectAltNames: [],
    keySpec: { algorithm: 'rsa', bits: 2048 },
    keyStorage: 'useSoftwareKsp',
    keyUsages: ['digitalSignature'],
    extendedKeyUsages: ['1.3.6.1.5.5.7.3.2'],
    validity: { value: 1, scale: 'years' },
    rootFingerprint: root.fingerprint,
  },
}

for (const platform of platformNames) {
  const lab = await makeLab()
  const keys = pooledKeys(pool)
  const adapter = () =>
    platformAdapter(platform, {
      osVersion: osVersions[platform],
      keyStorageProviders: [keys],
      certificateStores: memoryStores(),
      identities: memoryIdentities(),
      transport: handlerTransport((request) => lab.handle(request)),
      clock,
      jitter,
    })

  t.test(`${platform}: adapter`, (t) => platformAdapterContract(t, adapter(), { root, scep }))

  t.test(`${platform}: SCEP as that OS speaks it`, async (t) => {
    let made = 0
    await enrollmentProtocolContract(t, async (mood: CaMood) => {
      waiting = mood === 'waits once' ? 1 : 0
      refusing = mood === 'refuses'
      const key = await testKey(`device-${made++}`)
      const csr = await createCsr({ ...scep.request, key, hash: 'sha256', challenge })
      return { protocol: adapter().protocolFor(scep, root.certificate), request: { csr, key } }
    })
  })
}
