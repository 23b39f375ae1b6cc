import { AgentError, type KeyUsage, type SubjectAltName } from '@certfleet/agent-core'
import { encodeSubjectAltNames } from '@certfleet/agent-core/pki'
import { holds, says } from '../../fact.ts'
import type { Os } from '../../os.ts'
import type { Retries, ScepDelivery } from '../../rendering/delivery.ts'
import { appleErrors, domainOf } from '../../status/apple-errors.ts'
import { appleFacts } from '../facts.ts'
import { payloadFacts } from '../payload-facts.ts'
import { bytesOf, countOf, type Dict, dictOf, listOf, needed, type Part, textOf, unsupported } from './fields.ts'
import { profileErrors, refuse, refusedAs, shown } from './problem.ts'
import { assertXmlText, type PlistValue } from './property-list.ts'
import { readSubject, renderSubject } from './subject.ts'

/** Those of a delivery that the inner dictionary of a SCEP payload carries. */
export type ScepContents = Omit<ScepDelivery, 'id' | 'displayName' | 'principal' | 'rootId'>

/** What the payload may hold beside what a delivery knows. */
const otherKeys = ['Name', 'Key Type', 'KeyIsExtractable', 'AllowAllAppsAccess'] as const
const readKeys = [
  'URL',
  'Subject',
  'Challenge',
  'Keysize',
  'Key Usage',
  'CAFingerprint',
  'Retries',
  'RetryDelay',
  'SubjectAltName',
] as const
/** Every key that belongs in the inner dictionary. */
export const scepKeys: ReadonlySet<string> = new Set([...readKeys, ...otherKeys])
const untold: ReadonlySet<string> = new Set(['KeyIsExtractable', 'AllowAllAppsAccess'])

const maxRetries = 1_000_000
const usages: readonly KeyUsage[] = ['digitalSignature', 'keyEncipherment']

/** The inner dictionary. `name` is how messages call the payload. */
export function renderScepContents(scep: ScepDelivery, name: string, os: Os): { [key: string]: PlistValue } {
  const [url = refuse(name, 'it has no URL', profileErrors.missingField)] = scep.urls
  const text = (key: string, value: string) => assertXmlText(value, `${name}: ${key}`)
  const { keyBits, challenge, rootThumbprint, subjectAltNames } = scep
  if (keyBits !== undefined && !keySizes(os).includes(keyBits)) {
    throw new AgentError('ERR_UNSUPPORTED', `${name}: the payload takes keys of ${keySizes(os).join(', ')} bits, not ${keyBits}`)
  }
  const subject = renderSubject(text('Subject', scep.subject), os)
  return {
    URL: text('URL', url),
    Name: text(
      'Name',
      says(appleFacts.message, os).replace('{displayName}', () => scep.displayName),
    ),
    ...(subject.length > 0 && { Subject: subject }),
    ...(subjectAltNames.length > 0 && { SubjectAltName: renderAlternativeNames(subjectAltNames, text, os) }),
    ...(challenge !== undefined && { Challenge: text('Challenge', challenge) }),
    'Key Type': says(payloadFacts.keyType, os),
    ...(keyBits !== undefined && { Keysize: keyBits }),
    ...(scep.keyUsages && carriesKeyUsage(os) && { 'Key Usage': maskOf(scep.keyUsages, os) }),
    ...(rootThumbprint !== undefined && { CAFingerprint: Buffer.from(rootThumbprint, 'hex') }),
    ...(scep.retries && carriesRetries(os) && renderRetries(scep.retries, os)),
  }
}

export function carriesKeyUsage(os: Os): boolean {
  return !holds(payloadFacts.noKeyUsage, os)
}

export function carriesRetries(os: Os): boolean {
  return !holds(payloadFacts.noRetries, os)
}

/** The contents of the inner dictionary, and what the OS passes over in it. */
export function readScepContents(part: Part, os: Os): { contents: ScepContents; name?: string; skipped: readonly string[] } {
  const url = needed(part, says(payloadFacts.scepUrl, os), textOf(part, says(payloadFacts.scepUrl, os)))
  if (!isHttpUrl(url)) unsupported(part, 'URL', 'an absolute http or https URL without credentials')
  const keyType = textOf(part, 'Key Type')
  if (keyType !== undefined && keyType !== says(payloadFacts.keyType, os)) unsupported(part, 'Key Type', says(payloadFacts.keyType, os))
  const [name, challenge, keyBits] = [textOf(part, 'Name'), textOf(part, 'Challenge'), countOf(part, 'Keysize')]
  if (keyBits !== undefined && !keySizes(os).includes(keyBits)) unsupported(part, 'Keysize', keySizes(os).join(', '))
  const [keyUsages, retries, thumbprint] = [readKeyUsage(part, os), readRetries(part, os), readFingerprint(part, os)]
  const names = readAlternativeNames(part, os)
  return {
    contents: {
      urls: [url],
      subject: readSubject(part, listOf(part, 'Subject') ?? [], os),
      subjectAltNames: names.subjectAltNames,
      ...(challenge !== undefined && { challenge }),
      ...(keyBits !== undefined && { keyBits }),
      ...(keyUsages && { keyUsages }),
      ...(retries && { retries }),
      ...(thumbprint !== undefined && { rootThumbprint: thumbprint }),
    },
    ...(name !== undefined && { name }),
    skipped: [...passedOver(part), ...names.skipped],
  }
}

function passedOver({ name, values }: Part): readonly string[] {
  const keys = Object.keys(values)
  const unknown = keys.filter((key) => !scepKeys.has(key)).map((key) => `${name}: the unknown key ${shown(key)}`)
  return [...unknown, ...keys.filter((key) => untold.has(key)).map((key) => `${name}: ${key}, which nothing here depends on`)]
}

function keySizes(os: Os): readonly number[] {
  return says(payloadFacts.keySizes, os)
}

function maskOf(keyUsages: readonly KeyUsage[], os: Os): number {
  return usages.filter((usage) => keyUsages.includes(usage)).reduce((mask, usage) => mask + says(payloadFacts.keyUsage, os)[usage], 0)
}

function readKeyUsage(part: Part, os: Os): readonly KeyUsage[] | undefined {
  const mask = countOf(part, 'Key Usage')
  if (mask === undefined) return undefined
  const bits = says(payloadFacts.keyUsage, os)
  const found = usages.filter((usage) => Math.floor(mask / bits[usage]) % 2 === 1)
  if (maskOf(found, os) === mask) return found
  const code = says(appleErrors.keyUsage, os)
  const problem = `Key Usage is ${mask}, expected 0 or a sum of ${Object.values(bits).join(' and ')}`
  return refuse(part.name, problem, `${domainOf(code)} ${code}`)
}

function renderRetries({ count, delayMs }: Retries, os: Os): { [key: string]: PlistValue } {
  return { Retries: count, RetryDelay: Math.ceil(delayMs / says(payloadFacts.retryDelayUnitMs, os)) }
}

/** One of the two alone leaves the other at its default. */
function readRetries(part: Part, os: Os): Retries | undefined {
  const [count, delay] = [countOf(part, 'Retries'), countOf(part, 'RetryDelay')]
  if ((count ?? 0) > maxRetries) unsupported(part, 'Retries', `at most ${maxRetries}`)
  if ((delay ?? 0) > maxRetries) unsupported(part, 'RetryDelay', `at most ${maxRetries}`)
  if (count === undefined && delay === undefined) return undefined
  return {
    count: count ?? says(appleFacts.pendingPolls, os),
    delayMs: delay === undefined ? says(appleFacts.pendingDelayMs, os) : delay * says(payloadFacts.retryDelayUnitMs, os),
  }
}

function readFingerprint(part: Part, os: Os): string | undefined {
  const bytes = bytesOf(part, 'CAFingerprint')
  if (bytes === undefined) return undefined
  const lengths = says<readonly number[]>(payloadFacts.fingerprintBytes, os)
  if (!lengths.includes(bytes.length)) unsupported(part, 'CAFingerprint', `${lengths.join(' or ')} octets`)
  return Buffer.from(bytes).toString('hex')
}

function renderAlternativeNames(
  names: readonly SubjectAltName[],
  text: (key: string, value: string) => string,
  os: Os,
): { [key: string]: PlistValue } {
  const keys = says(payloadFacts.alternativeNames, os)
  const byKey = new Map<string, string[]>()
  for (const { type, value } of names) {
    byKey.set(keys[type], [...(byKey.get(keys[type]) ?? []), text('SubjectAltName', value)])
  }
  return Object.fromEntries([...byKey].map(([key, values]) => [key, values.length === 1 ? (values[0] as string) : values]))
}

function readAlternativeNames(part: Part, os: Os): { subjectAltNames: readonly SubjectAltName[]; skipped: readonly string[] } {
  const byKey: Dict = dictOf(part, 'SubjectAltName') ?? {}
  const keys = Object.entries(says(payloadFacts.alternativeNames, os)) as [SubjectAltName['type'], string][]
  const types = new Map(keys.map(([type, key]) => [key, type]))
  const subjectAltNames = Object.entries(byKey).flatMap(([key, value]): SubjectAltName[] => {
    const type = types.get(key)
    if (type === undefined) return []
    return (Array.isArray(value) ? value : [value]).map((one) =>
      typeof one === 'string' ? { type, value: one } : unsupported(part, `SubjectAltName ${key}`, 'a string or an array of strings'),
    )
  })
  refusedAs(`${part.name}: SubjectAltName`, profileErrors.unsupportedValue, () => encodeSubjectAltNames(subjectAltNames))
  const unknown = Object.keys(byKey).filter((key) => !types.has(key))
  return { subjectAltNames, skipped: unknown.map((key) => `${part.name}: alternative names of the unknown type ${shown(key)}`) }
}

function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === ''
}
