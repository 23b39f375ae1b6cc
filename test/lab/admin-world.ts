import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HttpRequest, HttpResponse } from '@certfleet/agent-core'
import type { Lab, LabStore } from '@certfleet/emulator/lab'
import { memoryLabStore } from '@certfleet/emulator/lab'
import { type AdminPolicies, type AdminPoliciesOptions, adminApi, adminPolicies, monitored } from '#emulator/lab/admin/index.ts'
import type { FakeClock } from '../fakes/clock.ts'
import { root } from '../tooling/root.ts'
import { jsonOf, startLab } from './surroundings.ts'

export const adminToken = 'admin-token-canary-0123'

// biome-ignore lint/suspicious/noExplicitAny: answers are judged member by member.
export type Json = any

export interface Admin {
  readonly lab: Lab
  readonly clock: FakeClock
  readonly store: LabStore
  readonly policies: AdminPolicies
  /** How often the lab was told that policies may differ. */
  changes(): number
  send(method: HttpRequest['method'], path: string, body?: unknown, headers?: Record<string, string>): Promise<HttpResponse>
  /** The answer's object; throws what a refusal says. */
  ask(method: HttpRequest['method'], path: string, body?: unknown): Promise<Json>
  /** `<status> <code>: <message>` of a refusal. */
  refused(method: HttpRequest['method'], path: string, body?: unknown): Promise<string>
}

export async function startAdmin(options: AdminPoliciesOptions = {}, opened: LabStore = memoryLabStore()): Promise<Admin> {
  const { store, index } = monitored(opened)
  const policies = adminPolicies(store, options)
  const { lab, clock } = await startLab({ store, policyFor: policies.policyFor, pfxRequestsFor: policies.pfxRequestsFor })
  let told = 0
  const { revoke, audit, policiesChanged, importedPfx } = lab
  const onChanged = () => {
    told++
    return policiesChanged()
  }
  const api = adminApi({ store, index, clock, policies, adminToken, revoke, audit, importedPfx, onChanged })
  const send: Admin['send'] = (method, path, body, headers = { authorization: `Bearer ${adminToken}` }) => {
    const bytes = body instanceof Uint8Array ? body : body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const url = path.startsWith('/') ? path : `/v1.0/${path}`
    return api.handle({ method, url, headers: { host: 'lab.example:8085', ...headers }, ...(bytes && { body: bytes }) })
  }
  return {
    lab,
    clock,
    store,
    policies,
    changes: () => told,
    send,
    async ask(method, path, body) {
      const response = await send(method, path, body)
      if (response.status >= 300) throw new Error(`${response.status} ${Buffer.from(response.body)}`)
      return jsonOf(response)
    },
    async refused(method, path, body) {
      const response = await send(method, path, body)
      const { error } = jsonOf(response) ?? {}
      return `${response.status} ${error?.code}: ${error?.message}`
    },
  }
}

/** A profile of the example tenant. */
export function example(name: string): Json {
  return JSON.parse(readFileSync(join(root, 'packages/emulator/examples/contoso/graph', `${name}.json`), 'utf8'))
}

export const configurations = 'deviceManagement/deviceConfigurations'
export const allDevices = { target: { '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget' } }
export const toGroup = (groupId: string) => ({ target: { '@odata.type': '#microsoft.graph.groupAssignmentTarget', groupId } })
export const notGroup = (groupId: string) => ({ target: { '@odata.type': '#microsoft.graph.exclusionGroupAssignmentTarget', groupId } })
export const reference = (path: string) => ({ '@odata.id': `https://graph.microsoft.com/v1.0/${path}` })
