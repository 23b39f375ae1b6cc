import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { AgentError, type Clock, handlerTransport, type PolicyDocument, type Transport } from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import { createLab, type Lab, lmdbLabStore, memoryLabStore, serveLab } from '../lab/index.ts'
import type { ProcessCost } from '../measure/types.ts'
import { assignProfiles, type Import, type PfxRequest, renderPfxRequests, renderPolicy, type Tenant } from '../tenant/index.ts'

/** What an embedded lab is made by: plain data, so that a process of its own can be told it. */
export interface LabOrders {
  readonly tenant: Tenant
  /** How many it has to have room for, all of them connected at once. */
  readonly devices: number
  /** Lifetime of a certificate. Default: the lab's. */
  readonly validityDays?: number | undefined
  readonly legacyDes: boolean
  readonly legacySha1: boolean
  readonly overrides?: FactOverrides | undefined
  /** Keeps the CA and all that it did in the folder's `lab`. Default: in memory, and both end together. */
  readonly stateFolder?: string | undefined
  /** An IP address of this machine for devices on others to reach. Default: loopback. */
  readonly host?: string | undefined
  /** Default: any that is free. */
  readonly port?: number | undefined
  /** What entitles a device to register. A secret. Default: drawn. */
  readonly registrationToken?: string | undefined
}

/** A certificate of which the lab has a record. */
export interface IssuedByLab {
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly deviceId?: string | undefined
}

/** The service side of a run. */
export interface EmbeddedLab {
  /** DER. */
  readonly root: Uint8Array
  /** DER. */
  readonly issuing: Uint8Array
  readonly scepUrl: string
  readonly policyUrl: string
  /** A secret. */
  readonly registrationToken: string
  /** Where it is called in this process, without sockets. */
  readonly transport?: Transport
  /** What the tenant's devices get from now on; nothing before. */
  deliver(imported: Import): Promise<void>
  /** Every certificate that it ever issued to a device. */
  issued(): Promise<readonly IssuedByLab[]>
  /** Of a process of its own alone: what it has cost so far. */
  cost?(): Promise<ProcessCost>
  close(): Promise<void>
}

const dayMs = 86_400_000

/**
 * A lab in this process. `inProcess`: call its handlers instead of serving them. An address or port that cannot be served at: `ERR_NETWORK`.
 */
export async function startEmbeddedLab(orders: LabOrders, clock: Clock, inProcess: boolean): Promise<EmbeddedLab> {
  const { tenant, validityDays, legacyDes, legacySha1, overrides, stateFolder } = orders
  let policyFor: (deviceId: string) => PolicyDocument | undefined = () => undefined
  let pfxRequestsFor: (deviceId: string) => readonly PfxRequest[] = () => []
  const registrationToken = orders.registrationToken ?? randomBytes(32).toString('base64url')
  const store = stateFolder === undefined ? memoryLabStore() : await lmdbLabStore(join(stateFolder, 'lab'))
  const lab = await createLab({
    store,
    clock,
    policyFor: (deviceId) => policyFor(deviceId),
    pfxRequestsFor: (deviceId) => pfxRequestsFor(deviceId),
    registrationToken,
    legacyDes,
    legacySha1,
    overrides,
    ...(validityDays !== undefined && { templateValidityMs: validityDays * dayMs }),
  })
  const reached = inProcess ? callLab(lab) : reachLab(lab, orders)
  const { close, ...reach } = await reached.catch((error: unknown) => store.close().then(() => Promise.reject(error)))
  return {
    root: lab.rootCertificate,
    issuing: lab.issuingCertificate,
    registrationToken,
    ...reach,
    async deliver(imported) {
      const intent = { ...assignProfiles(imported, tenant).intent, overrides }
      policyFor = (deviceId) => (tenant.devices.has(deviceId) ? renderPolicy(intent, tenant, deviceId, { revision: 1 }) : undefined)
      pfxRequestsFor = (deviceId) => (tenant.devices.has(deviceId) ? renderPfxRequests(intent, tenant, deviceId) : [])
    },
    issued: async () =>
      [...store.list('issued')].flatMap(({ serialNumber, deviceId }) => (deviceId === undefined ? [] : [{ serialNumber, deviceId }])),
    close: () => close().finally(() => store.close()),
  }
}

type Reach = Pick<EmbeddedLab, 'scepUrl' | 'policyUrl' | 'transport' | 'close'>

/** Of the fleet's processes, beside the push connections. */
const sharedConnections = 8_192

async function reachLab(lab: Lab, { devices, host, port }: LabOrders): Promise<Reach> {
  const limits = { maxConnections: devices + sharedConnections, maxPushConnections: devices + sharedConnections }
  const serving = serveLab(lab, { limits, host, port })
  const { scepUrl, policyUrl, close } = await serving.catch(({ code, message }: NodeJS.ErrnoException) => {
    const where = `${host ?? '127.0.0.1'}${port === undefined ? '' : `, port ${port}`}`
    throw new AgentError('ERR_NETWORK', `the embedded lab cannot be served at ${where} (${code ?? message})`)
  })
  return { scepUrl, policyUrl, close }
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
