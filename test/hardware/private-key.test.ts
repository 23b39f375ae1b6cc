import { constants, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCsr } from '@certfleet/agent-core'
import t from 'tap'
import { CKA } from '#agent-core/keys/pkcs11/cryptoki.ts'
import { objectId } from '#agent-core/keys/pkcs11/key-name.ts'
import { run } from '../tooling/process.ts'
import { CKO, openDirect } from './direct.ts'
import { emptyKeys, noToken, rsa2048, token } from './token.ts'

const namespace = 'private'

t.test('a private key stays on its token', { skip: noToken }, async (t) => {
  const keys = await emptyKeys(namespace)
  for (const [label, spec, isEc] of [
    ['rsa', rsa2048, false],
    ['ec', { algorithm: 'ec', curve: 'P-256' } as const, true],
  ] as const) {
    await keys.generate(spec, label)
    const direct = await openDirect()
    const [object] = direct.find(CKO.PRIVATE_KEY, `${namespace}/${label}`)
    if (!object) return t.fail('the key is not there')
    // PKCS#11 v2.40 numbers of the private parts: CKA_PRIVATE_EXPONENT to CKA_COEFFICIENT, CKA_VALUE.
    const secrets = isEc
      ? { VALUE: 0x11 }
      : { PRIVATE_EXPONENT: 0x123, PRIME_1: 0x124, PRIME_2: 0x125, EXPONENT_1: 0x126, EXPONENT_2: 0x127, COEFFICIENT: 0x128, VALUE: 0x11 }
    for (const [name, type] of Object.entries(secrets)) {
      t.match(direct.read(object, type), /^CKR_ATTRIBUTE_(SENSITIVE|TYPE_INVALID)$/, `CKA_${name} of ${label} cannot be read`)
    }
    t.strictSame(direct.read(object, CKA.SENSITIVE), Buffer.of(1))
    t.strictSame(direct.read(object, CKA.EXTRACTABLE), Buffer.of(0))
    direct.close()
  }

  t.test('for pkcs11-tool too', async (t) => {
    const login = ['--module', token.module, '--token-label', token.token, '--login', '--pin', token.pin]
    const listed = await run('pkcs11-tool', [...login, '--list-objects', '--type', 'privkey'])
    t.match(listed, { exitCode: 0, output: new RegExp(`${namespace}/rsa[\\s\\S]*sensitive, always sensitive, never extract`) })
    const out = join(t.testdir(), 'private-key')
    const id = objectId({ namespace, label: 'rsa' }).toString('hex')
    const wish = ['--read-object', '--id', id, '--output-file', out]
    t.match(await run('pkcs11-tool', [...login, ...wish, '--type', 'pubkey']), { exitCode: 0 }, 'the public half is read by the same words')
    rmSync(out)
    t.match((await run('pkcs11-tool', [...login, ...wish, '--type', 'privkey'])).output, /sorry|error/)
    t.notOk(existsSync(out), 'the private half is not')
  })
  await keys.close()
})

t.test('openssl agrees', { skip: noToken }, async (t) => {
  const keys = await emptyKeys(namespace)
  const folder = t.testdir()
  for (const spec of [rsa2048, { algorithm: 'ec', curve: 'P-256' }, { algorithm: 'ec', curve: 'P-384' }] as const) {
    const key = await keys.generate(spec, JSON.stringify(spec))
    const wish = { subject: 'CN=laptop-1', subjectAltNames: [], keyUsages: ['digitalSignature'], extendedKeyUsages: [] } as const
    const csr = join(folder, 'csr.der')
    writeFileSync(csr, await createCsr({ ...wish, key, hash: 'sha256' }))
    const verified = await run('openssl', ['req', '-verify', '-inform', 'DER', '-in', csr, '-noout'])
    t.match(verified, { exitCode: 0, output: /verify OK/i }, `the CSR of ${key.label}`)
  }

  const key = await keys.open(JSON.stringify(rsa2048))
  const [publicKey, plain, sealed] = ['public.der', 'plain', 'sealed'].map((name) => join(folder, name)) as [string, string, string]
  writeFileSync(publicKey, key?.publicKey ?? '')
  for (const [padding, options] of [
    ['pkcs1', ['rsa_padding_mode:pkcs1']],
    ['oaep-sha1', ['rsa_padding_mode:oaep']],
  ] as const) {
    const secret = randomBytes(24)
    writeFileSync(plain, secret)
    const how = ['pkeyutl', '-encrypt', '-pubin', '-keyform', 'DER', '-inkey', publicKey, '-in', plain, '-out', sealed]
    const encrypted = await run('openssl', [...how, ...options.flatMap((option) => ['-pkeyopt', option])])
    t.equal(encrypted.exitCode, 0, encrypted.output)
    const unwrapped = await key?.unwrapKey?.(readFileSync(sealed), { padding, lengthBytes: 24 })
    t.strictSame(Buffer.from(unwrapped ?? []), secret, `what openssl encrypted with ${padding}`)
  }
  const theirs = createPublicKey({ key: Buffer.from(key?.publicKey ?? []), format: 'der', type: 'spki' })
  const noPadding = publicEncrypt({ key: theirs, padding: constants.RSA_NO_PADDING }, Buffer.concat([Buffer.of(0), randomBytes(255)]))
  const unwrap = () => key?.unwrapKey?.(noPadding, { padding: 'pkcs1', lengthBytes: 24 })
  t.strictSame(await unwrap(), await unwrap(), 'a bad ciphertext has one answer')
  await keys.close()
})
