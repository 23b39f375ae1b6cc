import type { CertificateStores } from '@certfleet/agent-core'
import type { Test } from 'tap'

export interface SampleCertificates {
  /** A self-signed CA certificate, DER. */
  readonly root: Uint8Array
  /** A CA certificate issued by it, DER. */
  readonly intermediate: Uint8Array
  /** An end-entity certificate, DER. */
  readonly leaf: Uint8Array
}

/** What every `CertificateStores` promises (ports.ts). */
export async function certificateStoresContract(
  t: Test,
  make: (t: Test) => Promise<CertificateStores>,
  samples: SampleCertificates,
): Promise<void> {
  const { root, intermediate, leaf } = samples
  const refused = { code: 'ERR_CERTIFICATE_REFUSED' }

  await t.test('self-signed roots enter computer-root, intermediates an intermediate store (S6, S20)', async (t) => {
    const stores = await make(t)
    await stores.install('computer-root', root)
    await stores.install('computer-intermediate', intermediate)
    await stores.install('user-intermediate', intermediate)
    t.same((await stores.list()).map(({ store }) => store).sort(), ['computer-intermediate', 'computer-root', 'user-intermediate'])
  })
  await t.test('an intermediate is refused by computer-root (W-CS)', async (t) => {
    const stores = await make(t)
    await t.rejects(stores.install('computer-root', intermediate), refused)
    t.same(await stores.list(), [])
  })
  await t.test('a leaf enters no store', async (t) => {
    const stores = await make(t)
    for (const store of ['computer-root', 'computer-intermediate', 'user-intermediate'] as const)
      await t.rejects(stores.install(store, leaf), refused, store)
    t.same(await stores.list(), [])
  })
  await t.test('bytes that are no certificate enter no store', async (t) => {
    const stores = await make(t)
    await t.rejects(stores.install('computer-root', Uint8Array.of(1, 2, 3)), { code: 'ERR_DER_MALFORMED' })
    t.same(await stores.list(), [])
  })
  await t.test('installing what is there is not an error, and leaves one entry', async (t) => {
    const stores = await make(t)
    await stores.install('computer-root', root)
    await stores.install('computer-root', root)
    t.equal((await stores.list()).length, 1)
  })
  await t.test('removing takes one entry; removing what is not there is not an error', async (t) => {
    const stores = await make(t)
    await stores.install('computer-intermediate', intermediate)
    await stores.install('user-intermediate', intermediate)
    const [entry] = await stores.list()
    if (!entry) throw new Error('nothing installed')
    await stores.remove(entry)
    await stores.remove(entry)
    t.equal((await stores.list()).length, 1)
  })
}
