import { join } from 'node:path'
import { fileIdentities, fileStores, memoryIdentities, memoryStores, softwareKeys } from '@certfleet/agent-core'
import { basicConstraintsExtension, buildCertificate } from '@certfleet/agent-core/pki'
import t from 'tap'
import { certificateStoresContract } from '../contracts/certificate-stores.ts'
import { identityStoreContract, sampleIdentity } from '../contracts/identity-store.ts'

const keys = softwareKeys()
const caKey = await keys.generate({ algorithm: 'ec', curve: 'P-256' }, 'ca')

const certificate = (subject: string, ca: boolean) =>
  buildCertificate({
    serialNumber: Uint8Array.of(1, 2, 3),
    issuer: 'CN=Root',
    subject,
    publicKey: caKey.publicKey,
    notBefore: 0,
    notAfter: 4_000_000_000_000,
    extensions: [basicConstraintsExtension({ ca })],
    signer: caKey,
    hash: 'sha256',
  })

const samples = {
  root: await certificate('CN=Root', true),
  intermediate: await certificate('CN=Issuing', true),
  leaf: await certificate('CN=leaf', false),
}

t.test('memory stores', (t) => certificateStoresContract(t, async () => memoryStores(), samples))

t.test('memory identities', async (t) => {
  await identityStoreContract(t, async () => memoryIdentities())
  await t.test('keep no reply that a certificate came in, and one copy of a CA certificate for all devices', async (t) => {
    const installed = async () => {
      const store = memoryIdentities()
      const reply = Uint8Array.from([...samples.leaf, ...samples.root])
      const chain = [reply.subarray(0, samples.leaf.length), reply.subarray(samples.leaf.length)]
      await store.install({ ...sampleIdentity, chain })
      return (await store.list())[0]?.chain as readonly [Uint8Array, Uint8Array]
    }
    const [one, other] = [await installed(), await installed()]
    t.same(one.map(Buffer.from), [samples.leaf, samples.root].map(Buffer.from))
    t.equal(one[0].buffer.byteLength, samples.leaf.length)
    t.not(one[0], other[0])
    t.equal(one[1], other[1])
    t.equal(one[1].buffer.byteLength, samples.root.length)
  })
})

t.test('stores in a file', (t) => certificateStoresContract(t, (t) => fileStores(join(t.testdir(), 'stores.json')), samples))

t.test('identities in a file', (t) => identityStoreContract(t, (t) => fileIdentities(join(t.testdir(), 'identities.json'))))

t.test('in files, each call is done by the next process', async (t) => {
  await certificateStoresContract(t, async (t) => afresh(fileStores, join(t.testdir(), 'stores.json')), samples)
  await identityStoreContract(t, async (t) => afresh(fileIdentities, join(t.testdir(), 'identities.json')))
})

/** Opened anew for each call: it goes by the file alone. */
function afresh<T extends object>(open: (path: string) => Promise<T>, path: string): T {
  const call =
    (name: string | symbol) =>
    async (...args: unknown[]) => {
      const opened: object = await open(path)
      return Reflect.apply(Reflect.get(opened, name), opened, args)
    }
  return new Proxy({} as T, { get: (_, name) => (name === 'then' ? undefined : call(name)) })
}
