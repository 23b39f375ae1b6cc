import t from 'tap'
import { formatKsp, parseKsp, protectionOf, tokenName } from '#agent-core/keys/ksp.ts'

const token = { kind: 'pkcs11', module: '/usr/lib/a.so', token: 'dev0', protection: 'pkcs11' } as const

t.test('a key storage by name', async (t) => {
  const rows = [
    ['software', 'software', { kind: 'software' }, 'software'],
    ['the TPM', 'tpm', { kind: 'tpm' }, 'tpm'],
    ['Passport', 'passport', { kind: 'passport' }, 'passport'],
    ['a token', 'pkcs11:/usr/lib/a.so?token=dev0', token, 'pkcs11'],
    ['a token that is a TPM', 'pkcs11:/usr/lib/a.so?token=dev0&protection=tpm', { ...token, protection: 'tpm' }, 'tpm'],
    ['a label with a space', 'pkcs11:/usr/lib/a.so?token=my%20token', { ...token, token: 'my token' }, 'pkcs11'],
    ['a path with a question mark', 'pkcs11:/odd%3F/%23a.so?token=dev0', { ...token, module: '/odd?/#a.so' }, 'pkcs11'],
  ] as const
  for (const [name, text, ksp, protection] of rows) {
    t.strictSame(parseKsp(text), ksp, name)
    t.equal(formatKsp(parseKsp(text)), text, `${name}: written as it was read`)
    t.equal(protectionOf(parseKsp(text)), protection, name)
  }
  t.equal(tokenName(token), 'PKCS#11 token "dev0"')
})

t.test('what is none', async (t) => {
  const rows: [string, string][] = [
    ['nothing', ''],
    ['another word', 'hsm'],
    ['another case', 'TPM'],
    ['a member of every object', 'constructor'],
    ['a PIN', '4711'],
    ['a token without a library', 'pkcs11:?token=a'],
    ['a token with a PIN', 'pkcs11:/l?token=a&pin-value=4711'],
    ['a kind with a PIN', 'passport?pin=4711'],
    ['a kind with a line end', 'tpm\n'],
  ]
  for (const [name, text] of rows) {
    t.throws(() => parseKsp(text), { name: 'AgentError', code: 'ERR_UNSUPPORTED' }, name)
    t.throws(() => parseKsp(text), { message: /^((?!4711).)*$/ }, `${name}: not repeated`)
  }
  t.throws(() => parseKsp('hsm'), { message: /expected software, tpm, passport or pkcs11:MODULE\?token=LABEL/ })
})
