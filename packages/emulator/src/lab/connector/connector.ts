import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { FactOverrides } from '@certfleet/platforms'
import { z } from 'zod'
import type { PfxRequest } from '../../tenant/index.ts'
import { empty, json, readBody } from '../http.ts'
import type { AuditEntry, Registration } from '../records.ts'
import type { ImportedPfxes } from './imported.ts'
import { issuePfx, type NotIssued, type PfxIssuanceOptions } from './issue-pfx.ts'
import { giveUpKeys } from './open-deliveries.ts'
import { wrapPfx } from './wrap.ts'

/** What the connector is to deliver to a device now. */
export type PfxRequestsFor = (deviceId: string) => readonly PfxRequest[]

export interface ConnectorOptions extends PfxIssuanceOptions {
  readonly pfxRequestsFor: PfxRequestsFor
  readonly imported: Pick<ImportedPfxes, 'newest'>
  readonly overrides?: FactOverrides | undefined
}

export interface Connector {
  /**
   * POST pfx: `{ pfx, password }` for the attempt that the body names. 404 for a profile that the device does not have, or whose user has no
   * imported file; 409 for a device without a management certificate; 410 for an attempt that is over; 429 while eight of its requests are
   * under way; 502 where the CA refuses, 503 where it is to be asked again later.
   */
  deliver(deviceId: string, request: HttpRequest): Promise<HttpResponse>
  /** To be called once a report of the device is on record: keys that it has are given up. */
  reported(deviceId: string): Promise<void>
}

const id = z.string().regex(/^[^\p{Cc}]{1,256}$/u)
const bodySchema = z.object({ profileId: id, attemptId: id })
/** Making keys is dear; a device asks for one after the other. */
const maxUnderWay = 8

/** The certificate connector: PKCS#12 for devices, issued by the CA or imported by an admin. */
export function connector(options: ConnectorOptions): Connector {
  const { store, pfxRequestsFor } = options
  const underWay = new Map<string, number>()
  return {
    async deliver(deviceId, request) {
      const body = readBody(request, bodySchema)
      if (body === undefined) return empty(400)
      const count = underWay.get(deviceId) ?? 0
      if (count >= maxUnderWay) return empty(429)
      underWay.set(deviceId, count + 1)
      try {
        return await answer(deviceId, body, options)
      } finally {
        const left = (underWay.get(deviceId) ?? 1) - 1
        if (left > 0) underWay.set(deviceId, left)
        else underWay.delete(deviceId)
      }
    },
    reported: (deviceId) => giveUpKeys(deviceId, () => pfxRequestsFor(deviceId), store),
  }
}

async function answer(deviceId: string, asked: z.output<typeof bodySchema>, options: ConnectorOptions): Promise<HttpResponse> {
  const { store, pfxRequestsFor } = options
  const { profileId, attemptId } = asked
  const refuse = (status: number, why: Partial<AuditEntry>) =>
    refused(status, { event: 'pfx-refused', deviceId, profileId, ...why }, options)
  const registration = store.get('registrations', deviceId) as Registration
  const request = pfxRequestsFor(deviceId).find((candidate) => candidate.profileId === profileId)
  if (request === undefined) return refuse(404, { detail: 'the device has no such PFX profile' })
  const { managementCertificate } = registration
  if (managementCertificate === undefined) return refuse(409, { detail: 'the device was registered without a management certificate' })
  const found =
    request.kind === 'pkcs'
      ? await issuePfx(request, attemptId, registration, options)
      : await options.imported.newest(request.userPrincipalName, request.intendedPurpose)
  if (found === undefined) return refuse(404, { detail: 'nothing is imported for user and purpose of this profile' })
  if ('status' in found) return refuse(...refusalOf(found))
  const wrapped = await wrapPfx(found, registration, { managementCertificate, overrides: options.overrides })
  await store.transaction((tx) => options.audit.add(tx, { event: 'pfx-delivered', deviceId, profileId }))
  return json(200, wrapped)
}

function refusalOf(found: NotIssued): [status: number, why: Partial<AuditEntry>] {
  if (found.status === 'over') return [410, { detail: 'the attempt is over: its key is not kept any more' }]
  if (found.status === 'pending') return [503, { detail: 'the CA has not decided yet' }]
  const { status: _, ...why } = found
  return [502, { event: 'refused', ...why }]
}

async function refused(
  status: number,
  entry: Omit<AuditEntry, 'sequence' | 'at'>,
  { store, audit }: Pick<ConnectorOptions, 'store' | 'audit'>,
): Promise<HttpResponse> {
  await store.transaction((tx) => audit.add(tx, entry))
  return empty(status)
}
