import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildPfx, identityOf, openPfx } from '#agent-core/pfx/index.ts'
import { pem } from '../cms/identities.ts'
import { openssl } from '../cms/openssl.ts'
import { issued, issuers, type PfxTestIdentity, password } from './files.ts'

const rsa = await issued('CN=rsa', { ec: false })
const ec = await issued('CN=ec')
const chain = issuers.map(({ raw }) => Buffer.from(raw))

function spkiOf(key: PfxTestIdentity['privateKey']): string {
  return createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString()
}

/** What `openssl pkcs12 -export` writes with these flags. */
function exported(folder: string, { keyPem, certificate }: PfxTestIdentity, flags: readonly string[], secret = password): Buffer {
  writeFileSync(join(folder, 'key.pem'), keyPem)
  writeFileSync(join(folder, 'leaf.pem'), pem(certificate))
  writeFileSync(join(folder, 'chain.pem'), issuers.map(pem).join(''))
  const files = ['-inkey', 'key.pem', '-in', 'leaf.pem', '-certfile', 'chain.pem', '-out', 'out.p12']
  openssl(folder, ['pkcs12', '-export', ...files, '-passout', `pass:${secret}`, ...flags])
  return readFileSync(join(folder, 'out.p12'))
}

interface ExportRow {
  readonly name: string
  readonly flags: readonly string[]
  readonly legacy?: boolean
  readonly secret?: string
}

const exports: readonly ExportRow[] = [
  { name: 'its defaults', flags: [] },
  { name: 'AES-128, AES-192 and a SHA-512 MAC', flags: ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha512'] },
  { name: 'a SHA-384 MAC', flags: ['-macalg', 'sha384'] },
  { name: 'a SHA-1 MAC', flags: ['-macalg', 'sha1'] },
  { name: 'no encryption', flags: ['-keypbe', 'NONE', '-certpbe', 'NONE'] },
  { name: 'one iteration', flags: ['-iter', '1', '-nomaciter'] },
  { name: 'many iterations', flags: ['-iter', '200000'] },
  { name: 'the empty password', flags: [], secret: '' },
  { name: 'RC2-40 and 3DES', flags: ['-legacy'], legacy: true },
  { name: 'RC2-40 and 3DES with the empty password', flags: ['-legacy'], legacy: true, secret: '' },
  { name: 'RC2-128 and two-key 3DES', flags: ['-legacy', '-certpbe', 'PBE-SHA1-RC2-128', '-keypbe', 'PBE-SHA1-2DES'], legacy: true },
  { name: '3DES in PBES2', flags: ['-certpbe', 'DES-EDE3-CBC', '-keypbe', 'DES-EDE3-CBC'], legacy: true },
]

t.test('opens what openssl exports', async (t) => {
  const folder = t.testdir()
  for (const { name, flags, legacy = false, secret = password } of exports) {
    for (const one of legacy ? [rsa] : [rsa, ec]) {
      const bytes = exported(folder, one, [...flags, '-name', 'Gerät 7'], secret)
      const { key, certificate, chain: found } = identityOf(await openPfx(bytes, { password: secret, legacy }))
      t.equal(spkiOf(key.privateKey), spkiOf(one.privateKey), `${name}: key`)
      t.equal(key.friendlyName, 'Gerät 7', `${name}: friendlyName`)
      t.strictSame([certificate, ...found].map(Buffer.from), [Buffer.from(one.certificate.raw), ...chain], `${name}: certificates`)
      await t.rejects(openPfx(bytes, { password: 'wrong', legacy }), { code: 'ERR_PFX_PASSWORD' }, `${name}: wrong password`)
      if (legacy) await t.rejects(openPfx(bytes, { password: secret }), { code: 'ERR_ALGORITHM_REFUSED' }, `${name}: no switch`)
    }
  }
})

t.test('refuses what openssl exports without a MAC or with RC4 or single DES', async (t) => {
  const folder = t.testdir()
  const rows: readonly (readonly [string, readonly string[], string, RegExp])[] = [
    ['no MAC', ['-nomac'], 'ERR_PFX_INVALID', /has no MAC/],
    ['RC4', ['-legacy', '-keypbe', 'PBE-SHA1-RC4-128'], 'ERR_ALGORITHM_REFUSED', /private key .* not supported/],
    ['single DES', ['-legacy', '-certpbe', 'PBE-MD5-DES'], 'ERR_ALGORITHM_REFUSED', /content .* not supported/],
  ]
  for (const [name, flags, code, message] of rows)
    await t.rejects(openPfx(exported(folder, rsa, flags), { password, legacy: true }), { code, message }, name)
})

t.test('openssl reads what is built', async (t) => {
  const folder = t.testdir()
  const rows = [
    { name: 'modern', iterations: 2048, shows: [/MAC: sha256, Iteration 2048/, /AES-256-CBC, Iteration 2048, PRF hmacWithSHA256/] },
    { name: 'legacy', algorithms: 'legacy', shows: [/MAC: sha1, Iteration 20000/, /pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 20000/] },
    { name: 'default iterations', shows: [/MAC: sha256, Iteration 100000/] },
    { name: 'the empty password', secret: '', iterations: 1, shows: [/MAC: sha256, Iteration 1$/m] },
  ] as const
  for (const { name, shows, ...row } of rows) {
    for (const one of [rsa, ec]) {
      const certificates = [one.certificate.raw, ...chain]
      const secret = 'secret' in row ? row.secret : password
      const choice = {
        ...('algorithms' in row && { algorithms: row.algorithms }),
        ...('iterations' in row && { iterations: row.iterations }),
      }
      const bytes = await buildPfx({ privateKey: one.privateKey, certificates, password: secret, friendlyName: 'Gerät 7', ...choice })
      writeFileSync(join(folder, 'built.p12'), bytes)
      const args = ['pkcs12', '-in', 'built.p12', '-info', '-nodes', '-passin', `pass:${secret}`]
      const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
      t.equal(status, 0, `${name}: ${stderr}`)
      for (const line of shows) t.match(stderr, line, name)
      t.match(stdout, /friendlyName: Ger/, name)
      t.ok(stdout.includes(one.keyPem.trim()), `${name}: key`)
      for (const certificate of [one.certificate, ...issuers]) t.ok(stdout.includes(pem(certificate).trim()), `${name}: certificate`)
    }
  }
})

t.test('openssl calls a MAC by PBMAC1 by its name and reads the rest', async (t) => {
  const folder = t.testdir()
  const certificates = [ec.certificate.raw]
  const bytes = await buildPfx({ privateKey: ec.privateKey, certificates, password, mac: 'pbmac1', iterations: 2048 })
  writeFileSync(join(folder, 'built.p12'), bytes)
  // The option's MAC itself cannot be verified before OpenSSL 3.4.
  const args = ['pkcs12', '-in', 'built.p12', '-info', '-nodes', '-nomacver', '-passin', `pass:${password}`]
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.match(stderr, /MAC: (?:PBMAC1|1\.2\.840\.113549\.1\.5\.14)/)
  t.ok(stdout.includes(ec.keyPem.trim()))
})
