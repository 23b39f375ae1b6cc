import type { PolicyDocument } from '@certfleet/agent-core'

/** What the admin has done to one device's profiles since the start. */
export interface PolicyEdits {
  /** How often its SCEP profiles were edited so that another certificate is asked for. */
  readonly edits: number
  readonly isAssigned: boolean
  /** How often its policy was saved without a change, which makes it a new one all the same. */
  readonly saves: number
}

export const untouched: PolicyEdits = { edits: 0, isAssigned: true, saves: 0 }

/** The policy with those edits in it. */
export function edited(document: PolicyDocument, { edits, isAssigned, saves }: PolicyEdits): PolicyDocument {
  const revision = document.revision + edits + saves
  if (!isAssigned) return { ...document, revision, scepProfiles: [] }
  if (edits === 0) return { ...document, revision }
  const scepProfiles = document.scepProfiles.map((profile) => ({ ...profile, subject: `${profile.subject},OU=edit ${edits}` }))
  return { ...document, revision, scepProfiles }
}
