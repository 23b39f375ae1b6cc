import t from 'tap'
import { spellings } from '#agent-core/pfx/password.ts'
import { derivePkcs12, outputBlocks, type Pkcs12Derivation } from '#agent-core/pfx/pkcs12-kdf.ts'

/** From OpenSSL's and Bouncy Castle's tests of old. */
const vectors: readonly (readonly [string, string, number, Pkcs12Derivation['purpose'], string])[] = [
  ['smeg', '0a58cf64530d823f', 1, 1, '8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3'],
  ['smeg', '0a58cf64530d823f', 1, 2, '79993dfe048d3b76'],
  ['smeg', '3d83c0e4546ac140', 1, 3, '8d967d88f6caa9d714800ab3d48051d63f73a312'],
  ['queeg', '05dec959acff72f7', 1000, 1, 'ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4'],
  ['queeg', '05dec959acff72f7', 1000, 2, '11dedad7758d4860'],
  ['queeg', '263216fcc2fab31c', 1000, 3, '5ec4c7a80df652294c3925b6489a7ab857c83476'],
]

t.test('keys, IVs and MAC keys by RFC 7292 appendix B', async (t) => {
  for (const [password, salt, iterations, purpose, expected] of vectors) {
    const derivation = { hash: 'sha1', purpose, iterations, salt: Buffer.from(salt, 'hex') } as const
    const octets = spellings(password)[0]?.bmp as Uint8Array
    const found = await derivePkcs12({ ...derivation, password: octets, lengthBytes: expected.length / 2 })
    t.equal(found.toString('hex'), expected, `${password} ${salt} ${purpose}`)
  }
})

t.test('other timers get their turn in a long derivation', async (t) => {
  let turns = 0
  const ticking = setInterval(() => turns++, 0)
  await derivePkcs12({ hash: 'sha1', purpose: 3, password: Buffer.alloc(2), salt: Buffer.alloc(8), iterations: 100_000, lengthBytes: 20 })
  clearInterval(ticking)
  t.ok(turns > 5, `${turns} turns`)
})

t.test('output is paid for by the digest', async (t) => {
  const rows = [
    ['sha1', 20, 1],
    ['sha1', 21, 2],
    ['sha256', 24, 1],
    ['sha512', 64, 1],
    ['sha512', 65, 2],
  ] as const
  for (const [hash, lengthBytes, blocks] of rows) t.equal(outputBlocks(hash, lengthBytes), blocks, `${hash} ${lengthBytes}`)
})

t.test('a password has one spelling, the empty one has two', async (t) => {
  const bmp = (password: string) => spellings(password).map(({ bmp }) => Buffer.from(bmp).toString('hex'))
  t.strictSame(bmp('Beavis'), ['0042006500610076006900730000'])
  t.strictSame(bmp('ä☃'), ['00e426030000'])
  t.strictSame(bmp(''), ['0000', ''])
})
