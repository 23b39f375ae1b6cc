import { AgentError } from '@certfleet/agent-core'
import { readXml, xmlLimits } from '@certfleet/platforms'
import t from 'tap'
import { isXmlText, xmlElement } from '#platforms/rendering/xml.ts'

function refusal(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof AgentError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'read'
}

const refused = (text: string): string => refusal(() => readXml(text)).replace('ERR_PROFILE_INVALID: the file is refused at ', '')

/** What it says, without what comes behind the first four elements. */
const growing = Array.from({ length: 20 }, (_, level) => `<!ENTITY e${level + 1} "${`&e${level};`.repeat(10)}">`).join('')

const rows: readonly (readonly [what: string, text: string, expected: string])[] = [
  ['nothing', '', 'line 1, column 1: document must contain a root element'],
  ['a document type', '<?xml version="1.0"?>\n  <!DOCTYPE a>\n<a/>', 'line 2, column 3: a document type declaration'],
  ['one of another host', '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', 'line 1, column 1: a document type declaration'],
  ['an entity', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 'line 1, column 1: a document type declaration'],
  ['entities that grow', `<!DOCTYPE a [<!ENTITY e0 "lol">${growing}]><a>&e20;</a>`, 'line 1, column 1: a document type declaration'],
  ['a document type in small letters', '<!doctype a><a/>', 'line 1, column 10: incorrect syntax'],
  ['an entity of nobody', '<a>\n&secret;</a>', 'line 2, column 9: undefined entity'],
  ['a processing instruction', '<a><?php x?></a>', 'line 1, column 13: a processing instruction'],
  ['a style sheet', '<?xml-stylesheet href="x"?><a/>', 'line 1, column 28: a processing instruction'],
  ['a second declaration', '<a/><?xml version="1.0"?>', 'line 1, column 11: an XML declaration must be at the start of the document'],
  ['an attribute twice', '<a b="1" b="2"/>', 'line 1, column 17: duplicate attribute'],
  ['one attribute under two prefixes', '<a xmlns:x="u" xmlns:y="u" x:b="1" y:b="2"/>', 'line 1, column 45: duplicate attribute'],
  ['a prefix of nobody', '<x:a/>', 'line 1, column 7: unbound namespace prefix'],
  ['a control character', '<a>\n\u0001</a>', 'line 2, column 2: disallowed character'],
  ['a control character by its number', '<a>&#1;</a>', 'line 1, column 8: malformed character entity'],
  ['a control character that XML 1.1 has', '<?xml version="1.1"?><a>&#1;</a>', 'line 1, column 29: malformed character entity'],
  ['half a surrogate pair', '<a>\r\nb\r\ud800</a>', 'line 3, column 1: disallowed character'],
  ['U+FFFE', '<a>\ufffe</a>', 'line 1, column 5: disallowed character'],
  ['an end that is no end', '<a><b></a>', 'line 1, column 11: unexpected close tag'],
  ['no end', '<a>', 'line 1, column 4: unclosed tag'],
  ['two roots', '<a/><b/>', 'line 1, column 8: documents may contain only one root'],
  ['an angle bracket in a value', '<a b="<"/>', 'line 1, column 8: disallowed character'],
  ['a placeholder', '<LocURI>./SCEP/<InsertUniqueIDHere></LocURI>', 'line 1, column 45: unexpected close tag'],
]

for (const [what, text, expected] of rows) {
  t.test(`${what} is refused with its place`, async (t) => t.equal(refused(text), expected))
}

t.test('what is refused is not quoted', async (t) => {
  for (const text of [
    '<a><s3cret</a>',
    '<a>&s3cret;</a>',
    '<s3cret>',
    '<a></s3cret>',
    '<a s3cret="1" s3cret="2"/>',
    '<a xmlns="s3cret" s3cret:b="1"/>',
  ]) {
    const message = refused(text)
    t.notMatch(message, 's3cret', text)
    t.match(message, /^line 1, column \d+: /, text)
  }
})

t.test('what names and texts say is read', async (t) => {
  const a = readXml(
    '\ufeff<?xml version="1.0" encoding="utf-8"?><!-- no --><a xmlns="u" xmlns:x="v" b="&#x41;&quot;">1<x:c/>&lt;<![CDATA[<2>]]>\r\n</a>',
  )
  t.match(a, { name: 'a', namespace: 'u', text: '1<<2>\n', children: [{ name: 'c', namespace: 'v', text: '', children: [] }] })
  t.equal(a.attributes.get('b'), 'A"')
  const odd = readXml('<__proto__ constructor="1"><toString/></__proto__>')
  t.equal(odd.attributes.get('constructor'), '1')
  t.equal(odd.children[0]?.name, 'toString')
})

t.test('an element knows its place', async (t) => t.match(readXml('<a>\n  <b/></a>').children[0], { line: 2, column: 6 }))

const nested = (depth: number): string => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`
const siblings = (count: number): string => `<a>${'<b/>'.repeat(count - 1)}</a>`
const attributed = (count: number): string => `<a ${Array.from({ length: count - 1 }, (_, i) => `b${i}=""`).join(' ')}/>`
const long = (characters: number): string => `<a>${'b'.repeat(characters - 7)}</a>`

const { depth, nodes, characters } = xmlLimits
const limits: readonly (readonly [what: string, text: string, expected: RegExp])[] = [
  [`${depth} deep`, nested(depth), /^read$/],
  [`${depth + 1} deep`, nested(depth + 1), /over 32 elements deep/],
  [`${nodes} elements`, siblings(nodes), /^read$/],
  [`${nodes + 1} elements`, siblings(nodes + 1), /over 50000 elements and attributes/],
  [`${nodes} attributes with their element`, attributed(nodes), /^read$/],
  ['one more', attributed(nodes + 1), /over 50000 elements and attributes/],
  [`${characters} characters`, long(characters), /^read$/],
  ['one more', long(characters + 1), /over 524288 characters/],
]
for (const [what, text, expected] of limits) t.test(`limits: ${what}`, async (t) => t.match(refused(text), expected))

t.test('what is written is read again', async (t) => {
  const text = ' a&b<c>"d"\'e\'\t\r\n\r ]]> \u0085\u2028 ü 𐍈 '
  const { markup } = xmlElement('a', [xmlElement('b', text, { 'c:d': text, 'xmlns:c': 'u' }), xmlElement('b')])
  const [first, second] = readXml(markup).children
  t.equal(first?.text, text)
  t.equal(first?.attributes.get('c:d'), text)
  t.equal(second?.text, '')
})

t.test('what XML cannot hold is not written, nor quoted', async (t) => {
  for (const character of ['\u0000', '\u000b', '\u001f', '\ud800', '\udc00', '\uffff']) {
    t.notOk(isXmlText(`a${character}`))
    t.match(
      refusal(() => xmlElement('a', `s3cret${character}`)),
      /^ERR_PROFILE_INVALID: the text of a holds a character that XML cannot carry$/,
    )
    t.equal(readable(character), 'refused')
  }
  for (const character of ['\t', '\n', '\r', ' ', '\u007f', '\ud7ff', '\ue000', '\ufffd', '\u{10000}', '\u{10ffff}'])
    t.ok(isXmlText(character))
})

function readable(character: string): string {
  return refused(`<a>${character}</a>`) === 'read' ? 'read' : 'refused'
}
