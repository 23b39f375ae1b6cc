import type { Transport } from '@certfleet/agent-core'
import { type EmbeddedLab, type LabOrders, startEmbeddedLab } from '../fleet/embedded-lab.ts'
import { startLabProcess } from '../fleet/lab-process.ts'
import { policiesOf, type TargetSettings } from '../fleet/target/settings.ts'
import { assignProfiles, type Import, type Replacement, renderPfxRequests, retarget, type Tenant } from '../tenant/index.ts'
import type { Io } from './io.ts'

/** What a run enrols with, ready to be asked. */
export interface Service {
  readonly kind: 'lab' | 'policy' | 'scep'
  /** Of the policy service, or of the SCEP server. */
  readonly url: string
  readonly settings: TargetSettings
  /** Only where there is an embedded one. */
  readonly lab?: EmbeddedLab
  /** Only where it is called in this process. */
  readonly transport?: Transport | undefined
  /** DER; undefined where only the service knows it. */
  readonly root?: Uint8Array
  /** For people: what stands in for the tenant's CA. */
  readonly remarks: readonly string[]
  close(): Promise<void>
}

export interface ServiceRequest {
  /** Default: an embedded lab. */
  readonly target: TargetSettings | undefined
  readonly imported: Import
  readonly tenant: Tenant
  readonly lab: Omit<LabOrders, 'tenant' | 'devices'>
  /** Where a lab runs: in a process of its own, in this one, or in this one without sockets. */
  readonly place: 'process' | 'sockets' | 'calls'
}

/** Starts the embedded lab, or tells of somebody else's service. */
export async function openService(request: ServiceRequest, io: Io): Promise<Service> {
  const { target: settings } = request
  if (settings === undefined) return labService(request, io)
  return settings.kind === 'policy' ? policyService(settings) : scepService(settings, request)
}

async function labService({ imported, tenant, lab: orders, place }: ServiceRequest, io: Io): Promise<Service> {
  const all = { ...orders, tenant, devices: tenant.devices.size }
  const lab = await (place === 'process' ? startLabProcess(all) : startEmbeddedLab(all, io.clock, place === 'calls'))
  const { root, issuing, scepUrl, policyUrl, registrationToken, transport } = lab
  const { imported: pointed, replaced } = retarget(imported, { root, issuing, scepUrl })
  await lab.deliver(pointed).catch((error: unknown) => lab.close().finally(() => Promise.reject(error)))
  return {
    kind: 'lab',
    url: policyUrl,
    settings: { kind: 'policy', policyUrl, registrationToken, isOwnLab: true },
    lab,
    transport,
    root,
    remarks: [labText(replaced)],
    close: () => lab.close(),
  }
}

function policyService(settings: Extract<TargetSettings, { kind: 'policy' }>): Service {
  return { kind: 'policy', url: settings.policyUrl, settings, remarks: [], close: async () => {} }
}

function scepService(settings: Extract<TargetSettings, { kind: 'scep' }>, { imported, tenant }: ServiceRequest): Service {
  const { replaced, impossible } = policiesOf(settings, imported, tenant)
  const without = impossible.map(({ displayName }) => `"${displayName}" needs a policy service: a SCEP server delivers no PFX`)
  return {
    kind: 'scep',
    url: settings.scepUrl,
    settings,
    root: new Uint8Array(Buffer.from(settings.root, 'base64')),
    remarks: [`the server stands in for the tenant's CA: ${countsText(replaced)}`, ...without],
    close: async () => {},
  }
}

/**
 * Whether what a device gets may have PFX in it. Of somebody's policy service only its connector could tell: with a management key they
 * all may. A SCEP server delivers none.
 */
export function pfxReceivers({
  target,
  imported,
  tenant,
}: Pick<ServiceRequest, 'target' | 'imported' | 'tenant'>): (deviceId: string) => boolean {
  if (target) return () => target.kind === 'policy'
  if (!imported.profiles.some(({ kind }) => kind === 'pkcs' || kind === 'imported-pfx')) return () => false
  const { intent } = assignProfiles(imported, tenant)
  return (deviceId) => renderPfxRequests(intent, tenant, deviceId).length > 0
}

function labText(replaced: readonly Replacement[]): string {
  const authorities = countOf(replaced, 'certificationAuthority')
  const pkcs = authorities > 0 ? `, and the CA of ${authorities} PKCS profiles` : ''
  return `the lab stands in for the tenant's CA: ${countsText(replaced)}${pkcs}`
}

const countsText = (replaced: readonly Replacement[]): string =>
  `${countOf(replaced, 'trustedRootCertificate')} trusted roots and ${countOf(replaced, 'scepServerUrls')} SCEP URLs replaced`

const countOf = (replaced: readonly Replacement[], member: Replacement['member']): number =>
  replaced.filter((replacement) => replacement.member === member).length
