import { AgentError, type AgentState, type Instant, identityKey, type PolicyDocument } from '@certfleet/agent-core'
import { parseCertificate, serialNumberHex } from '@certfleet/agent-core/pki'
import type { SimulatedDevice } from './device.ts'

/** What keeps a device from having one valid certificate for each of its profiles, and nothing half done; by device. */
export async function unconverged(
  devices: readonly SimulatedDevice[],
  policyFor: (deviceId: string) => PolicyDocument | undefined,
  isRevoked: (serialNumber: string) => boolean,
  now: Instant,
): Promise<ReadonlyMap<SimulatedDevice, string>> {
  const missing = await Promise.all(devices.map((device) => lacks(device, policyFor(device.spec.id), isRevoked, now)))
  return new Map(devices.flatMap((device, i) => (missing[i] === undefined ? [] : [[device, missing[i]] as const])))
}

async function lacks(
  device: SimulatedDevice,
  policy: PolicyDocument | undefined,
  isRevoked: (serialNumber: string) => boolean,
  now: Instant,
): Promise<string | undefined> {
  if (policy === undefined) return 'has no policy'
  const identities = await device.identities()
  const state = await stateOf(device)
  if (!state) return 'its state cannot be read'
  const { attempts, failures } = state
  const wanted = policy.scepProfiles.map(({ principal, id }) => identityKey(principal, id))
  for (const key of wanted) {
    const identity = identities.find(({ principal, profileId }) => identityKey(principal, profileId) === key)
    const certificate = identity && parseCertificate(identity.chain[0] as Uint8Array)
    const why = failures.get(key)?.code ?? (attempts.has(key) ? 'its attempt is unfinished' : 'nothing was tried')
    if (!certificate) return `${key} has no certificate: ${why}`
    if (now < certificate.notBefore || now >= certificate.notAfter) return `the certificate of ${key} is not valid now: ${why}`
    if (isRevoked(serialNumberHex(certificate))) return `the certificate of ${key} is revoked`
  }
  const surplus = identities.find(
    ({ principal, profileId, releasedBy }) => releasedBy === undefined && !wanted.includes(identityKey(principal, profileId)),
  )
  return surplus && `a certificate is left of ${surplus.profileId}, whose profile is gone`
}

/** The devices on which a refusal waits for a new policy: what an admin who reads the reports does something about. */
export async function refusedForGood(devices: readonly SimulatedDevice[]): Promise<readonly string[]> {
  const states = await Promise.all(devices.map((device) => stateOf(device)))
  return devices.flatMap(({ spec }, i) => {
    const failures = [...(states[i]?.failures.values() ?? [])]
    return failures.some(({ retry }) => retry === 'on-new-policy' || retry === 'never') ? [spec.id] : []
  })
}

async function stateOf(device: SimulatedDevice): Promise<AgentState | undefined> {
  try {
    return await device.state()
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return undefined
  }
}
