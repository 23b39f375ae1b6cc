import {
  expectTag,
  ia5String,
  isOid,
  isPrintable,
  malformed,
  oid,
  printableString,
  readChildren,
  readOid,
  readSequence,
  readText,
  sequence,
  setOf,
  Tag,
  type Tlv,
  utf8String,
} from '../der/index.ts'
import { AgentError } from '../errors.ts'
import { NameOid } from './oids.ts'

export interface NameAttribute {
  /** Dotted OID. */
  readonly type: string
  /** Text; a value that is no string is `#` and its DER in hex (RFC 4514 2.4). */
  readonly value: string
}

/** One relative distinguished name: usually one attribute, more when joined by `+`. */
export type Rdn = readonly NameAttribute[]

const maxNameBytes = 16 * 1024
const maxRdns = 64
const maxAttributes = 64

const printableTypes: ReadonlySet<string> = new Set([NameOid.C, NameOid.SERIALNUMBER, NameOid.DNQUALIFIER])
const ia5Types: ReadonlySet<string> = new Set([NameOid.E, NameOid.DC])
const shortNames: ReadonlyMap<string, string> = new Map(Object.entries(NameOid).map(([name, type]) => [type, name]))

/**
 * Name, DER, in the order given. PrintableString where X.520 allows nothing else (country, serial number, dnQualifier),
 * IA5String for e-mail and DC, UTF8String for the rest whatever the value: RFC 5280 4.1.2.4 allows it or PrintableString,
 * and one type for all values lets a CA that compares names octet by octet find the same name again.
 * A value that its type cannot hold: `ERR_PROFILE_INVALID`.
 */
export function encodeName(rdns: readonly Rdn[]): Uint8Array {
  return sequence(...rdns.map((rdn) => setOf(rdn.map(({ type, value }) => sequence(oid(type), encodeValue(type, value))))))
}

function encodeValue(type: string, value: string): Uint8Array {
  if (printableTypes.has(type)) {
    if (!isPrintable(value))
      throw new AgentError('ERR_PROFILE_INVALID', `${shortName(type)} takes a PrintableString: letters, digits and '()+,-./:=?`)
    return printableString(value)
  }
  if (!ia5Types.has(type)) return utf8String(value)
  if (/[^\x20-\x7e]/.test(value)) throw new AgentError('ERR_PROFILE_INVALID', `${shortName(type)} takes ASCII characters only`)
  return ia5String(value)
}

/** Reads a Name, DER, whatever string types it uses. Fails with `ERR_DER_MALFORMED`. */
export function decodeName(der: Uint8Array): Rdn[] {
  return relativeNames(der).map((attributes) => attributes.map(({ type, value }) => ({ type, value: textOf(value) })))
}

/** For people and logs: `CN=a, O="x, y"`. Control, format and bidirectional characters come out escaped, so nothing in it can steer a terminal. */
export function formatName(name: Uint8Array | readonly Rdn[]): string {
  const rdns = name instanceof Uint8Array ? decodeName(name) : name
  return rdns.map((rdn) => rdn.map(({ type, value }) => `${shortName(type)}=${quoteNameValue(escapeControls(value))}`).join('+')).join(', ')
}

/** RFC 5280 7.1 as RFC 4518 prepares it, near enough: string type, case, and runs of spaces do not count; order does. Fails with `ERR_DER_MALFORMED`. */
export function sameName(a: Uint8Array, b: Uint8Array): boolean {
  if (Buffer.compare(a, b) === 0) return true
  const [left, right] = [canonicalRdns(a), canonicalRdns(b)]
  return left.length === right.length && left.every((rdn, i) => rdn === right[i])
}

/** One text a relative name, equal when {@link sameName} takes them for equal: what subtrees are compared by. */
export function canonicalRdns(der: Uint8Array): readonly string[] {
  return relativeNames(der).map((attributes) => JSON.stringify(attributes.map(canonicalAttribute).sort()))
}

function canonicalAttribute({ type, value }: { type: string; value: Tlv }): string {
  const text = stringTags.has(value.tag)
    ? `=${readText(value, 'name').normalize('NFKC').toLowerCase().trim().replace(/\s+/g, ' ')}`
    : `#${hex(value.raw)}`
  return type + text
}

function relativeNames(der: Uint8Array): { type: string; value: Tlv }[][] {
  if (der.length > maxNameBytes) malformed('name', `more than ${maxNameBytes} octets`)
  const rdns = readSequence(der, 'name')
  if (rdns.length > maxRdns) malformed('name', `more than ${maxRdns} relative names`)
  return rdns.map((rdn) => {
    const attributes = readChildren(expectTag(rdn, Tag.Set, 'relative name').value, 'relative name')
    if (attributes.length === 0 || attributes.length > maxAttributes) malformed('relative name', `${attributes.length} attributes`)
    return attributes.map(readAttribute)
  })
}

function readAttribute(attribute: Tlv): { type: string; value: Tlv } {
  const [type, value, ...more] = readChildren(expectTag(attribute, Tag.Sequence, 'name attribute').value, 'name attribute')
  if (value === undefined || more.length > 0) malformed('name attribute', 'it is not a type and a value')
  return { type: readOid(type, 'name attribute type'), value }
}

const stringTags: ReadonlySet<number> = new Set([
  Tag.Utf8String,
  Tag.PrintableString,
  Tag.Ia5String,
  Tag.NumericString,
  Tag.TeletexString,
  Tag.BmpString,
  Tag.UniversalString,
])

function textOf(value: Tlv): string {
  return stringTags.has(value.tag) ? readText(value, 'name') : `#${hex(value.raw)}`
}

function shortName(type: string): string {
  return shortNames.get(type) ?? type
}

function escapeControls(value: string): string {
  return value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, escapeOctets)
}

/** RFC 4514 2.4: `\` and two hex digits for each octet of the character's UTF-8. */
function escapeOctets(character: string): string {
  return [...Buffer.from(character)].map((octet) => `\\${octet.toString(16).padStart(2, '0').toUpperCase()}`).join('')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

const maxNameCharacters = 4096

const typeByKey: ReadonlyMap<string, string> = new Map<string, string>([
  ...Object.entries(NameOid),
  ['EMAIL', NameOid.E],
  ['EMAILADDRESS', NameOid.E],
  ['ST', NameOid.S],
  ['TITLE', NameOid.T],
  ['GN', NameOid.G],
  ['GIVENNAME', NameOid.G],
  ['INITIALS', NameOid.I],
  ['SURNAME', NameOid.SN],
])

/**
 * Reads the text of a profile's subject, in the grammar of CertStrToName: `CN=a, O="x, y", 2.5.4.5=7, OU=b+L=c`.
 * `,` and `;` part relative names, `+` joins attributes; keys are short names in any case, or OIDs, `OID.` in front allowed.
 * A value in quotes is taken as it stands, `""` in it is one quote. A backslash takes one of `,;+="\<>#` or space literally;
 * before anything else it is itself, so that `DOMAIN\user` needs no escape. The order is kept.
 * Empty text is the empty name. Anything else: `ERR_PROFILE_INVALID`, with the position and not the value.
 */
export function parseDistinguishedName(text: string): Rdn[] {
  if (text.length > maxNameCharacters) invalid(`${text.length} characters, expected at most ${maxNameCharacters}`)
  const control = text.search(/\p{Cc}|\p{Cs}/u)
  if (control >= 0) invalid(`a control character at position ${control}`)
  if (text.trim() === '') return []
  const rdns: NameAttribute[][] = []
  let joined: NameAttribute[] | undefined
  for (let at = 0; at <= text.length; ) {
    const { attribute, end } = parseAttribute(text, at)
    const rdn = joined ?? []
    rdn.push(attribute)
    if (joined === undefined) rdns.push(rdn)
    if (rdns.length > maxRdns || rdn.length > maxAttributes) invalid(`more than ${maxRdns} parts`)
    joined = text[end] === '+' ? rdn : undefined
    at = end + 1
  }
  return rdns
}

/** A value as it goes into such a text: in quotes where it would otherwise be taken apart. */
export function quoteNameValue(value: string): string {
  return /^$|^[\s#]|\s$|[,+;="<>\\]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value
}

function parseAttribute(text: string, start: number): { attribute: NameAttribute; end: number } {
  const equals = text.indexOf('=', start)
  if (equals < 0) invalid(`no "key=" at position ${start}`)
  const key = text.slice(start, equals).trim()
  const type = typeByKey.get(key.toUpperCase()) ?? key.replace(/^oid\./i, '')
  if (!isOid(type)) invalid(`the key at position ${start} is neither a known short name nor an OID`)
  const first = equals + 1 + (/^\s*/.exec(text.slice(equals + 1)) as RegExpExecArray)[0].length
  const { value, end } = text[first] === '"' ? quotedValue(text, first) : plainValue(text, first)
  if (value === '') invalid(`the value of "${shortName(type)}" is empty`)
  return { attribute: { type, value }, end }
}

function quotedValue(text: string, start: number): { value: string; end: number } {
  let value = ''
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '"' && text[at + 1] !== '"') return { value, end: separatorAfter(text, at + 1) }
    if (text[at] === '"') at++
    value += text[at]
  }
  return invalid(`the quote at position ${start} is not closed`)
}

function separatorAfter(text: string, start: number): number {
  let end = start
  while (text[end] === ' ') end++
  if (end < text.length && !',;+'.includes(text[end] as string)) invalid(`text behind a closing quote at position ${end}`)
  return end
}

function plainValue(text: string, start: number): { value: string; end: number } {
  let value = ''
  let kept = 0
  let at = start
  for (; at < text.length && !',;+'.includes(text[at] as string); at++) {
    if (text[at] === '"' || text[at] === '=') invalid(`"${text[at]}" at position ${at} needs quotes around the value or a backslash`)
    const escaped = text[at] === '\\' && at + 1 < text.length && ',;+="\\<># '.includes(text[at + 1] as string)
    if (escaped) at++
    value += text[at]
    if (escaped || text[at] !== ' ') kept = value.length
  }
  return { value: value.slice(0, kept), end: at }
}

function invalid(problem: string): never {
  throw new AgentError('ERR_PROFILE_INVALID', `invalid subject name: ${problem}`)
}
