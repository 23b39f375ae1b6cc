import t from 'tap'
import { formatPkcs11Uri, parsePkcs11Address } from '#agent-core/keys/pkcs11/address.ts'

t.test('addresses that are read', async (t) => {
  const rows: [string, string, string, 'pkcs11' | 'tpm'][] = [
    ['pkcs11:/usr/lib/p11.so?token=dev0', '/usr/lib/p11.so', 'dev0', 'pkcs11'],
    ['pkcs11:p11.so?token=my%20token%3F&protection=tpm', 'p11.so', 'my token?', 'tpm'],
    ['pkcs11:/opt/a%20b/p11.so?protection=pkcs11&token=a=b', '/opt/a b/p11.so', 'a=b', 'pkcs11'],
    ['pkcs11:C:\\p11.dll?token=%C3%A4', 'C:\\p11.dll', 'ä', 'pkcs11'],
  ]
  for (const [text, module, token, protection] of rows) t.strictSame(parsePkcs11Address(text), { module, token, protection }, text)
})

t.test('addresses that are refused, without a word of what they hold', async (t) => {
  const rows: [string, RegExp][] = [
    ['pkcs11:/p11.so', /another form/],
    ['pkcs11:?token=x', /another form/],
    ['pkcs12:/p11.so?token=canary', /another form/],
    ['pkcs11:/p11.so?token=canary#fragment', /another form/],
    ['pkcs11:/p11.so?', /neither token nor protection/],
    ['pkcs11:/p11.so?token=', /without a token/],
    ['pkcs11:/p11.so?protection=tpm', /without a token/],
    ['pkcs11:/p11.so?token=a&token=canary', /more than one token/],
    ['pkcs11:/p11.so?token=a&protection=software', /neither pkcs11 nor tpm/],
    ['pkcs11:/p11.so?token=a&slot=canary', /neither token nor protection/],
    ['pkcs11:/p11.so?token=%zz', /percent-encoding/],
    ['pkcs11:/p11.so?token=a&pin=canary', /a PIN has no place/],
    ['pkcs11:/p11.so?token=a&pin-value=canary', /a PIN has no place/],
    ['pkcs11:/p11.so?PIN-source=canary&token=a', /a PIN has no place/],
  ]
  for (const [text, message] of rows) {
    t.throws(() => parsePkcs11Address(text), { code: 'ERR_UNSUPPORTED', message }, text)
    try {
      parsePkcs11Address(text)
    } catch (error) {
      t.notMatch(String(error), /canary/)
    }
  }
})

t.test('RFC 7512 URIs', async (t) => {
  t.equal(formatPkcs11Uri({ token: 'dev0', object: 'certfleet/k1' }), 'pkcs11:token=dev0;object=certfleet%2Fk1;type=private')
  t.equal(formatPkcs11Uri({ token: 'a;b=ä', object: '%' }), 'pkcs11:token=a%3Bb%3D%C3%A4;object=%25;type=private')
})
