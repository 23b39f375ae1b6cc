import { createPublicKey } from 'node:crypto'
import { identityOf, type OpenedPfx, openPfx } from '@certfleet/agent-core/pfx'
import { pfxPassword } from './pfx-samples.ts'
import type { Trial } from './targets.ts'
import type { World } from './world.ts'

/** Such as a service sets that reads the files of strangers: a mutant that asks for more is refused. */
const maxIterations = 30_000

/** What opens is what was sealed, at a price that was asked beforehand: nothing opens for nothing. */
export async function pfx({ leaf, issuing, client }: World, { mutant, sample, isResealed, probe }: Trial): Promise<void> {
  const options = { password: sample.password ?? pfxPassword, legacy: true }
  const free = await probe.callAsync('openPfx without iterations', () => openPfx(mutant, { ...options, maxIterations: 0 }))
  if (free) probe.forged('openPfx', 'it was opened without an iteration')
  const opened = await probe.callAsync('openPfx', () => openPfx(mutant, { ...options, maxIterations }))
  if (!opened) return
  for (const depth of ['parsed', 'signatureGood', 'decrypted'] as const) probe.reach(depth)
  probe.call('identityOf', () => identityOf(opened))
  const isOwn = sample.password === pfxPassword
  if (
    isOwn &&
    !isResealed &&
    !isWhole(
      opened,
      [leaf, issuing].map(({ certificate }) => certificate.raw),
      client.key.handle.publicKey,
    )
  )
    probe.forged('openPfx', 'it does not hold what was sealed')
}

function isWhole({ certificates, keys }: OpenedPfx, ders: readonly Uint8Array[], publicKey: Uint8Array): boolean {
  const found = [...certificates.map(({ der }) => der), ...keys.map(({ privateKey }) => spkiOf(privateKey))]
  const wanted = [...ders, publicKey]
  return found.length === wanted.length && found.every((bytes, i) => Buffer.compare(bytes, wanted[i] as Uint8Array) === 0)
}

function spkiOf(privateKey: OpenedPfx['keys'][number]['privateKey']): Uint8Array {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
}
