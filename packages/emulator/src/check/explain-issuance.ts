import type { AgentErrorCode } from '@certfleet/agent-core'
import { caFacts, says, validationFacts } from '@certfleet/platforms'
import type { AuthorityFacts, IntentProfile, PkcsIntent, ScepIntent, Tenant } from '../tenant/index.ts'
import { type ExplainedStep, reported, told, type Walk } from './explain-walk.ts'
import { dayText, usagesText, validityText } from './words.ts'

/** How the device's SCEP client goes about it. */
export function exchange({ profile, behaviour, device }: Walk): readonly ExplainedStep[] {
  if (profile.kind !== 'scep') return []
  const { order, message, urlSuffix, userAgent, signerSubject, renewal, urls } = behaviour.habits(profile.displayName)
  const first = order === 'caps-first' ? 'GetCACaps before GetCACert' : 'GetCACert before GetCACaps'
  const asking = `${first}${message === undefined ? '' : ` with message=${message}`}`
  const signer = signerSubject === 'csr-subject' ? 'the subject of the request' : 'a random name'
  const many = profile.scepUrls.length > 1 ? `, of ${profile.scepUrls.length} URLs ${picks[urls]}` : ''
  const text = `${asking} at ${profile.scepUrls[0]}${urlSuffix}${many}; signed by a certificate of its own for ${signer}; renewal by ${renewal}; calls itself ${userAgent}`
  return [told('exchange', text, `${device.os.platform}.scep.order`)]
}

const picks = { first: 'the one that the service sends', 'in-order': 'in the order received', shuffled: 'in any order' } as const

/** What the service checks and the CA decides. */
export function issuance(walk: Walk): readonly ExplainedStep[] {
  const { profile, tenant, device, context } = walk
  const authority = authorityOf(profile, tenant)
  const known = authority ? [told('CA', authorityText(authority), caFacts.longest.id)] : []
  switch (profile.kind) {
    case 'scep':
      return [
        told('service', challengeText(says(validationFacts.challengeMinutes, context)), validationFacts.challengeChecks.id),
        told('CA', templateText, caFacts.templateSubject.id),
        ...known,
        refused('ERR_ENROLLMENT_REJECTED', walk),
      ]
    case 'pkcs': {
      const { certificationAuthority: host, certificationAuthorityName: name, certificateTemplateName: template } = profile
      return [
        told('service', `the connector asks ${host}\\${name} by the template "${template}"`, caFacts.connectorEnroll.id),
        ...known,
        refused('ERR_PFX_UNAVAILABLE', walk),
      ]
    }
    case 'imported-pfx':
      return [told('service', `delivers what was imported for ${profile.intendedPurpose} of "${device.subscriber.user?.upn}"`, 'M-PKCS')]
    default:
      return []
  }
}

const templateText = 'its template decides usages and the longest lifetime, and takes the subject from the request'

function challengeText(minutes: number): string {
  return `the challenge is good for ${minutes} minutes, while the profile stays assigned, and for a request that is what the profile asks for`
}

function refused(code: AgentErrorCode, walk: Walk): ExplainedStep {
  return told('shown', `if no certificate is issued, ${reported(code, walk).text}`)
}

/** What is known of the CA that issues for a profile. */
export function authorityOf(profile: IntentProfile, { authorities = [] }: Tenant): AuthorityFacts | undefined {
  if (profile.kind === 'scep') return authorities.find(({ scepUrls }) => isOneOf(profile, scepUrls))
  return profile.kind === 'pkcs' ? authorities.find(({ templateName }) => isNamed(profile, templateName)) : undefined
}

const isOneOf = (profile: ScepIntent, urls: readonly string[]): boolean => urls.some((url) => profile.scepUrls.includes(url))

/** Upper and lower case are the same to a CA. */
const isNamed = ({ certificateTemplateName }: PkcsIntent, name: string | undefined): boolean =>
  certificateTemplateName.toLowerCase() === name?.toLowerCase()

function authorityText({ validity, expiresAt, extendedKeyUsages }: AuthorityFacts): string {
  const known = [
    validity && `its template gives ${validityText(validity)} at most`,
    expiresAt !== undefined && `its own certificate ends on ${dayText(expiresAt)}`,
    extendedKeyUsages && `its template gives ${usagesText(extendedKeyUsages) || 'no extended key usage'}`,
  ].filter((text) => typeof text === 'string')
  return known.length > 0 ? known.join(', ') : 'nothing is known of its limits'
}
