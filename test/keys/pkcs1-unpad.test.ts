import { createPrivateKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type KeyHandle, softwareKeyHandle } from '@certfleet/agent-core'
import t from 'tap'
import { pkcs1Substitute, unpadPkcs1 } from '#agent-core/keys/pkcs1-unpad.ts'

interface VectorFile {
  readonly testGroups: readonly {
    readonly privateKeyPem: string
    readonly tests: readonly {
      readonly tcId: number
      readonly comment: string
      readonly msg: string
      readonly ct: string
      readonly result: string
    }[]
  }[]
}

const folder = join(process.env.CERTFLEET_VECTORS ?? join('..', 'shared', 'vectors'), 'wycheproof')

for (const file of ['rsa_pkcs1_2048_test.json', 'rsa_pkcs1_3072_test.json']) {
  const path = join(folder, file)
  t.test(`Wycheproof ${file}`, { skip: existsSync(path) ? false : 'CERTFLEET_VECTORS names no folder with it' }, async (t) => {
    const { testGroups } = JSON.parse(readFileSync(path, 'utf8')) as VectorFile
    for (const { privateKeyPem, tests } of testGroups) {
      const unwrapKey = softwareKeyHandle(createPrivateKey(privateKeyPem), 'wycheproof').unwrapKey as NonNullable<KeyHandle['unwrapKey']>
      for (const { tcId, comment, msg, ct, result } of tests) {
        const lengthBytes = msg.length / 2
        const unwrapped = await unwrapKey(Buffer.from(ct, 'hex'), { padding: 'pkcs1', lengthBytes: lengthBytes || 24 })
        t.equal(unwrapped.length, lengthBytes || 24, `${tcId} ${comment}: the length that was asked for`)
        if (lengthBytes > 0) t.equal(Buffer.from(unwrapped).toString('hex') === msg, result === 'valid', `${tcId} ${comment}: ${result}`)
      }
    }
  })
}

t.test('the padding is read in the same way wherever the raw operation was done', async (t) => {
  const secret = Buffer.from('0123456789abcdef')
  const block = (...parts: (number[] | Uint8Array)[]) => Buffer.concat(parts.map((part) => Buffer.from(part)))
  const filler = (octets: number) => Buffer.alloc(octets, 0x5a)
  const rows: [string, Buffer | undefined, boolean][] = [
    ['as it should be', block([0, 2], filler(109), [0], secret), true],
    ['eight octets of padding', block([0, 2], filler(8), [0], secret), true],
    ['seven octets of padding', block([0, 2], filler(7), [0], secret), false],
    ['first octet not 0', block([1, 2], filler(109), [0], secret), false],
    ['block type 1', block([0, 1], filler(109), [0], secret), false],
    ['no 0 before the secret', block([0, 2], filler(110), secret), false],
    ['a 0 in the first octet of padding', block([0, 2, 0], filler(108), [0], secret), false],
    ['a 0 in the last octet of padding', block([0, 2], filler(108), [0, 0], secret), false],
    ['no ciphertext', undefined, false],
  ]
  const expected = { wrapped: Buffer.from('wrapped'), lengthBytes: 16, rejectionSecret: Buffer.alloc(32, 1) }
  const substitute = pkcs1Substitute(expected)
  for (const [name, encoded, isRight] of rows) {
    t.strictSame(Buffer.from(unpadPkcs1(encoded, expected)), Buffer.from(isRight ? secret : substitute), name)
    if (isRight) t.ok(encoded?.equals(Buffer.alloc(encoded.length)), 'and nothing of it is left')
  }
  t.strictSame(pkcs1Substitute(expected), substitute, 'the substitute is the same each time')
  for (const other of [{ wrapped: Buffer.from('other') }, { rejectionSecret: Buffer.alloc(32, 2) }])
    t.notSame(pkcs1Substitute({ ...expected, ...other }), substitute, `another one for another ${Object.keys(other)}`)
  for (const lengthBytes of [0, 1, 32, 33, 64, 65]) t.equal(pkcs1Substitute({ ...expected, lengthBytes }).length, lengthBytes)
})
