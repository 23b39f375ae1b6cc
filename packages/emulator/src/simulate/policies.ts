import type { Departure, PolicyDocument } from '@certfleet/agent-core'
import type { PfxRequest } from '../tenant/index.ts'

/** What the admin has done to one device's profiles since the start. */
export interface PolicyEdits {
  /** How often its SCEP and PKCS profiles were edited so that another certificate is asked for. */
  readonly edits: number
  readonly isAssigned: boolean
  /** How often its policy was saved without a change, which makes it a new one all the same. */
  readonly saves: number
  /** What ended its management; absent while it is managed. */
  readonly lifecycle?: Departure
  /** How far the replacement of its root is. Default: its Trusted profile has the root of the CA that issues now. */
  readonly root?: RootStep
}

/**
 * `old`: nothing was done yet. `replaced`: the Trusted profile has another certificate. Or by a Trusted profile of its own: `deployed` beside
 * the old one, then `linked` by the profiles, until at last the old one is `withdrawn`.
 */
export type RootStep = 'old' | 'replaced' | 'deployed' | 'linked' | 'withdrawn'

export const untouched: PolicyEdits = { edits: 0, isAssigned: true, saves: 0 }

/** The policy with those edits in it. */
export function edited(document: PolicyDocument, { edits, isAssigned, saves, lifecycle }: PolicyEdits): PolicyDocument {
  const edited = { ...document, revision: document.revision + edits + saves, ...(lifecycle && { lifecycle }) }
  if (!isAssigned) return { ...edited, scepProfiles: [], pfxProfiles: [] }
  if (edits === 0) return edited
  const scepProfiles = document.scepProfiles.map((profile) => ({ ...profile, subject: editedSubject(profile.subject, edits) }))
  const pfxProfiles = (document.pfxProfiles ?? []).map((profile) =>
    profile.kind === 'pkcs' ? { ...profile, certificateRevision: `${profile.certificateRevision} edit ${edits}` } : profile,
  )
  return { ...edited, scepProfiles, pfxProfiles }
}

/** What the connector is to deliver by then. */
export function editedRequests(requests: readonly PfxRequest[], { edits, isAssigned }: PolicyEdits): readonly PfxRequest[] {
  if (!isAssigned) return []
  if (edits === 0) return requests
  return requests.map((request) => (request.kind === 'pkcs' ? { ...request, subject: editedSubject(request.subject, edits) } : request))
}

const editedSubject = (subject: string, edits: number): string => `${subject},OU=edit ${edits}`

/** The policy while one CA's root takes the place of another's. */
export function withRoots(old: PolicyDocument, next: PolicyDocument, step: RootStep): PolicyDocument {
  if (step === 'old') return old
  if (step === 'replaced') return next
  const roots = next.trustedRoots.map((root) => ({ ...root, id: besideId(root.id), displayName: `${root.displayName}, next` }))
  if (step === 'deployed') return { ...old, trustedRoots: [...old.trustedRoots, ...roots] }
  const linked = <P extends { readonly rootProfileId: string }>(profile: P): P => ({
    ...profile,
    rootProfileId: besideId(profile.rootProfileId),
  })
  return {
    ...next,
    trustedRoots: step === 'linked' ? [...old.trustedRoots, ...roots] : roots,
    scepProfiles: next.scepProfiles.map(linked),
    pfxProfiles: (next.pfxProfiles ?? []).map(linked),
  }
}

const besideId = (id: string): string => `${id}-next`

/** Whether certificates are to lead to the next root by then. */
export const asksForNextRoot = (step: RootStep): boolean => step === 'replaced' || step === 'linked' || step === 'withdrawn'
