import { AgentError, type HashName, type KeyUsage, type SubjectAltName } from '@certfleet/agent-core'
import { parseDistinguishedName } from '@certfleet/agent-core/pki'
import { says } from '../fact.ts'
import type { Os } from '../os.ts'
import type { ScepDelivery } from '../rendering/delivery.ts'
import { hexOf, namedHash, oidOf, scaleOf, wholeNumber } from '../rendering/values.ts'
import { childOf, readXml, type XmlElement } from '../rendering/xml.ts'
import { androidFacts } from './facts.ts'
import { androidSyncMlFacts } from './syncml-facts.ts'

export interface ReadRequest {
  readonly settings: Omit<ScepDelivery, 'id' | 'displayName' | 'principal'>
  readonly skipped: readonly string[]
}

/** Ids come from the file, and may be as long as it. */
const maxToldCharacters = 256

/** What the XML in a SCEP request's node asks for; an element that is missing is a setting not said. Anything else: `ERR_PROFILE_INVALID`. */
export function readRequestDocument(text: string, os: Os, wholeId: string): ReadRequest {
  const id = wholeId.slice(0, maxToldCharacters)
  const request = rootOf(text, 'CertificateRequest', `the request "${id}"`)
  const parameters = childOf(request, 'RequestParameters')
  const settingsText = childOf(request, 'ConfigurationParametersDocument')?.text ?? ''
  const chosen = rootOf(settingsText, 'ConfigurationParameters', `the settings of "${id}"`)
  const said = (name: string) => childOf(chosen, name)?.text.trim() || undefined
  const number = (name: string) => numberOf(said(name), name)
  const skipped: string[] = []
  const subject = childOf(parameters, 'SubjectName')?.text ?? ''
  parseDistinguishedName(subject)
  const thumbprint = said('CAThumbprint')
  const settings = {
    urls: urlsOf(chosen, parameters, os, id),
    subject,
    subjectAltNames: namesOf(childOf(childOf(parameters, 'SubjectAlternativeName'), 'SANs'), os, skipped),
    ...present({
      challenge: childOf(parameters, says(androidSyncMlFacts.token, os))?.text || undefined,
      keyBits: number('KeyLength'),
      keyUsages: usagesOf(number('KeyUsage'), os, skipped),
      keyStorage: storageOf(number('KeyStorageProviderSetting'), os),
      hashes: hashesOf(childOf(chosen, 'HashAlgorithms'), os, skipped),
      extendedKeyUsages: purposesOf(childOf(chosen, 'EKUMapping')),
      validity: validityOf(number('ValidityPeriod'), said('ValidityPeriodUnit')),
      renewalThresholdPercent: thresholdOf(number('ExpirationThreshold')),
      retries: retriesOf(number('RetryCount'), number('RetryDelay'), os),
      rootThumbprint:
        thumbprint && hexOf(thumbprint, says(androidSyncMlFacts.thumbprint, os), `CAThumbprint (${androidSyncMlFacts.thumbprint.id})`),
    }),
  }
  return { settings, skipped }
}

type Present<Members> = { [Name in keyof Members]?: Exclude<Members[Name], undefined> }

function present<Members extends object>(members: Members): Present<Members> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Present<Members>
}

function rootOf(text: string, name: string, what: string): XmlElement {
  const root = readXml(text, what)
  if (root.name !== name)
    throw new AgentError('ERR_PROFILE_INVALID', `${what} is refused: expected ${name} (${androidSyncMlFacts.nesting.id})`)
  return root
}

function numberOf(text: string | undefined, what: string): number | undefined {
  return text === undefined ? undefined : wholeNumber(text, what)
}

/** The chosen one first, the others as they stand. */
function urlsOf(chosen: XmlElement, parameters: XmlElement | undefined, os: Os, id: string): string[] {
  const name = says(androidSyncMlFacts.chosenUrl, os)
  const listed = childOf(chosen, 'NDESUrls')?.children.filter((child) => child.name === 'NDESUrl') ?? []
  const all = [childOf(parameters, name), ...listed].map((element) => element?.text.trim() ?? '')
  const urls = [...new Set(all.filter((url) => url !== ''))]
  if (urls.length === 0)
    throw new AgentError('ERR_PROFILE_INVALID', `the request "${id}" has no ${name} (${androidSyncMlFacts.chosenUrl.id})`)
  return urls
}

/** A name without text, as the sample has one, asks for nothing. */
function namesOf(list: XmlElement | undefined, os: Os, skipped: string[]): SubjectAltName[] {
  const types = Object.entries(says(androidSyncMlFacts.sanTypes, os)) as [SubjectAltName['type'], number][]
  return (list?.children ?? []).flatMap(({ attributes, text: value }): SubjectAltName[] => {
    if (value.trim() === '') return []
    const kind = wholeNumber(attributes.get('AltNameType') ?? '', 'AltNameType')
    const type = types.find(([, number]) => number === kind)?.[0]
    if (type === undefined) skipped.push(`SANs: a name of kind ${kind} (${androidSyncMlFacts.sanTypes.id})`)
    return type === undefined ? [] : [{ type, value }]
  })
}

function usagesOf(number: number | undefined, os: Os, skipped: string[]): KeyUsage[] | undefined {
  if (number === undefined) return undefined
  const bits = says(androidSyncMlFacts.keyUsage, os)
  const usages = (['digitalSignature', 'keyEncipherment'] as const).filter((usage) => (number & bits[usage]) !== 0)
  const others = usages.reduce((rest, usage) => rest & ~bits[usage], number)
  if (others !== 0) skipped.push(`KeyUsage: ${others} of it is not modelled`)
  return usages
}

function storageOf(number: number | undefined, os: Os) {
  if (number === undefined) return undefined
  const option = says(androidSyncMlFacts.keyStorage, os)[number]
  if (option !== undefined) return option
  throw new AgentError('ERR_PROFILE_INVALID', `KeyStorageProviderSetting ${number} is none of 0 to 3 (${androidSyncMlFacts.keyStorage.id})`)
}

function hashesOf(list: XmlElement | undefined, os: Os, skipped: string[]): HashName[] | undefined {
  const names = list?.children.map(({ text }) => text) ?? []
  const hashes = names.flatMap((name) => namedHash(says(androidSyncMlFacts.hashNames, os), name) ?? [])
  if (hashes.length < names.length) skipped.push('HashAlgorithms: names a hash that is not known here')
  return hashes.length > 0 ? [...new Set(hashes)] : undefined
}

function purposesOf(mapping: XmlElement | undefined): string[] | undefined {
  return mapping?.children.map((map) => oidOf(childOf(map, 'EKUOID')?.text ?? '', 'EKUMapping'))
}

function validityOf(value: number | undefined, unit: string | undefined): ScepDelivery['validity'] {
  return value === undefined || value === 0 ? undefined : { value, scale: scaleOf(unit ?? '', 'ValidityPeriodUnit') }
}

function thresholdOf(percent: number | undefined): number | undefined {
  if (percent === undefined || (percent >= 1 && percent <= 99)) return percent
  throw new AgentError('ERR_PROFILE_INVALID', `ExpirationThreshold ${percent} is none of 1 to 99 (${androidSyncMlFacts.threshold.id})`)
}

/** What is not said of the two is as the agent takes it. */
function retriesOf(count: number | undefined, delay: number | undefined, os: Os): ScepDelivery['retries'] {
  if (count === undefined && delay === undefined) return undefined
  const delayMs = delay === undefined ? says(androidFacts.pendingDelayMs, os) : delay * says(androidSyncMlFacts.retryDelay, os)
  return { count: count ?? says(androidFacts.pendingPolls, os), delayMs }
}
