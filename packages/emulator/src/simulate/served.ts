import type { KeyObject } from 'node:crypto'
import type { ManagedKind, PolicyDocument } from '@certfleet/agent-core'
import type { DeviceSpec } from '../fleet/device.ts'
import type { Seed } from '../scenario/schema.ts'
import type { PfxRequest } from '../tenant/index.ts'
import type { SimulatedAuthority } from './authorities.ts'
import { chanceOf } from './chance.ts'
import type { Changes } from './changes.ts'
import type { Fault } from './faults.ts'
import { fileImporter, type ImportedRequest } from './imports.ts'
import { asksForNextRoot, edited, editedRequests, type RootStep, withRoots } from './policies.ts'
import type { TenantPolicies } from './population.ts'
import type { SimulatedService } from './service.ts'
import type { ServiceKeys } from './service-keys.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'

export interface ServedOptions extends TenantPolicies {
  readonly seed: Seed
  readonly devices: readonly DeviceSpec[]
  readonly validityDays: number
  readonly scepUrl: string
  readonly timeline: Timeline
  readonly trace: Trace
  readonly tally: { onFault(fault: Fault): void }
  readonly service: SimulatedService
  readonly changes: Changes
  readonly keys: ServiceKeys
  readonly serviceKeyFor: (index: number, bits: number) => Promise<KeyObject>
}

/** What the service has for each device at this moment: the tenant's policies with the admin's changes in them. */
export interface Policies {
  policyFor(deviceId: string): PolicyDocument | undefined
  pfxRequestsFor(deviceId: string): readonly PfxRequest[]
  /** Whether the device is to make a management key. */
  receivesPfx(deviceId: string): boolean
  /** Whether the service made that key, SubjectPublicKeyInfo, for that device or its user. */
  isKeyFor(deviceId: string, publicKey: Uint8Array): boolean
  /** What a profile of the device is, assigned or not. */
  kindOf(deviceId: string, profileId: string): ManagedKind
  hasExpired(serialNumber: string): boolean
  /** The first files of all users, each followed by the next before it expires. */
  importFiles(): Promise<void>
  /** The next step for the device at that index; with a new root its user needs a file of the new CA. */
  replaceRoot(index: number, step: RootStep): Promise<void>
}

const dayMs = 86_400_000
const importedKeyBits = 2048
const latePerMille = 100

export function servedPolicies(options: ServedOptions): Policies {
  const { seed, devices, validityDays, scepUrl, timeline, trace, tally, service, changes, keys } = options
  const { importedPfx } = service.lab
  const importInto = fileImporter(service.lab, timeline)
  const labOf = ({ root, issuing }: SimulatedAuthority) => ({ root, issuing: issuing.certificate, scepUrl })

  /** The CA whose root the device is to trust now. */
  function authorityFor(deviceId: string): SimulatedAuthority {
    const { root } = changes.editsOf(deviceId)
    const [old, next] = service.authorities() as [SimulatedAuthority, SimulatedAuthority]
    if (root === undefined) return service.presentAuthority()
    return asksForNextRoot(root) ? next : old
  }

  function rendered(deviceId: string): PolicyDocument | undefined {
    const { root } = changes.editsOf(deviceId)
    const of = (authority: SimulatedAuthority) => options.policyFor(deviceId, labOf(authority))
    if (root === undefined || root === 'old') return of(authorityFor(deviceId))
    const [old, next] = service.authorities().map(of)
    return old && next && withRoots(old, next, root)
  }

  const requestsFor = (deviceId: string) => options.pfxRequestsFor(deviceId, labOf(authorityFor(deviceId)))
  const importedFor = (deviceId: string) =>
    requestsFor(deviceId).filter((request): request is ImportedRequest => request.kind === 'imported')

  /** The tenant does not know which file is the newest. */
  function withRevisions(document: PolicyDocument, deviceId: string): PolicyDocument {
    const { pfxProfiles = [] } = document
    if (!pfxProfiles.some(({ kind }) => kind === 'imported')) return document
    const imported = new Map(importedFor(deviceId).map((request) => [request.profileId, request]))
    const revisionOf = ({ userPrincipalName, intendedPurpose }: ImportedRequest) => importedPfx.revision(userPrincipalName, intendedPurpose)
    return {
      ...document,
      pfxProfiles: pfxProfiles.map((profile) => {
        const request = imported.get(profile.id)
        return { ...profile, certificateRevision: (request && revisionOf(request)) ?? profile.certificateRevision }
      }),
    }
  }

  async function importFor(index: number): Promise<void> {
    const { id } = devices[index] as DeviceSpec
    if (changes.editsOf(id).lifecycle) return
    for (const request of importedFor(id)) {
      trace.add('pfx-imported', id)
      tally.onFault('pfx-imported')
      const privateKey = keys.note(request.userPrincipalName, await options.serviceKeyFor(index, importedKeyBits))
      await importInto({ request, privateKey, issuer: authorityFor(id), validityMs: validityDays * dayMs })
    }
  }

  /** Before the renewal is due, but for a few that come after it. */
  async function importAgain(index: number, chance = chanceOf(seed, index, 'imports')): Promise<void> {
    await importFor(index)
    const validityMs = validityDays * dayMs
    const latest = validityMs * (chance.happens(latePerMille) ? 0.85 : 0.75)
    timeline.at(timeline.now() + chance.between(validityMs / 2, latest), () => importAgain(index, chance))
  }

  return {
    policyFor(deviceId) {
      const document = rendered(deviceId)
      return document && withRevisions(edited(document, changes.editsOf(deviceId)), deviceId)
    },
    pfxRequestsFor: (deviceId) => editedRequests(requestsFor(deviceId), changes.editsOf(deviceId)),
    receivesPfx: (deviceId) => requestsFor(deviceId).length > 0,
    isKeyFor: (deviceId, publicKey) =>
      keys.areOf([deviceId, ...importedFor(deviceId).map(({ userPrincipalName }) => userPrincipalName)], publicKey),
    kindOf: (deviceId, profileId) => requestsFor(deviceId).find((request) => request.profileId === profileId)?.kind ?? 'scep',
    hasExpired: service.hasExpired,
    async importFiles() {
      for (const [index, { id }] of devices.entries()) if (importedFor(id).length > 0) await importAgain(index)
    },
    async replaceRoot(index, step) {
      const { id } = devices[index] as DeviceSpec
      const before = authorityFor(id)
      changes.replaceRoot(id, step)
      if (authorityFor(id) !== before) await importFor(index)
    },
  }
}
