import { AgentError, type SubjectAltName } from '@certfleet/agent-core'
import { renderSubject } from './subject.ts'
import type { CertificateIntent, PkcsIntent, ScepIntent } from './types.ts'
import { resolveVariables, type Subscriber } from './variables.ts'

/** Fails with `ERR_PROFILE_INVALID` where there is no root to name. */
export function linkedRoot({ link }: CertificateIntent): string {
  if ('problem' in link) throw new AgentError('ERR_PROFILE_INVALID', link.problem)
  return link.rootProfileId
}

/** Subject and alternative names of one subscriber. Fails with `ERR_VARIABLE_UNRESOLVED`, or `ERR_UNSUPPORTED` for a format that no variable serves. */
export function resolvedNames(
  profile: ScepIntent | PkcsIntent,
  subscriber: Subscriber,
): { subject: string; subjectAltNames: SubjectAltName[] } {
  const { subjectTemplate, subjectNameFormat, subjectAltNames } = profile
  if (subjectTemplate === undefined) throw new AgentError('ERR_UNSUPPORTED', `no variable gives ${subjectNameFormat} a value`)
  return {
    subject: renderSubject(subjectTemplate, (template) => resolveVariables(template, 'subject', profile, subscriber)),
    subjectAltNames: subjectAltNames.map(({ type, value }) => ({ type, value: resolveVariables(value, type, profile, subscriber) })),
  }
}
