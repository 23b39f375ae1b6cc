import { execFileSync } from 'node:child_process'
import {
  decodeOid,
  integer,
  oid,
  readBitString,
  readBoolean,
  readChildren,
  readCount,
  readDer,
  readInteger,
  readOid,
  readText,
  readTime,
  sequence,
  Tag,
  time,
  tlv,
} from '@certfleet/agent-core/der'
import fc from 'fast-check'
import t from 'tap'

const hex = (text: string) => Buffer.from(text.replace(/ /g, ''), 'hex')
const malformed = { code: 'ERR_DER_MALFORMED' }

t.test('only the shortest definite length is DER (X.690 10.1)', async (t) => {
  const rows: [name: string, bytes: string, ok: boolean][] = [
    ['empty OCTET STRING', '0400', true],
    ['127 in one octet', `047f${'00'.repeat(127)}`, true],
    ['128 in two', `048180${'00'.repeat(128)}`, true],
    ['127 in two', `04817f${'00'.repeat(127)}`, false],
    ['a leading zero', `04820080${'00'.repeat(128)}`, false],
    ['indefinite', '24800000', false],
    ['five octets', '04850000000001 00', false],
    ['past the end', '040200', false],
    ['a byte behind', '040000', false],
    ['only a tag', '04', false],
    ['nothing', '', false],
    ['a high tag number', '1f8100', false],
  ]
  for (const [name, bytes, ok] of rows) ok ? t.ok(readDer(hex(bytes)), name) : t.throws(() => readDer(hex(bytes)), malformed, name)
})

t.test('OIDs: arcs of any size are themselves and nothing else', async (t) => {
  const rows = [
    '0.0',
    '0.39',
    '1.2.840.113549.1.1.11',
    '2.5.29.17',
    '2.999.3',
    '2.16.840.1.113733.1.9.2',
    '1.3.4294967299',
    '1.3.562949953421312',
    '1.3.340282366920938463463374607431768211459',
  ]
  for (const dotted of rows) {
    t.equal(readOid(readDer(oid(dotted))), dotted)
    t.match(
      execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-oid', '/dev/null'], { input: oid(dotted), encoding: 'latin1' }),
      /OBJECT/,
      `openssl reads ${dotted}`,
    )
  }
  t.not(readOid(readDer(oid('1.3.4294967299'))), '1.3.3', '2^32 + 3 is not 3')
  for (const bad of ['', '80', '2a80', '2a8001', '8001']) t.throws(() => decodeOid(hex(bad)), malformed, bad)
  for (const text of ['', '1', '3.1', '1.40', '1.2.03', '1.2.-3', 'a.b', `1.2.${'9'.repeat(200)}`])
    t.throws(() => oid(text), TypeError, text)
})

t.test('INTEGER, by openssl and back', async (t) => {
  for (const value of [0n, 1n, 127n, 128n, 255n, 256n, -1n, -128n, -129n, 2n ** 64n, -(2n ** 64n)]) {
    t.equal(readInteger(readDer(integer(value))), value)
    const shown = execFileSync('openssl', ['asn1parse', '-inform', 'DER'], { input: integer(value), encoding: 'latin1' })
    t.match(
      shown,
      new RegExp(`INTEGER +:${value < 0n ? '-' : ''}0*${(value < 0n ? -value : value).toString(16).toUpperCase()}\\n`),
      `${value}`,
    )
  }
  for (const padded of ['0200', '02020001', '0202ff80']) t.throws(() => readInteger(readDer(hex(padded))), malformed, padded)
  t.throws(() => readCount(readDer(integer(-1)), 'count'), malformed)
  t.throws(() => readCount(readDer(integer(2n ** 31n)), 'count'), malformed)
  t.equal(readCount(readDer(integer(2 ** 31 - 1)), 'count'), 2 ** 31 - 1)
})

t.test('BOOLEAN and BIT STRING have one form', async (t) => {
  t.equal(readBoolean(readDer(hex('0101ff'))), true)
  t.equal(readBoolean(readDer(hex('010100'))), false)
  for (const bad of ['010101', '0100', '0102ffff']) t.throws(() => readBoolean(readDer(hex(bad))), malformed, bad)
  t.same(readBitString(readDer(hex('03020780'))).unusedBits, 7)
  for (const bad of ['0300', '030107', '03020881', '03020781']) t.throws(() => readBitString(readDer(hex(bad))), malformed, bad)
})

t.test('times are whole seconds in Zulu (RFC 5280 4.1.2.5)', async (t) => {
  const rows: [string, number, number | undefined][] = [
    ['700101000000Z', Tag.UtcTime, 0],
    ['491231235959Z', Tag.UtcTime, Date.UTC(2049, 11, 31, 23, 59, 59)],
    ['500101000000Z', Tag.UtcTime, Date.UTC(1950, 0, 1)],
    ['20500101000000Z', Tag.GeneralizedTime, Date.UTC(2050, 0, 1)],
    ['99991231235959Z', Tag.GeneralizedTime, Date.UTC(9999, 11, 31, 23, 59, 59)],
    ['240229000000Z', Tag.UtcTime, Date.UTC(2024, 1, 29)],
    ['230229000000Z', Tag.UtcTime, undefined],
    ['230101240000Z', Tag.UtcTime, undefined],
    ['2301010000Z', Tag.UtcTime, undefined],
    ['230101000000+0100', Tag.UtcTime, undefined],
    ['20230101000000.5Z', Tag.GeneralizedTime, undefined],
    ['20230101000000', Tag.GeneralizedTime, undefined],
  ]
  for (const [text, tag, expected] of rows) {
    const read = () => readTime(readDer(tlv(tag, Buffer.from(text))))
    expected === undefined ? t.throws(read, malformed, text) : t.equal(read(), expected, text)
  }
  for (const instant of [0, Date.UTC(2049, 11, 31), Date.UTC(2050, 0, 1), Date.UTC(2100, 1, 28)])
    t.equal(readTime(readDer(time(instant))), instant)
})

t.test('strings of every type', async (t) => {
  const rows: [number, Uint8Array, string | undefined][] = [
    [Tag.Utf8String, Buffer.from('Zoë'), 'Zoë'],
    [Tag.Utf8String, hex('ff'), undefined],
    [Tag.PrintableString, Buffer.from('abc'), 'abc'],
    [Tag.PrintableString, hex('e9'), undefined],
    [Tag.TeletexString, hex('e9'), 'é'],
    [Tag.BmpString, hex('005a00f6'), 'Zö'],
    [Tag.BmpString, hex('005a00'), undefined],
    [Tag.UniversalString, hex('0001f600'), '😀'],
    [Tag.UniversalString, hex('00110000'), undefined],
    [Tag.OctetString, hex('00'), undefined],
  ]
  for (const [tag, value, expected] of rows) {
    const read = () => readText(readDer(tlv(tag, value)))
    expected === undefined ? t.throws(read, malformed) : t.equal(read(), expected)
  }
})

t.test('whatever the bytes, a value or ERR_DER_MALFORMED', async (t) => {
  const seed = 20_270_101
  t.comment(`seed ${seed}`)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      for (const read of [readDer, readChildren, decodeOid]) {
        try {
          read(bytes)
        } catch (error) {
          if ((error as { code?: string }).code !== 'ERR_DER_MALFORMED') throw error
        }
      }
    }),
    { seed, numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (parts) => {
      const whole = sequence(...parts.map((part) => tlv(Tag.OctetString, part)))
      const back = readChildren(readDer(whole).value).map(({ value }) => Buffer.from(value).toString('hex'))
      return back.join() === parts.map((part) => Buffer.from(part).toString('hex')).join()
    }),
    { seed },
  )
})
