import { type KeyObject, randomBytes } from 'node:crypto'
import { AgentError } from '@certfleet/agent-core'
import { buildEnvelopedData } from '@certfleet/agent-core/cms'
import { buildPfx } from '@certfleet/agent-core/pfx'
import { parseCertificate } from '@certfleet/agent-core/pki'
import { behaviourOf, type FactOverrides, type PfxBehaviour, platformNames } from '@certfleet/platforms'
import type { Registration } from '../records.ts'

/** A key with its certificates: its own first, then its issuers, DER. */
export interface Deliverable {
  readonly privateKey: KeyObject
  readonly certificates: readonly Uint8Array[]
}

/** As it goes over the wire, both base64. */
export interface WrappedPfx {
  readonly pfx: string
  /** CMS EnvelopedData. */
  readonly password: string
}

export interface WrapOptions {
  /** Of the device's management key, DER. */
  readonly managementCertificate: Uint8Array
  readonly overrides?: FactOverrides | undefined
}

/** With 32 random octets for a password the number of derivations adds nothing; 2000 is what Windows writes. */
const iterations = 2_000
const passwordBytes = 32

/** A PFX as the device's OS reads it, under a password of its own, which only the device's management key opens. */
export async function wrapPfx(
  { privateKey, certificates }: Deliverable,
  to: Registration,
  { managementCertificate, overrides }: WrapOptions,
): Promise<WrappedPfx> {
  const { maxCertificates, readsLegacyAlone } = pfxBehaviourOf(to, overrides)
  const password = randomBytes(passwordBytes).toString('base64url')
  const pfx = await buildPfx({
    privateKey,
    certificates: certificates.slice(0, maxCertificates),
    password,
    algorithms: readsLegacyAlone ? 'legacy' : 'modern',
    iterations,
  })
  const recipient = parseCertificate(managementCertificate)
  const envelope = buildEnvelopedData({ content: Buffer.from(password), recipient, cipher: 'aes-256-cbc' })
  return { pfx: Buffer.from(pfx).toString('base64'), password: Buffer.from(envelope).toString('base64') }
}

/** A device may have registered as anything; one whose OS is not known gets what most read. */
function pfxBehaviourOf({ platform, osVersion }: Registration, overrides: FactOverrides | undefined): PfxBehaviour {
  const name = platformNames.find((known) => known === platform.toLowerCase())
  try {
    return name === undefined ? {} : behaviourOf(name, osVersion, overrides).pfx
  } catch (error) {
    if (error instanceof AgentError) return {}
    throw error
  }
}
