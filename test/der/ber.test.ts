import { berLimits, normaliseBer } from '@certfleet/agent-core/cms'
import { octetString, sequence } from '@certfleet/agent-core/der'
import t from 'tap'

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

t.test('BER becomes DER', async (t) => {
  const rows = [
    ['indefinite SEQUENCE', '3080 020101 0000', '3003 020101'],
    ['indefinite inside indefinite', '3080 3080 020101 0000 0000', '3005 3003 020101'],
    ['definite around indefinite', '3007 3080 020101 0000', '3005 3003 020101'],
    ['empty indefinite', '3080 0000', '3000'],
    ['a length in too many octets', '308103 020101', '3003 020101'],
    ['a length with zeros in front', '30840000000402810101', '3003 020101'],
    ['OCTET STRING in segments', '2480 040201ff 0401 02 0000', '0403 01ff02'],
    ['OCTET STRING in definite segments', '2407 040201ff 040102', '0403 01ff02'],
    ['segments inside segments', '2480 2405 0401 01 0400 040102 0000', '0402 0102'],
    ['UTF8String in segments', '2c04 0c02 c3a9', '0c02 c3a9'],
    ['context tags keep their form', 'a080 040101 0000', 'a003 040101'],
  ] as const
  for (const [name, ber, der] of rows) t.same(Buffer.from(normaliseBer(hex(ber))).toString('hex'), der.replaceAll(' ', ''), name)
})

t.test('DER comes back as the same bytes, not a copy', async (t) => {
  const der = sequence(octetString(new Uint8Array(300)), sequence())
  const back = normaliseBer(der)
  t.equal(back.buffer, der.buffer)
  t.equal(back.length, der.length)
})

t.test('what was DER inside BER is not touched', async (t) => {
  t.equal(
    Buffer.from(normaliseBer(hex('3080 3106 020102 020101 0000'))).toString('hex'),
    '30083106020102020101',
    'a SET out of order stays so',
  )
})

t.test('what is no BER is malformed', async (t) => {
  const rows = [
    '',
    '30',
    '3080',
    '3080 0201',
    '3080 020101',
    '3080 020101 00',
    '3003 0201',
    '0280 0000',
    '1f8100',
    '30890000000000000000 00',
    '2403 020101',
    '020101 00',
    '3002 3080 0000',
  ]
  for (const row of rows) t.throws(() => normaliseBer(hex(row)), { code: 'ERR_DER_MALFORMED' }, row)
})

t.test('depth, count and size have limits', async (t) => {
  const nested = (depth: number) => hex('3080'.repeat(depth) + '0000'.repeat(depth))
  t.ok(normaliseBer(nested(berLimits.depth)))
  t.throws(() => normaliseBer(nested(berLimits.depth + 1)), { code: 'ERR_LIMIT_EXCEEDED' })
  t.throws(() => normaliseBer(nested(50_000)), { code: 'ERR_LIMIT_EXCEEDED' })
  const wide = (count: number) => sequence(new Uint8Array(2 * count).map((_, i) => (i % 2 === 0 ? 5 : 0)))
  t.ok(normaliseBer(wide(berLimits.values - 1)))
  t.throws(() => normaliseBer(wide(berLimits.values)), { code: 'ERR_LIMIT_EXCEEDED' })
  t.throws(() => normaliseBer(new Uint8Array(berLimits.bytes + 1)), { code: 'ERR_LIMIT_EXCEEDED' })
})

t.test('octets that every level copies again have a limit', async (t) => {
  const levels = (count: number, content: Uint8Array) =>
    Buffer.concat([hex('3080'.repeat(count)), octetString(content), hex('0000'.repeat(count))])
  const large = new Uint8Array(berLimits.bytes - 1024)
  t.ok(normaliseBer(levels(7, large)), 'streamed CMS has six or seven')
  t.throws(() => normaliseBer(levels(62, large)), { code: 'ERR_LIMIT_EXCEEDED' })
})
