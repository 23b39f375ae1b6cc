import { build, type PlistValue, parse } from 'plist'
import { SaxesParser } from 'saxes'
import { profileErrors, refuse } from './problem.ts'

export type { PlistValue } from 'plist'

const maxCharacters = 512 * 1024
const maxDepth = 32
/** Comments are among them: each costs as much. */
const maxElements = 10_000

const containers: ReadonlySet<string> = new Set(['plist', 'dict', 'array'])
/** Of the text without the white space around it, and in data. No pattern can match in many ways: texts are long. */
const leaves: Readonly<Record<string, RegExp>> = {
  key: /^/,
  string: /^/,
  integer: /^[+-]?\d{1,15}$/,
  real: /^[+-]?\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,3})?$/,
  data: /^[A-Za-z0-9+/]*={0,2}$/,
  date: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
  true: /^$/,
  false: /^$/,
}

/** Apple's own, without an internal subset. */
const appleDoctype =
  /^[\t\n\r ]+plist[\t\n\r ]+PUBLIC[\t\n\r ]+(["'])-\/\/Apple(?: Computer)?\/\/DTD PLIST 1\.0\/\/EN\1[\t\n\r ]+(["'])https?:\/\/www\.apple\.com\/DTDs\/PropertyList-1\.0\.dtd\2[\t\n\r ]*$/

/**
 * Reads a property list in XML. The library reads leniently, so a strict parser looks first: a DOCTYPE other than Apple's, an entity of the
 * document's own, CDATA, a processing instruction, an unknown element, a key twice, and more than 512 Ki characters, 32 levels or 10,000 elements are
 * refused with `ERR_PROFILE_INVALID`.
 */
export function readPropertyList(text: string): PlistValue {
  if (text.length > maxCharacters) malformed(`more than ${maxCharacters} characters`)
  // The library tells of it on stderr.
  if (text.includes('\ufffd')) malformed('a replacement character (U+FFFD), which stands where something could not be decoded')
  // The strict parser takes half a surrogate pair and the "<" behind it for one character.
  if (/\p{Surrogate}/u.test(text)) malformed('half a surrogate pair')
  assertStrict(text)
  try {
    return parse(text)
  } catch {
    // Its messages may quote the document, which holds secrets.
    return malformed('a value that cannot be read')
  }
}

/** In Apple's own layout, with its DOCTYPE. The texts are legal XML: `assertXmlText`. */
export function writePropertyList(value: PlistValue): string {
  return `${build(value)}\n`
}

/** XML 1.0 has no way to write some characters; U+FFFD is refused when it is read. */
export function assertXmlText(text: string, where: string): string {
  if (/[^\t\n\r\u0020-\ud7ff\ue000-\ufffc\u{10000}-\u{10ffff}]/u.test(text)) {
    refuse(where, 'it holds a character that XML cannot carry', profileErrors.unsupportedValue)
  }
  return text
}

interface Element {
  readonly name: string
  children: number
  /** Of a leaf. */
  text: string
  /** Of a dict. */
  readonly keys: Set<string>
  /** Of a dict: the last child was a key. */
  awaitsValue: boolean
}

function assertStrict(text: string): void {
  const parser = new SaxesParser()
  const open: Element[] = []
  let elements = 0
  parser.on('error', () => malformed('it is not well-formed XML'))
  parser.on('xmldecl', ({ encoding }) => {
    if (encoding !== undefined && !/^(utf-8|us-ascii)$/i.test(encoding)) malformed('its encoding is not UTF-8')
  })
  parser.on('doctype', (doctype) => {
    if (!appleDoctype.test(doctype)) malformed("its DOCTYPE is not Apple's property list")
  })
  parser.on('processinginstruction', () => malformed('a processing instruction'))
  parser.on('cdata', () => malformed('a CDATA section'))
  const count = () => (elements++ < maxElements ? undefined : malformed(`more than ${maxElements} elements`))
  parser.on('comment', () => {
    count()
    const element = open.at(-1)
    if (element && isLeaf(element)) malformed('a comment inside a value')
  })
  parser.on('text', (piece) => {
    const element = open.at(-1)
    if (element && isLeaf(element)) element.text += piece
    else if (piece.trim() !== '') malformed('text outside a value')
  })
  parser.on('opentag', ({ name, attributes }) => {
    count()
    if (open.length >= maxDepth) malformed(`more than ${maxDepth} levels`)
    if (Object.keys(attributes).some((attribute) => name !== 'plist' || attribute !== 'version')) malformed('an unknown attribute')
    enter(open.at(-1), name)
    open.push({ name, children: 0, text: '', keys: new Set(), awaitsValue: false })
  })
  parser.on('closetag', () => leave(open.pop() as Element, open.at(-1)))
  parser.write(text).close()
}

function isLeaf({ name }: Element): boolean {
  return !containers.has(name)
}

function enter(parent: Element | undefined, name: string): void {
  if (!containers.has(name) && !Object.hasOwn(leaves, name)) malformed('an element that property lists do not have')
  if ((parent === undefined) !== (name === 'plist')) malformed('<plist> is not the first element, and the only one of its name')
  if (parent === undefined) return
  if (isLeaf(parent)) malformed('an element inside a value')
  if (parent.name === 'plist' && parent.children > 0) malformed('more than one value in <plist>')
  const isKey = name === 'key'
  if (isKey !== (parent.name === 'dict' && !parent.awaitsValue))
    malformed('keys and values do not alternate in a <dict>, or a key is outside one')
  parent.awaitsValue = isKey
  parent.children++
}

function leave(element: Element, parent: Element | undefined): void {
  if (element.awaitsValue) malformed('a key without a value')
  if (element.name === 'plist' && element.children === 0) malformed('nothing in <plist>')
  if (!isLeaf(element)) return
  const text = element.name === 'data' ? element.text.replace(/\s+/g, '') : element.text.trim()
  if (!leaves[element.name]?.test(text)) malformed(`<${element.name}> with something else in it`)
  if (element.name !== 'key' || parent === undefined) return
  if (element.text === '' || parent.keys.has(element.text)) malformed('an empty key, or a key that is there twice in its <dict>')
  parent.keys.add(element.text)
}

function malformed(problem: string): never {
  return refuse('profile', `not a property list that can be read: ${problem}`, profileErrors.malformed)
}
