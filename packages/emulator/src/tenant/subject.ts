import { AgentError } from '@certfleet/agent-core'
import { formatName, type NameAttribute, parseDistinguishedName, quoteNameValue, type Rdn } from '@certfleet/agent-core/pki'
import { profileFacts, says } from '@certfleet/platforms'

/** The only variable that holds a distinguished name instead of a value; it stands alone between separators. */
const nameVariable = /(^|[,;+])(\s*\{\{\s*onprem_distinguished_name\s*\}\})(?=\s*(?:$|[,;+]))/gi

/** Marks that variable as an attribute; 2.999 is for examples (X.660 A.7). */
const nameMark = '2.999'

/**
 * Reads a subject of the CertStrToName grammar with `{{variables}}` in its values.
 * Fails with `ERR_PROFILE_INVALID` where it is no such name, or is empty.
 */
export function parseSubject(text: string): Rdn[] {
  const rdns = parseDistinguishedName(
    text.replace(nameVariable, (_, separator: string, variable: string) => `${separator}${nameMark}=${variable.trim()}`),
  )
  if (rdns.length === 0) throw new AgentError('ERR_PROFILE_INVALID', 'invalid subject name: it is empty')
  return rdns
}

/**
 * The distinguished name with every variable put in, each value quoted where it needs it.
 * `resolve` gets each value and returns it without variables.
 */
export function renderSubject(text: string, resolve: (template: string) => string): string {
  return parseSubject(text)
    .flatMap((rdn) => resolveRdn(rdn, resolve))
    .map((rdn) => rdn.map(({ type, value }) => `${attributeName(type)}=${quoteNameValue(value)}`).join('+'))
    .join(',')
}

/** Intune documents that a device and its challenge then disagree about the subject (M-SCEP). */
export function hasBackslashEscape(text: string): boolean {
  return [...says(profileFacts.subjectEscape, {})].some((character) => text.includes(`\\${character}`))
}

function resolveRdn(rdn: Rdn, resolve: (template: string) => string): readonly Rdn[] {
  const [first] = rdn
  if (rdn.length === 1 && first?.type === nameMark) return parseDistinguishedName(withoutOctetEscapes(resolve(first.value)))
  return [rdn.map(({ type, value }): NameAttribute => ({ type, value: resolve(value) }))]
}

/** A directory writes RFC 4514, in which runs of `\XX` are UTF-8 octets; the other escapes are this grammar's too. */
function withoutOctetEscapes(name: string): string {
  return name.replace(/\\([,;+="\\<># ])|((?:\\[0-9a-f]{2})+)/gi, (source, character: string | undefined, octets: string | undefined) =>
    character === undefined && octets !== undefined
      ? withEscapes(Buffer.from(octets.replaceAll('\\', ''), 'hex').toString('utf8'))
      : source,
  )
}

function withEscapes(text: string): string {
  return text.replace(/[,;+="\\<># ]/g, '\\$&')
}

function attributeName(type: string): string {
  return formatName([[{ type, value: 'x' }]]).slice(0, -'=x'.length)
}
