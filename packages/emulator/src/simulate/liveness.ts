import { AgentError, type AgentState, type Identity, type Instant, identityKey, type PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import { stays } from '../invariants/leftovers.ts'
import { clings, type Departed } from './departed.ts'
import type { SimulatedDevice } from './device.ts'

/** What devices are judged by once all is healed. */
export interface Expectations {
  policyFor(deviceId: string): PolicyDocument | undefined
  /** Of a device that is managed no longer. */
  departed(device: SimulatedDevice): Departed | undefined
  isRevoked(serialNumber: string): boolean
}

/**
 * What keeps a device from having one valid certificate for each of its profiles, and nothing half done, or one that is managed no longer from
 * having what its OS leaves it; by device.
 */
export async function unconverged(
  devices: readonly SimulatedDevice[],
  expected: Expectations,
  now: Instant,
): Promise<ReadonlyMap<SimulatedDevice, string>> {
  const missing = await Promise.all(
    devices.map((device) => {
      const departed = expected.departed(device)
      return departed ? stillHas(device, departed) : lacks(device, expected, now)
    }),
  )
  return new Map(devices.flatMap((device, i) => (missing[i] === undefined ? [] : [[device, missing[i]] as const])))
}

async function stillHas(device: SimulatedDevice, departed: Departed): Promise<string | undefined> {
  const state = await stateOf(device)
  return state ? clings(device, state, departed) : unreadable
}

async function lacks(device: SimulatedDevice, expected: Expectations, now: Instant): Promise<string | undefined> {
  const policy = expected.policyFor(device.spec.id)
  if (policy === undefined) return 'has no policy'
  const identities = await device.identities()
  const state = await stateOf(device)
  if (!state) return unreadable
  const { attempts, failures } = state
  const wanted = [...policy.scepProfiles, ...(policy.pfxProfiles ?? [])].map(({ principal, id }) => identityKey(principal, id))
  for (const key of wanted) {
    const identity = identities.find(({ principal, profileId }) => identityKey(principal, profileId) === key)
    const certificate = identity && parseCertificate(identity.chain[0] as Uint8Array)
    const why = failures.get(key)?.code ?? (attempts.has(key) ? 'its attempt is unfinished' : 'nothing was tried')
    if (!certificate) return `${key} has no certificate: ${why}`
    if (now < certificate.notBefore || now >= certificate.notAfter) return `the certificate of ${key} is not valid now: ${why}`
    if (expected.isRevoked(serialNumberHex(certificate))) return `the certificate of ${key} is revoked`
  }
  const surplus = identities.find(
    (identity) => !wanted.includes(identityKey(identity.principal, identity.profileId)) && !stays(identity, 'unassigned', device.spec),
  )
  return (surplus && `a certificate is left of ${surplus.profileId}, whose profile is gone`) ?? (await lacksRoot(device, policy))
}

/** All that the policy names, and no other. */
async function lacksRoot(device: SimulatedDevice, { trustedRoots }: PolicyDocument): Promise<string | undefined> {
  const installed = new Set((await device.roots()).map(({ fingerprint }) => fingerprint)).size
  const wanted = new Set(trustedRoots.map(({ certificate }) => certificate)).size
  return installed === wanted ? undefined : `${installed} roots are installed, and the policy names ${wanted}`
}

/** The devices on which a refusal waits for a new policy: what an admin who reads the reports does something about. */
export async function refusedForGood(devices: readonly SimulatedDevice[]): Promise<readonly string[]> {
  const states = await Promise.all(devices.map((device) => stateOf(device)))
  return devices.flatMap(({ spec }, i) => {
    const failures = [...(states[i]?.failures.values() ?? [])]
    return failures.some(({ retry }) => retry === 'on-new-policy' || retry === 'never') ? [spec.id] : []
  })
}

/** The devices that hold a certificate which was revoked while they did not hear of it: an admin finds them by comparing reports and CRL. */
export async function holdingRevoked(devices: readonly SimulatedDevice[], { isRevoked }: Expectations): Promise<readonly string[]> {
  const held = await Promise.all(devices.map((device) => device.identities()))
  const isOneRevoked = ({ chain }: Identity) => isRevoked(serialNumberHex(parseCertificate(chain[0] as Uint8Array)))
  return devices.flatMap(({ spec }, i) => (held[i]?.some(isOneRevoked) ? [spec.id] : []))
}

const unreadable = 'its state cannot be read'

async function stateOf(device: SimulatedDevice): Promise<AgentState | undefined> {
  try {
    return await device.state()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return undefined
  }
}
