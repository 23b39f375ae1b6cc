import type { HttpRequest, HttpResponse, PolicyDocument } from '@certfleet/agent-core'
import { sha256Hex } from './digest.ts'
import { content, empty } from './http.ts'
import type { PolicyRevision } from './records.ts'
import type { LabStore } from './store.ts'

/** What the tenant rendered for a device; undefined where it has nothing for it. */
export type PolicyFor = (deviceId: string) => PolicyDocument | undefined

/** The same without the profiles of a device that is managed no longer: none of them counts, whether for policy, challenge or renewal. */
export function managedOnly(policyFor: PolicyFor): PolicyFor {
  return (deviceId) => {
    const rendered = policyFor(deviceId)
    if (!rendered?.lifecycle) return rendered
    return { ...rendered, trustedRoots: [], scepProfiles: [], pfxProfiles: [], failedProfiles: [] }
  }
}

export interface Policies {
  /** GET policy: the document with its ETag, or 304 for who has it already. */
  get(deviceId: string, request: HttpRequest): Promise<HttpResponse>
  /** Brings the revision on record up to what is rendered now; tells whether it rose. */
  refresh(deviceId: string): Promise<boolean>
}

/**
 * The policies in force. A revision never goes back and rises with every change of content, a restart of the lab
 * included; one that the tenant has raised by itself is kept.
 */
export function policies(store: LabStore, policyFor: PolicyFor): Policies {
  return {
    async get(deviceId, { headers }) {
      const rendered = policyFor(deviceId)
      if (rendered === undefined) return empty(404)
      const { revision, contentDigest } = await revise(store, deviceId, rendered)
      const etag = `"${contentDigest.slice(0, 22)}${revision.toString(16).padStart(10, '0')}"`
      if (matches(headers['if-none-match'], etag)) return empty(304, { etag })
      const response = content(200, 'application/json', JSON.stringify({ ...rendered, revision }))
      return { ...response, headers: { ...response.headers, etag, 'cache-control': 'no-cache' } }
    },
    async refresh(deviceId) {
      const rendered = policyFor(deviceId)
      return rendered !== undefined && (await revise(store, deviceId, rendered)).rose
    },
  }
}

async function revise(store: LabStore, deviceId: string, rendered: PolicyDocument): Promise<PolicyRevision & { readonly rose: boolean }> {
  const contentDigest = sha256Hex(JSON.stringify({ ...rendered, revision: 0 }))
  const next = (before: PolicyRevision | undefined): PolicyRevision => {
    const least = before === undefined ? 0 : before.contentDigest === contentDigest ? before.revision : before.revision + 1
    return { revision: Math.max(rendered.revision, least), contentDigest }
  }
  const before = store.get('revisions', deviceId)
  if (before && before.revision === next(before).revision) return { ...before, rose: false }
  return store.transaction((transaction) => {
    const record = next(transaction.get('revisions', deviceId))
    transaction.put('revisions', deviceId, record)
    return { ...record, rose: true }
  })
}

/** RFC 9110 13.1.2: a list of entity tags, compared weakly. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  return (ifNoneMatch ?? '').split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag || tag.trim() === '*')
}
