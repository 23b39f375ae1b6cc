import { AgentError } from '@certfleet/agent-core'
import { SaxesParser } from 'saxes'

/** An element with what is inside it. Comments are left out, CDATA is text. */
export interface XmlElement {
  /** Without its prefix. */
  readonly name: string
  /** Empty where there is none. */
  readonly namespace: string
  /** By name, with its prefix. Declarations of namespaces are among them. */
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** Its own text, without that of its children. */
  readonly text: string
  /** Where its name ends, from 1. */
  readonly line: number
  readonly column: number
}

/** More is refused. The characters are as many as the largest message that devices say they take; a node is an element or an attribute. */
export const xmlLimits = { characters: 512 * 1024, nodes: 50_000, depth: 32 } as const

/**
 * Reads an XML 1.0 document with namespaces. `ERR_PROFILE_INVALID`, with line and column and without the text, where it is not
 * well-formed, holds a document type declaration or a processing instruction, or is over `xmlLimits`.
 * With no declarations there are no entities but XML's own five, so nothing can grow when it is read.
 */
export function readXml(text: string, what = 'the file'): XmlElement {
  const refuse = (problem: string, place: Place): never => {
    throw new AgentError('ERR_PROFILE_INVALID', `${what} is refused at line ${place.line}, column ${place.column}: ${problem}`)
  }
  if (text.length > xmlLimits.characters) refuse(`over ${xmlLimits.characters} characters`, { line: 1, column: 1 })
  const surrogate = text.search(/\p{Cs}/u)
  if (surrogate >= 0) refuse('disallowed character', placeOf(text, surrogate))
  return parse(text, refuse)
}

interface Place {
  readonly line: number
  readonly column: number
}

type Open = XmlElement & { text: string; readonly children: XmlElement[] }

function parse(text: string, refuse: (problem: string, place: Place) => never): XmlElement {
  const parser = new SaxesParser({ xmlns: true, defaultXMLVersion: '1.0', forceXMLVersion: true })
  const here = (): Place => ({ line: parser.line, column: parser.column + 1 })
  const open: Open[] = []
  let root: XmlElement | undefined
  let nodes = 0
  let namePlace = here()
  const count = () => (nodes++ < xmlLimits.nodes ? undefined : refuse(`over ${xmlLimits.nodes} elements and attributes`, here()))
  // The parser's words may quote a name behind a colon, and a name may be a secret that was not escaped.
  parser.on('error', ({ message }) => refuse(message.replace(/^\d+:\d+: /, '').replace(/[.:].*$/s, ''), here()))
  parser.on('doctype', () => refuse('a document type declaration', placeOf(text, text.lastIndexOf('<!DOCTYPE', parser.position))))
  parser.on('processinginstruction', () => refuse('a processing instruction', here()))
  parser.on('opentagstart', () => {
    namePlace = here()
    count()
    if (open.length >= xmlLimits.depth) refuse(`over ${xmlLimits.depth} elements deep`, namePlace)
  })
  parser.on('attribute', count)
  parser.on('opentag', ({ local, uri, attributes }) => {
    const values = new Map(Object.entries(attributes).map(([key, { value }]) => [key, value]))
    const element: Open = { name: local, namespace: uri, attributes: values, children: [], text: '', ...namePlace }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  parser.on('closetag', () => {
    root = open.pop()
  })
  const keep = (part: string) => {
    const element = open.at(-1)
    if (element) element.text += part
  }
  parser.on('text', keep)
  parser.on('cdata', keep)
  parser.write(text).close()
  return root ?? refuse('no element', here())
}

function placeOf(text: string, index: number): Place {
  const before = text.slice(0, index).split(/\r\n|\r|\n/)
  return { line: before.length, column: [...(before.at(-1) ?? '')].length + 1 }
}

/** The first child of that name. */
export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name)
}

/** Markup, apart from text that has still to be escaped. */
export interface XmlMarkup {
  readonly markup: string
}

/** Whether XML 1.0 can hold a text: no control characters but tab and line ends, no lone surrogates. */
export function isXmlText(text: string): boolean {
  return !/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u.test(text)
}

/** An element around text or around other elements. Text that XML cannot hold: `ERR_PROFILE_INVALID`. */
export function xmlElement(
  name: string,
  content: string | readonly XmlMarkup[] = '',
  attributes: Readonly<Record<string, string>> = {},
): XmlMarkup {
  const inside = typeof content === 'string' ? escapeText(content, name) : content.map(({ markup }) => markup).join('')
  const pairs = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeText(value, key)}"`)
  return { markup: `<${[name, ...pairs].join('')}${inside === '' ? ' />' : `>${inside}</${name}>`}` }
}

const references: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Line ends and tabs go as references: a reader would make one line end of two, and spaces of those in an attribute. */
function escapeText(text: string, name: string): string {
  if (!isXmlText(text)) throw new AgentError('ERR_PROFILE_INVALID', `the text of ${name} holds a character that XML cannot carry`)
  return text.replace(/[&<>"\t\r\n]/g, (character) => references[character] ?? `&#${character.charCodeAt(0)};`)
}
