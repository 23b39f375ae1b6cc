import { randomBytes } from 'node:crypto'
import { type Clock, handlerTransport, httpTransport, type PolicyDocument, type Transport } from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import { createLab, type Lab, memoryLabStore, serveLab } from '../lab/index.ts'
import { assignProfiles, type Import, type PfxRequest, renderPfxRequests, renderPolicy, type Tenant } from '../tenant/index.ts'

export interface EmbeddedLabOptions {
  readonly tenant: Tenant
  readonly clock: Clock
  /** Call the handlers instead of serving them on loopback. */
  readonly inProcess: boolean
  /** Lifetime of a certificate. Default: the lab's. */
  readonly validityDays?: number | undefined
  readonly legacyDes: boolean
  readonly legacySha1: boolean
  readonly overrides?: FactOverrides | undefined
}

/** The service side of a run, with a CA of its own that ends with it. */
export interface EmbeddedLab {
  /** DER. */
  readonly root: Uint8Array
  /** DER. */
  readonly issuing: Uint8Array
  readonly scepUrl: string
  /** What the devices need to reach it. */
  readonly surroundings: { readonly policyUrl: string; readonly registrationToken: string; readonly transport: Transport }
  /** What the tenant's devices get from now on; nothing before. */
  deliver(imported: Import): void
  /** Whether what the device gets has PFX in it. */
  deliversPfx(deviceId: string): boolean
  close(): Promise<void>
}

const dayMs = 86_400_000

export async function startEmbeddedLab(options: EmbeddedLabOptions): Promise<EmbeddedLab> {
  const { tenant, clock, validityDays, legacyDes, legacySha1, overrides } = options
  let policyFor: (deviceId: string) => PolicyDocument | undefined = () => undefined
  let pfxRequestsFor: (deviceId: string) => readonly PfxRequest[] = () => []
  const registrationToken = randomBytes(32).toString('base64url')
  const lab = await createLab({
    store: memoryLabStore(),
    clock,
    policyFor: (deviceId) => policyFor(deviceId),
    pfxRequestsFor: (deviceId) => pfxRequestsFor(deviceId),
    registrationToken,
    legacyDes,
    legacySha1,
    overrides,
    ...(validityDays !== undefined && { templateValidityMs: validityDays * dayMs }),
  })
  const { scepUrl, policyUrl, transport, close } = await (options.inProcess ? callLab(lab) : reachLab(lab, clock))
  return {
    root: lab.rootCertificate,
    issuing: lab.issuingCertificate,
    scepUrl,
    surroundings: { policyUrl, registrationToken, transport },
    deliver(imported) {
      const { intent } = assignProfiles(imported, tenant)
      policyFor = (deviceId) => (tenant.devices.has(deviceId) ? renderPolicy(intent, tenant, deviceId, { revision: 1 }) : undefined)
      pfxRequestsFor = (deviceId) => (tenant.devices.has(deviceId) ? renderPfxRequests(intent, tenant, deviceId) : [])
    },
    deliversPfx: (deviceId) => pfxRequestsFor(deviceId).length > 0,
    close,
  }
}

interface Reach {
  readonly scepUrl: string
  readonly policyUrl: string
  readonly transport: Transport
  close(): Promise<void>
}

async function reachLab(lab: Lab, clock: Clock): Promise<Reach> {
  const { scepUrl, policyUrl, close } = await serveLab(lab)
  const transport = httpTransport({ clock, allowLoopback: true })
  return { scepUrl, policyUrl, transport, close: () => transport.close().then(close) }
}

/** A host that no name service knows (RFC 2606). */
async function callLab(lab: Lab): Promise<Reach> {
  const url = 'http://lab.invalid'
  return {
    scepUrl: `${url}/certsrv/mscep/mscep.dll`,
    policyUrl: `${url}/device/policy`,
    transport: handlerTransport(lab.handle),
    close: async () => {},
  }
}
