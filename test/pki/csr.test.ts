import { generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AgentError, softwareKeyHandle } from '@certfleet/agent-core'
import { bitString, constructed, integer, nullValue, octetString, oid, sequence, setOf, tlv, utf8String } from '@certfleet/agent-core/der'
import { type CsrContents, createCsr, encodeName, formatName, parseCsr, readSubjectAltNames, verifyCsr } from '@certfleet/agent-core/pki'
import t from 'tap'
import { openssl } from '../cms/openssl.ts'

const rsa = softwareKeyHandle(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, 'rsa')
const ec = softwareKeyHandle(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, 'ec')

const contents: CsrContents = {
  subject: 'CN=device 1,O="A, B",E=a@example.com,C=DE',
  subjectAltNames: [
    { type: 'upn', value: 'jürgen@example.com' },
    { type: 'dns', value: 'host.example.com' },
    { type: 'email', value: 'a@example.com' },
    { type: 'uri', value: 'tag:microsoft.com,2022-09-14:sid:S-1-5-21-1' },
  ],
  keyUsages: ['digitalSignature', 'keyEncipherment'],
  extendedKeyUsages: ['1.3.6.1.5.5.7.3.2', '1.3.6.1.4.1.311.20.2.2'],
  key: rsa,
  hash: 'sha256',
  challenge: 'password-1',
}

t.test('openssl verifies the request and reads what was asked for', async (t) => {
  const folder = t.testdir()
  for (const key of [rsa, ec]) {
    for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
      const csr = await createCsr({ ...contents, key, hash })
      const text = openssl(folder, ['req', '-inform', 'der', '-verify', '-noout', '-text', '-nameopt', 'utf8'], csr).toString()
      for (const expected of [
        /CN=device 1, O=A, B, emailAddress=a@example.com, C=DE/,
        /challengePassword +:password-1/,
        /othername: UPN::jürgen@example.com, DNS:host.example.com, email:a@example.com, URI:tag:microsoft.com,2022-09-14:sid:S-1-5-21-1/,
        /Digital Signature, Key Encipherment/,
        /TLS Web Client Authentication, Microsoft Smartcard Login/,
        new RegExp(hash, 'i'),
      ]) {
        t.match(text, expected, `${key.label} ${hash}: ${expected}`)
      }
    }
  }
})

t.test('what is made is read', async (t) => {
  const request = parseCsr(await createCsr(contents))
  verifyCsr(request)
  t.equal(formatName(request.subject), 'CN=device 1, O="A, B", E=a@example.com, C=DE')
  t.same(readSubjectAltNames(request), contents.subjectAltNames)
  t.same(request.keyUsages, contents.keyUsages)
  t.same(request.extendedKeyUsages, contents.extendedKeyUsages)
  t.equal(request.challenge, 'password-1')
  t.same(request.publicKey, rsa.publicKey)
})

t.test('empty fields are left out, down to an empty request', async (t) => {
  const request = parseCsr(
    await createCsr({ subject: '', subjectAltNames: [], keyUsages: [], extendedKeyUsages: [], key: ec, hash: 'sha256' }),
  )
  verifyCsr(request)
  t.equal(request.extensions.size, 0)
  t.equal(request.challenge, undefined)
  const nameless = parseCsr(await createCsr({ ...contents, subject: '', key: ec }))
  t.equal(nameless.extensions.get('2.5.29.17')?.critical, true, 'alternative names are critical where there is no subject')
})

t.test('challenges of any length and alphabet', async (t) => {
  for (const challenge of ['a', 'x'.repeat(255), 'x'.repeat(256), 'x'.repeat(40_000), 'pässwörd_@*', 'MII+/=']) {
    const der = await createCsr({ ...contents, key: ec, challenge })
    t.equal(parseCsr(der).challenge, challenge, `${challenge.length} characters`)
    t.match(
      openssl(t.testdir(), ['asn1parse', '-inform', 'der'], der).toString(),
      /challengePassword\s+.*\s+.*(PRINTABLESTRING|UTF8STRING)/,
    )
  }
})

t.test('what a profile cannot ask for', async (t) => {
  const rows: Partial<CsrContents>[] = [
    { subject: 'CN' },
    { extendedKeyUsages: ['1.3.6.1.5.5.7.3.2', 'clientAuth'] },
    { extendedKeyUsages: ['3.1'] },
    { subjectAltNames: [{ type: 'dns', value: '' }] },
    { subjectAltNames: [{ type: 'dns', value: 'ü.example.com' }] },
    { subjectAltNames: [{ type: 'uri', value: 'a\u0000b' }] },
    { subjectAltNames: [{ type: 'upn', value: 'a\nb' }] },
  ]
  for (const row of rows) await t.rejects(createCsr({ ...contents, key: ec, ...row }), { code: 'ERR_PROFILE_INVALID' }, JSON.stringify(row))
})

const challengeOid = '1.2.840.113549.1.9.7'
const extensionsOid = '1.2.840.113549.1.9.14'
const attribute = (type: string, ...values: Uint8Array[]) => sequence(oid(type), setOf(values))
const eku = sequence(oid('2.5.29.37'), octetString(sequence(oid('1.3.6.1.5.5.7.3.2'))))
const basic = sequence(oid('2.5.29.19'), octetString(sequence()))

/** A request with attributes, version and key of the test's choice, well signed. */
async function forge({ attributes = [], version = 0 }: { attributes?: readonly Uint8Array[]; version?: number }): Promise<Uint8Array> {
  const info = sequence(integer(version), encodeName([]), ec.publicKey, tlv(constructed(0), ...attributes))
  return sequence(info, sequence(oid('1.2.840.10045.4.3.2')), bitString(await ec.sign(info, 'sha256')))
}

t.test('attributes and extensions are there once', async (t) => {
  const rows: [string, readonly Uint8Array[], string][] = [
    ['a challenge', [attribute(challengeOid, utf8String('a'))], 'accepted'],
    ['two values', [attribute(challengeOid, utf8String('a'), utf8String('b'))], 'ERR_DER_MALFORMED'],
    ['no value', [attribute(challengeOid)], 'ERR_DER_MALFORMED'],
    ['a number for a challenge', [attribute(challengeOid, integer(1))], 'ERR_DER_MALFORMED'],
    ['two challenges', [attribute(challengeOid, utf8String('a')), attribute(challengeOid, utf8String('b'))], 'ERR_DER_MALFORMED'],
    ['an extension', [attribute(extensionsOid, sequence(eku))], 'accepted'],
    ['no extension', [attribute(extensionsOid, sequence())], 'accepted'],
    ["Microsoft's type", [attribute('1.3.6.1.4.1.311.2.1.14', sequence(eku))], 'accepted'],
    ['one in each', [attribute(extensionsOid, sequence(eku)), attribute('1.3.6.1.4.1.311.2.1.14', sequence(basic))], 'accepted'],
    [
      'the same in each',
      [attribute(extensionsOid, sequence(eku)), attribute('1.3.6.1.4.1.311.2.1.14', sequence(eku))],
      'ERR_DER_MALFORMED',
    ],
    ['basic constraints twice', [attribute(extensionsOid, sequence(basic, basic))], 'ERR_DER_MALFORMED'],
    ['an unknown attribute', [attribute('1.2.3.4', nullValue)], 'accepted'],
  ]
  for (const [name, attributes, expected] of rows) {
    const der = await forge({ attributes })
    t.equal(
      outcome(() => verifyCsr(parseCsr(der))),
      expected,
      name,
    )
  }
})

function outcome(action: () => unknown): string {
  try {
    action()
    return 'accepted'
  } catch (error) {
    return (error as AgentError).code ?? String(error)
  }
}

t.test('a version other than 0 is taken only by its switch', async (t) => {
  const der = await forge({ version: 2 })
  t.throws(() => parseCsr(der), { code: 'ERR_DER_MALFORMED' })
  t.doesNotThrow(() => verifyCsr(parseCsr(der, { allowBadVersion: true })))
})

t.test('possession is proven', async (t) => {
  const der = await createCsr({ ...contents, key: ec })
  const seen = new Set<string>()
  for (let i = 0; i < der.length; i++) {
    const mutant = Uint8Array.from(der)
    mutant[i] = (mutant[i] as number) ^ 0x01
    seen.add(outcome(() => verifyCsr(parseCsr(mutant))))
  }
  for (const code of seen) t.match(code, /^ERR_(DER_MALFORMED|CERTIFICATE_REFUSED)$/, 'each flipped bit is refused')
  const weak = await createCsr({ ...contents, hash: 'sha1' })
  t.throws(() => verifyCsr(parseCsr(weak)), { code: 'ERR_ALGORITHM_REFUSED', message: /legacy-sha1/ })
  t.doesNotThrow(() => verifyCsr(parseCsr(weak), { legacySha1: true }))
  t.throws(() => parseCsr(new Uint8Array(300_000)), { code: 'ERR_LIMIT_EXCEEDED' })
})

const folder = join(process.env.CERTFLEET_VECTORS ?? join('..', 'shared', 'vectors'), 'csr')

t.test('requests of pyca/cryptography', { skip: existsSync(folder) ? false : 'CERTFLEET_VECTORS names no folder with them' }, async (t) => {
  const rows = [
    ['rsa_sha256.pem', 'accepted'],
    ['challenge.pem', 'accepted'],
    ['san_rsa_sha1.pem', 'accepted'],
    ['challenge-invalid.der', 'ERR_DER_MALFORMED'],
    ['challenge-multi-valued.der', 'ERR_DER_MALFORMED'],
    ['two_basic_constraints.pem', 'ERR_DER_MALFORMED'],
    ['invalid_signature.pem', 'ERR_CERTIFICATE_REFUSED'],
    ['bad-version.pem', 'ERR_DER_MALFORMED'],
  ] as const
  for (const [file, expected] of rows) {
    const bytes = readFileSync(join(folder, file))
    const der = file.endsWith('.pem') ? Buffer.from(bytes.toString('latin1').replace(/-----[A-Z ]+-----/g, ''), 'base64') : bytes
    t.equal(
      outcome(() => verifyCsr(parseCsr(der), { legacySha1: true })),
      expected,
      file,
    )
    if (file === 'challenge.pem') t.equal(parseCsr(der).challenge, 'challenge me!')
  }
})
