import { bitString, ia5String, oid, printableString, sequence, setOf, tlv, utf8String } from '@certfleet/agent-core/der'
import {
  canonicalRdns,
  decodeName,
  encodeName,
  formatName,
  type NameAttribute,
  NameOid,
  parseDistinguishedName,
  quoteNameValue,
  sameName,
} from '@certfleet/agent-core/pki'
import t from 'tap'

const one = (type: string, value: string): NameAttribute => ({ type, value })
const name = (...rdns: readonly Uint8Array[][]) => sequence(...rdns.map((rdn) => setOf(rdn)))
const attribute = (type: string, value: Uint8Array) => sequence(oid(type), value)
const commonName = (value: Uint8Array) => name([attribute(NameOid.CN, value)])

t.test('the text of a subject', async (t) => {
  const { CN, O, OU, L, E, S, G, SERIALNUMBER } = NameOid
  const rows: [string, NameAttribute[][]][] = [
    ['CN=a', [[one(CN, 'a')]]],
    ['', []],
    ['  ', []],
    [' cn = a b , o=c ', [[one(CN, 'a b')], [one(O, 'c')]]],
    ['CN=a;O=c', [[one(CN, 'a')], [one(O, 'c')]]],
    ['CN=a,O="x, y"', [[one(CN, 'a')], [one(O, 'x, y')]]],
    ['O="say ""hi""" , CN=a', [[one(O, 'say "hi"')], [one(CN, 'a')]]],
    ['O="  kept  "', [[one(O, '  kept  ')]]],
    ['CN=Test User (TestCompany\\, LLC)', [[one(CN, 'Test User (TestCompany, LLC)')]]],
    ['CN=a\\ ', [[one(CN, 'a ')]]],
    ['CN=a\\\\b\\+c\\=d', [[one(CN, 'a\\b+c=d')]]],
    ['CN=DOMAIN\\user', [[one(CN, 'DOMAIN\\user')]]],
    ['CN="DOMAIN\\user"', [[one(CN, 'DOMAIN\\user')]]],
    ['OU=b+L=c, CN=a', [[one(OU, 'b'), one(L, 'c')], [one(CN, 'a')]]],
    ['2.5.4.5=123, OID.2.5.4.3=x', [[one(SERIALNUMBER, '123')], [one(CN, 'x')]]],
    ['E=a@b.c,EMAIL=d@e,ST=Bayern,S=x,GN=Ä', [[one(E, 'a@b.c')], [one(E, 'd@e')], [one(S, 'Bayern')], [one(S, 'x')], [one(G, 'Ä')]]],
    ['CN=#1 device', [[one(CN, '#1 device')]]],
  ]
  for (const [text, rdns] of rows) t.same(parseDistinguishedName(text), rdns, text)
})

t.test('text that is no subject is refused, and the message does not repeat its values', async (t) => {
  const rows = [
    'secret',
    'CN=secret,',
    ',CN=secret',
    'CN=',
    'CN="",O=secret',
    'CN="secret',
    'CN="secret"x',
    'CN=secret"x"',
    'CN=a=secret',
    'SECRETKEY=a',
    '=secret',
    '1=secret',
    '3.1=secret',
    'CN=secret\n',
    'CN=secret\u0000',
    'CN=secret\ud800',
    'CN=secret+',
    `CN=secret${'x'.repeat(4096)}`,
    'CN=secret,'.repeat(65).slice(0, -1),
  ]
  for (const text of rows) {
    t.throws(
      () => parseDistinguishedName(text),
      { code: 'ERR_PROFILE_INVALID', message: /^invalid subject name: (?!.*secret)/ },
      JSON.stringify(text.slice(0, 40)),
    )
  }
})

t.test('a value put in quotes comes back, whatever it holds', async (t) => {
  for (const value of ['a', 'a,O=Admin', 'a"b', '"', '""', ' a ', '#a', 'a+b=c;d', 'DOMAIN\\user', 'a\\,b', 'a\\', '<a>', 'ü']) {
    t.same(parseDistinguishedName(`CN=${quoteNameValue(value)},O=x`), [[one(NameOid.CN, value)], [one(NameOid.O, 'x')]], value)
  }
})

t.test('string types', async (t) => {
  t.same(encodeName([[one(NameOid.CN, 'a')]]), commonName(utf8String('a')))
  t.same(encodeName([[one(NameOid.C, 'DE')]]), name([attribute(NameOid.C, printableString('DE'))]))
  t.same(encodeName([[one(NameOid.E, 'a@b')]]), name([attribute(NameOid.E, ia5String('a@b'))]))
  t.same(encodeName([[one(NameOid.DC, 'x')]]), name([attribute(NameOid.DC, ia5String('x'))]))
  t.throws(() => encodeName([[one(NameOid.C, 'Ü')]]), { code: 'ERR_PROFILE_INVALID' })
  t.throws(() => encodeName([[one(NameOid.SERIALNUMBER, 'a@b')]]), { code: 'ERR_PROFILE_INVALID' })
  t.throws(() => encodeName([[one(NameOid.E, 'ü@b')]]), { code: 'ERR_PROFILE_INVALID' })
})

t.test('decoding', async (t) => {
  t.same(decodeName(commonName(tlv(0x1e, Buffer.from('00fc0062', 'hex')))), [[one(NameOid.CN, 'üb')]], 'BMPString')
  t.same(decodeName(commonName(tlv(0x14, Buffer.from('fc', 'hex')))), [[one(NameOid.CN, 'ü')]], 'TeletexString')
  t.same(decodeName(commonName(bitString(Uint8Array.of(1)))), [[one(NameOid.CN, '#03020001')]], 'what is no string stays DER')
  for (const broken of [
    '',
    '30',
    '3003 310100',
    '3002 3100',
    '3004 31023000',
    '310000'.slice(0, 4),
    '30073105 3003060155'.replaceAll(' ', ''),
  ]) {
    t.throws(() => decodeName(Buffer.from(broken.replaceAll(' ', ''), 'hex')), { code: 'ERR_DER_MALFORMED' }, broken)
  }
  t.throws(() => decodeName(commonName(tlv(0x0c, Uint8Array.of(0xff)))), { code: 'ERR_DER_MALFORMED' }, 'not UTF-8')
})

t.test('what people see cannot steer their terminal', async (t) => {
  t.equal(formatName(parseDistinguishedName('CN=a,O="x, y",1.2.3=z')), 'CN=a, O="x, y", 1.2.3=z')
  t.equal(formatName(commonName(utf8String('a\u001b[2J\r\nb\u202eb\u0000'))), 'CN="a\\1B[2J\\0D\\0Ab\\E2\\80\\AEb\\00"')
  t.equal(formatName(encodeName([])), '')
})

t.test('the same name', async (t) => {
  const a = commonName(utf8String('Acme  Root CA'))
  const rows: [string, Uint8Array, boolean][] = [
    ['itself', a, true],
    ['another string type', commonName(printableString('Acme  Root CA')), true],
    ['another case', commonName(utf8String('ACME  root ca')), true],
    ['other spaces', commonName(utf8String('  acme root   CA ')), true],
    ['another text', commonName(utf8String('Acme Root CB')), false],
    ['no inner space', commonName(utf8String('AcmeRoot CA')), false],
    ['another type', name([attribute(NameOid.O, utf8String('Acme  Root CA'))]), false],
    ['one more', name([attribute(NameOid.CN, utf8String('Acme  Root CA'))], [attribute(NameOid.O, utf8String('x'))]), false],
    ['none', sequence(), false],
  ]
  for (const [title, b, expected] of rows) {
    t.equal(sameName(a, b), expected, title)
    t.equal(sameName(b, a), expected, `${title}, the other way`)
  }
  const two = [attribute(NameOid.CN, utf8String('a')), attribute(NameOid.O, utf8String('b'))] as [Uint8Array, Uint8Array]
  t.notOk(sameName(name([two[0]], [two[1]]), name([two[1]], [two[0]])), 'order of relative names counts')
  t.notOk(sameName(name([two[0]], [two[1]]), name(two)), 'joined is not apart')
  t.notOk(sameName(commonName(utf8String('#03020001')), commonName(bitString(Uint8Array.of(1)))), 'text is not the DER that it spells')
  t.equal(canonicalRdns(name(two)).length, 1)
})
