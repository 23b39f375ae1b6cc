import { bitString, integer, nullValue, oid, sequence } from '@certfleet/agent-core/der'
import t from 'tap'
import { keyWeakness } from '#agent-core/pki/path/floors.ts'

function rsaKey(bits: number, exponent: bigint): Uint8Array {
  const key = sequence(integer((1n << BigInt(bits - 1)) | 1n), integer(exponent))
  return sequence(sequence(oid('1.2.840.113549.1.1.1'), nullValue), bitString(key))
}

const rows: readonly (readonly [name: string, bits: number, exponent: bigint, isTaken: boolean])[] = [
  ['2048 bits', 2048, 65_537n, true],
  ['one bit fewer', 2047, 65_537n, false],
  ['8192 bits', 8192, 65_537n, true],
  ['one bit more', 8193, 65_537n, false],
  ['an exponent below 65537', 2048, 65_535n, false],
  ['an even exponent', 2048, 65_538n, false],
  ['the largest exponent', 2048, 2n ** 32n - 1n, true],
  ['an exponent that makes verifying slow', 2048, 2n ** 32n + 1n, false],
  ['an exponent as long as the modulus', 3072, 2n ** 3071n + 1n, false],
]

t.test('RSA keys on a path', (t) => {
  for (const [name, bits, exponent, isTaken] of rows) t.equal(keyWeakness(rsaKey(bits, exponent), {}) === undefined, isTaken, name)
  t.end()
})
