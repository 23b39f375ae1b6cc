import { memoryIdentities, memoryStores, softwareKeys } from '@certfleet/agent-core'
import { basicConstraintsExtension, buildCertificate } from '@certfleet/agent-core/pki'
import t from 'tap'
import { certificateStoresContract } from '../contracts/certificate-stores.ts'
import { identityStoreContract } from '../contracts/identity-store.ts'

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

t.test('memory stores', async (t) => {
  const samples = {
    root: await certificate('CN=Root', true),
    intermediate: await certificate('CN=Issuing', true),
    leaf: await certificate('CN=leaf', false),
  }
  await certificateStoresContract(t, async () => memoryStores(), samples)
})

t.test('memory identities', (t) => identityStoreContract(t, async () => memoryIdentities()))
