import { encodeName, NameOid, parseDistinguishedName, quoteNameValue } from '@certfleet/agent-core/pki'
import { says } from '../../fact.ts'
import type { Os } from '../../os.ts'
import { payloadFacts } from '../payload-facts.ts'
import { type Part, unsupported } from './fields.ts'
import { profileErrors, refusedAs } from './problem.ts'
import type { PlistValue } from './property-list.ts'

const shortNames: ReadonlyMap<string, string> = new Map(Object.entries(NameOid).map(([name, type]) => [type, name]))

/** A distinguished name as the array of arrays that the payload has. No text: no relative name. */
export function renderSubject(subject: string, os: Os): string[][][] {
  const shortcuts = new Map(Object.entries(says(payloadFacts.subjectShortcuts, os)).map(([name, type]) => [type as string, name]))
  return parseDistinguishedName(subject).map((rdn) => rdn.map(({ type, value }) => [shortcuts.get(type) ?? type, value]))
}

/** The same as text, in the form of `parseDistinguishedName`. */
export function readSubject(part: Part, value: readonly PlistValue[], os: Os): string {
  const rdns = value.map((rdn) => {
    if (!Array.isArray(rdn) || rdn.length === 0) return unsupported(part, 'Subject', 'an array of arrays of pairs')
    return rdn.map((pair) => readPair(part, pair, os)).join('+')
  })
  const text = rdns.join(',')
  refusedAs(`${part.name}: Subject`, profileErrors.unsupportedValue, () => encodeName(parseDistinguishedName(text)))
  return text
}

function readPair(part: Part, pair: PlistValue, os: Os): string {
  const [key, value, ...more] = Array.isArray(pair) ? pair : []
  if (typeof key !== 'string' || typeof value !== 'string' || value === '' || more.length > 0) {
    return unsupported(part, 'Subject', 'pairs of a type and a value')
  }
  const shortcuts: Readonly<Record<string, string>> = says(payloadFacts.subjectShortcuts, os)
  const type = Object.hasOwn(shortcuts, key) ? (shortcuts[key] as string) : key
  if (!/^\d+(\.\d+)+$/.test(type)) unsupported(part, 'Subject', `types as ${Object.keys(shortcuts).join(', ')} or a dotted OID`)
  return `${shortNames.get(type) ?? type}=${quoteNameValue(value)}`
}
