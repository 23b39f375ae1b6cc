import { createHmac, pbkdf2Sync } from 'node:crypto'
import { integer, nullValue, octetString, oid, sequence } from '@certfleet/agent-core/der'
import t from 'tap'
import { identityOf, openPfx } from '#agent-core/pfx/index.ts'
import { hmacData } from '#agent-core/pfx/mac.ts'
import { hmacOids } from '#agent-core/pfx/oids.ts'
import { certificateBag, dataPart, issued, keyBag, password, pfxOver } from './files.ts'

const one = await issued('CN=one')
const safe = sequence(dataPart(sequence(keyBag(one), certificateBag(one.certificate.raw))))

interface Pbmac1 {
  readonly mac: keyof typeof hmacOids
  readonly prf: keyof typeof hmacOids
  readonly lengthBytes: number
  /** What the file says, where it is not what the MAC was made with. */
  readonly told?: { readonly iterations?: number; readonly salt?: Uint8Array; readonly lengthBytes?: number }
}

const salt = Buffer.from('sixteen octets !')

/** RFC 9579, by the runtime's own functions. */
function pbmac1({ mac, prf, lengthBytes, told = {} }: Pbmac1): Uint8Array {
  const digest = createHmac(mac, pbkdf2Sync(password, salt, 100, lengthBytes, prf))
    .update(safe)
    .digest()
  const hmac = (hash: keyof typeof hmacOids) => sequence(oid(hmacOids[hash]), nullValue)
  const size = told.lengthBytes ?? lengthBytes
  const parameters = sequence(octetString(told.salt ?? salt), integer(told.iterations ?? 100), integer(size), hmac(prf))
  const algorithm = sequence(oid('1.2.840.113549.1.5.14'), sequence(sequence(oid('1.2.840.113549.1.5.12'), parameters), hmac(mac)))
  return sequence(sequence(algorithm, octetString(digest)), octetString(Buffer.from('NOT USED')), integer(1))
}

t.test('PBMAC1 with every digest for MAC and derivation', async (t) => {
  for (const mac of ['sha256', 'sha384', 'sha512'] as const) {
    for (const prf of ['sha256', 'sha384', 'sha512'] as const) {
      for (const lengthBytes of [20, 32, 64]) {
        const opened = await openPfx(await pfxOver(safe, pbmac1({ mac, prf, lengthBytes })), { password })
        t.ok(identityOf(opened).key.privateKey.equals(one.privateKey), `${mac} ${prf} ${lengthBytes}`)
      }
    }
  }
})

t.test('PBMAC1 that must not open', async (t) => {
  const good = { mac: 'sha256', prf: 'sha256', lengthBytes: 32 } as const
  const rows: readonly (readonly [string, Pbmac1, string])[] = [
    ['SHA-1 as its MAC', { ...good, mac: 'sha1' }, 'ERR_ALGORITHM_REFUSED'],
    ['SHA-1 as its derivation', { ...good, prf: 'sha1' }, 'ERR_ALGORITHM_REFUSED'],
    ['a short key', { ...good, lengthBytes: 19 }, 'ERR_PFX_INVALID'],
    ['other iterations', { ...good, told: { iterations: 101 } }, 'ERR_PFX_PASSWORD'],
    ['another salt', { ...good, told: { salt: Buffer.from('16 other octets !') } }, 'ERR_PFX_PASSWORD'],
    ['another length', { ...good, told: { lengthBytes: 33 } }, 'ERR_PFX_PASSWORD'],
  ]
  for (const [name, parts, code] of rows)
    await t.rejects(openPfx(await pfxOver(safe, pbmac1(parts)), { password, legacy: true }), { code }, name)
})

t.test('the empty password in either spelling', async (t) => {
  for (const bmp of [Buffer.alloc(2), Buffer.alloc(0)]) {
    for (const hash of ['sha1', 'sha256', 'sha384', 'sha512'] as const) {
      const macData = await hmacData(safe, { utf8: Buffer.alloc(0), bmp }, hash, { salt, iterations: 3 })
      const opened = await openPfx(await pfxOver(safe, macData), { password: '' })
      t.ok(identityOf(opened).key.privateKey.equals(one.privateKey), `${bmp.length} octets, ${hash}`)
      await t.rejects(openPfx(await pfxOver(safe, macData), { password: ' ' }), { code: 'ERR_PFX_PASSWORD' })
    }
  }
})

t.test('a MAC that is none', async (t) => {
  const rows: readonly (readonly [string, Uint8Array, string])[] = [
    ['MD5', sequence(sequence(sequence(oid('1.2.840.113549.2.5')), octetString(salt)), octetString(salt)), 'ERR_ALGORITHM_REFUSED'],
    [
      'values behind it',
      sequence(sequence(sequence(oid('1.3.14.3.2.26')), octetString(salt)), octetString(salt), integer(1), nullValue),
      'ERR_PFX_INVALID',
    ],
    ['an empty sequence', sequence(), 'ERR_PFX_INVALID'],
    ['a NULL', nullValue, 'ERR_PFX_INVALID'],
    [
      'a digest of another length',
      sequence(sequence(sequence(oid('1.3.14.3.2.26')), octetString(salt)), octetString(salt)),
      'ERR_PFX_PASSWORD',
    ],
  ]
  for (const [name, macData, code] of rows) await t.rejects(openPfx(await pfxOver(safe, macData), { password }), { code }, name)
})
