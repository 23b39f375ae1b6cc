import { randomUUID } from 'node:crypto'
import { assertRootInstalled, type PassContext, rootOf } from './device.ts'
import { AgentError } from './errors.ts'
import { installIdentity, type NewIdentity } from './install.ts'
import { specOf } from './keys/key-handle.ts'
import { destroyKey, placeKey, providerOf } from './keys/placement.ts'
import { identityOf, type OpenedPfx, openPfx, type PfxIdentity } from './pfx/index.ts'
import { verifyDelivered } from './pki/issued.ts'
import type { Reason } from './plan/plan.ts'
import type { DeliveredPfx, PfxRules, PfxSource } from './ports.ts'
import { type EnrollmentAttempt, identityKey, type KeyPlacement, type KeySpec, keyOfProfile, type PfxProfile } from './types.ts'

/** What is asked of a storage before anybody knows the key: the size that all of them take. */
const usualSpec: KeySpec = { algorithm: 'rsa', bits: 2048 }

/**
 * fetch → open → verify → import → install.
 *
 * Nothing is fetched unless the root is there and a storage would take the key. The attempt is recorded before that, and names the key before
 * it exists: after a crash anywhere below the key under that label is destroyed, and the PFX fetched again by the same attempt.
 */
export async function importPfx(profile: PfxProfile, reason: Reason, context: PassContext): Promise<void> {
  const { device, signal } = context
  await assertRootInstalled(profile, context)
  const source = sourceOf(profile, device.pfxSource)
  const begun = await begin(profile, context)
  const delivered = await open(await source.pfxFor(profile.id, begun.id, signal), device.platform.pfxRules)
  const verified = verify(delivered, profile, context)
  if (reason === 'RenewalDue') await assertNews(profile, verified.chain, context)
  const { privateKey } = delivered.key
  const placement = await place(profile, specOf(privateKey), context)
  const provider = providerOf(placement, device.platform.keyStorageProviders)
  const key = await provider.import?.(privateKey, begun.keyLabel, { exportable: profile.request.exportable })
  if (!key) throw new AgentError('ERR_UNSUPPORTED', `${provider.name} takes no key that was made elsewhere`)
  await installIdentity(profile, { ...verified, key, placement }, device)
}

function sourceOf({ displayName }: PfxProfile, source: PfxSource | undefined): PfxSource {
  if (!source) throw new AgentError('ERR_UNSUPPORTED', `"${displayName}": this device is not set up to receive a PFX`)
  return source
}

/** The attempt on record, without the key that a crash may have left under its label. */
async function begin(profile: PfxProfile, context: PassContext): Promise<EnrollmentAttempt> {
  const { state, platform } = context.device
  const id = randomUUID()
  const placement = await place(profile, usualSpec, context)
  const begun = await state.beginAttempt(keyOfProfile(profile), { id, keyLabel: `certfleet-${id}`, placement, requested: profile.request })
  if (begun.id !== id) await destroyKey(begun.keyLabel, platform.keyStorageProviders)
  return begun
}

function place(profile: PfxProfile, spec: KeySpec, { device }: PassContext): Promise<KeyPlacement> {
  const wish = { spec, hash: 'sha256', multiFactor: false, isImport: true, isExportable: profile.request.exportable } as const
  return placeKey(profile, wish, device.platform.keyStorageProviders, device.keyStorage)
}

async function open({ pfx, password }: DeliveredPfx, { reads, maxCertificates }: PfxRules): Promise<PfxIdentity> {
  const opened = await (reads === 'legacy' ? openLegacy(pfx, password) : openPfx(pfx, { password, legacy: reads === 'both' }))
  if (maxCertificates !== undefined && opened.certificates.length > maxCertificates) {
    const message = `the PFX holds ${opened.certificates.length} certificates, this OS takes ${maxCertificates}`
    throw new AgentError('ERR_CERTIFICATE_REFUSED', message)
  }
  return identityOf(opened)
}

/** What opens without the old ciphers is in PBES2, which such an OS cannot read. */
async function openLegacy(pfx: Uint8Array, password: string): Promise<OpenedPfx> {
  const modern = await openPfx(pfx, { password }).catch((error) => {
    if (error instanceof AgentError && error.code === 'ERR_ALGORITHM_REFUSED') return undefined
    throw error
  })
  if (modern) throw new AgentError('ERR_ALGORITHM_REFUSED', 'the PFX is in PBES2, this OS reads 3DES and RC2 alone')
  return openPfx(pfx, { password, legacy: true })
}

/** Issuers that the file leaves out may be on the device: intermediates come as Trusted profiles too. */
function verify(
  { certificate, chain }: PfxIdentity,
  profile: PfxProfile,
  { device, policy }: PassContext,
): Pick<NewIdentity, 'chain' | 'leaf'> {
  const issuers = [...chain, ...policy.trustedRoots.map((trusted) => trusted.certificate)]
  return verifyDelivered({ certificate, issuers, root: rootOf(profile, policy).certificate, at: device.clock.now() })
}

/** The certificate that is there already would be due for renewal again at the next pass. */
async function assertNews(profile: PfxProfile, chain: readonly Uint8Array[], { device }: PassContext): Promise<void> {
  const identities = await device.platform.identities.list()
  const current = identities.find(({ principal, profileId }) => identityKey(principal, profileId) === keyOfProfile(profile))
  if (!current || Buffer.compare(current.chain[0] as Uint8Array, chain[0] as Uint8Array) !== 0) return
  throw new AgentError('ERR_CERTIFICATE_MISMATCH', `there is no newer certificate for "${profile.displayName}" than the one installed`)
}
