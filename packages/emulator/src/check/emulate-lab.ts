import { type KeyObject, randomBytes } from 'node:crypto'
import { AgentError, type Clock, handlerTransport, type PolicyDocument, type Report, type Transport } from '@certfleet/agent-core'
import { behaviourOf, type Os, parseOs } from '@certfleet/platforms'
import { isRsaSize } from '../keys/device-keys.ts'
import type { RsaBits } from '../keys/index.ts'
import { createLab, type Lab, memoryLabStore } from '../lab/index.ts'
import { authoritiesIn, type SimulatedAuthority } from '../simulate/authorities.ts'
import { fileImporter, type ImportedRequest } from '../simulate/imports.ts'
import {
  assignProfiles,
  type Intent,
  managementOf,
  osVersionOf,
  renderPfxRequests,
  renderPolicy,
  retarget,
  type Tenant,
} from '../tenant/index.ts'
import type { Device } from '../tenant/tenant-types.ts'
import { keptRoots } from './emulate-roots.ts'
import type { CheckContext } from './types.ts'

/** The service side of an emulation: the profiles of the export, pointed at a CA of its own. */
export interface EmulationLab {
  readonly transport: Transport
  readonly policyUrl: string
  /** A secret. */
  readonly registrationToken: string
  receivesPfx(deviceId: string): boolean
  /** From then on there is a policy for a device, and what was imported for its user. */
  prepare(deviceId: string): Promise<void>
  /** The last that a device sent. */
  reportOf(deviceId: string): Report | undefined
  /** The device is through. */
  forget(deviceId: string): void
}

/** A host that no name service knows (RFC 2606). */
const url = 'http://lab.invalid'
const scepUrl = `${url}/certsrv/mscep/mscep.dll`
const dayMs = 86_400_000
const importedValidityMs = 365 * dayMs

/** The ground of a check that has a tenant. */
export type TenantContext = CheckContext & { readonly tenant: Tenant; readonly intent: Intent }

export async function openEmulationLab(
  context: TenantContext,
  clock: Clock,
  drawKey: (bits: RsaBits) => Promise<KeyObject>,
): Promise<EmulationLab> {
  const { tenant, overrides } = context
  const osOf = (deviceId: string) => osOfDevice(tenant.devices.get(deviceId) as Device, overrides)
  const store = memoryLabStore()
  const registrationToken = randomBytes(32).toString('base64url')
  const policies = new Map<string, PolicyDocument>()
  const lab = await createLab({
    ...{ store, clock, registrationToken, overrides },
    policyFor: (deviceId) => policies.get(deviceId),
    pfxRequestsFor: (deviceId) => renderPfxRequests(intent, tenant, deviceId),
    makeKey: async (bits) => drawKey(rsaSize(bits)),
  })
  const intent = retargeted(context, lab)
  const [issuer] = authoritiesIn(store)
  const importFile = fileOncePerUser(lab, clock, issuer as SimulatedAuthority, () => drawKey(2048))
  const rootsFor = keptRoots(context.intent, tenant, osOf)
  const importedRevision: Lab['importedPfx']['revision'] = (...whose) => lab.importedPfx.revision(...whose)
  return {
    transport: handlerTransport(lab.handle),
    policyUrl: `${url}/device/policy`,
    registrationToken,
    receivesPfx: (deviceId) => renderPfxRequests(intent, tenant, deviceId).length > 0,
    async prepare(deviceId) {
      for (const request of renderPfxRequests(intent, tenant, deviceId))
        if (request.kind === 'imported' && wasImported(request, deviceId, tenant)) await importFile(request)
      const policy = renderPolicy(intent, tenant, deviceId, { revision: 1, importedRevision })
      policies.set(deviceId, withIssuer(await rootsFor(deviceId, policy), osOf(deviceId), lab))
    },
    reportOf: (deviceId) => store.get('reports', deviceId)?.report,
    forget: (deviceId) => void policies.delete(deviceId),
  }
}

function retargeted({ imported, tenant, intent }: TenantContext, lab: Lab): Intent {
  const { rootCertificate: root, issuingCertificate: issuing } = lab
  const pointed = retarget(imported, { root, issuing, scepUrl }).imported
  return { ...intent, byPlatform: assignProfiles(pointed, tenant).intent.byPlatform }
}

function osOfDevice(device: Device, overrides: CheckContext['overrides']): Os {
  return parseOs(device.platform, osVersionOf(device), overrides, managementOf(device))
}

/** Where a PFX brings no issuers they are trusted by themselves; whether the tenant's CA has one beside its root nobody tells. */
function withIssuer(policy: PolicyDocument, { platform, version, overrides }: Os, { issuingCertificate }: Lab): PolicyDocument {
  if (!policy.pfxProfiles || behaviourOf(platform, version, overrides).pfx.maxCertificates === undefined) return policy
  const issuer: PolicyDocument['trustedRoots'][number] = {
    id: 'emulated-issuer',
    displayName: 'Issuer of the emulation',
    certificate: Buffer.from(issuingCertificate).toString('base64'),
    destinationStore: 'computer-intermediate',
    assignedTo: ['device', 'user'],
  }
  return { ...policy, trustedRoots: [...policy.trustedRoots, issuer] }
}

function rsaSize(bits: number): RsaBits {
  if (isRsaSize(bits)) return bits
  throw new AgentError('ERR_UNSUPPORTED', `no RSA-${bits} keys are emulated`)
}

/** Where nothing is known of imports, everybody has what a profile asks for. */
function wasImported({ intendedPurpose }: ImportedRequest, deviceId: string, { devices, importedPfx }: Tenant): boolean {
  if (importedPfx === undefined) return true
  const user = devices.get(deviceId)?.user
  return user !== undefined && importedPfx.get(user)?.has(intendedPurpose) === true
}

function fileOncePerUser(lab: Lab, clock: Clock, issuer: SimulatedAuthority, makeKey: () => Promise<KeyObject>) {
  const add = fileImporter(lab, clock)
  const added = new Map<string, Promise<void>>()
  return (request: ImportedRequest): Promise<void> => {
    const whose = `${request.intendedPurpose} ${request.userPrincipalName.toLowerCase()}`
    const adding = added.get(whose) ?? makeKey().then((privateKey) => add({ request, privateKey, issuer, validityMs: importedValidityMs }))
    added.set(whose, adding)
    return adding
  }
}
