import t from 'tap'
import { decryptRc2Cbc } from '#agent-core/pfx/rc2.ts'

/** RFC 2268 section 5. */
const vectors: readonly (readonly [key: string, effectiveBits: number, plain: string, encrypted: string])[] = [
  ['0000000000000000', 63, '0000000000000000', 'ebb773f993278eff'],
  ['ffffffffffffffff', 64, 'ffffffffffffffff', '278b27e42e2f0d49'],
  ['3000000000000000', 64, '1000000000000001', '30649edf9be7d2c2'],
  ['88', 64, '0000000000000000', '61a8a244adacccf0'],
  ['88bca90e90875a', 64, '0000000000000000', '6ccf4308974c267f'],
  ['88bca90e90875a7f0f79c384627bafb2', 64, '0000000000000000', '1a807d272bbe5db1'],
  ['88bca90e90875a7f0f79c384627bafb2', 128, '0000000000000000', '2269552ab0f85ca6'],
  ['88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e', 129, '0000000000000000', '5b78d3a43dfff1f1'],
]

t.test('RC2 decrypts the vectors of RFC 2268', async (t) => {
  for (const [key, bits, plain, encrypted] of vectors) {
    const found = decryptRc2Cbc(Buffer.from(key, 'hex'), bits, Buffer.alloc(8), Buffer.from(encrypted, 'hex'))
    t.equal(found.toString('hex'), plain, `${key}, ${bits} bits`)
  }
})

t.test('RC2-CBC takes off the IV, then each block before', async (t) => {
  const [key, iv, block] = ['ffffffffffffffff', '0102030405060708', '278b27e42e2f0d49'].map((hex) => Buffer.from(hex, 'hex'))
  const plain = decryptRc2Cbc(key as Buffer, 64, iv as Buffer, Buffer.concat([block as Buffer, block as Buffer]))
  t.equal(plain.toString('hex'), 'fefdfcfbfaf9f8f7d874d81bd1d0f2b6')
})
