/** Leading bits of the two remainders that one round looks at: their quotients and sums stay exact in a double. */
const windowBits = 49

/** Two rows of cofactors, whole numbers below 2^49. */
type Rows = readonly [number, number, number, number]

/**
 * The inverse of `value` modulo `modulus`, in [1, modulus). Both positive, and coprime: RangeError where they are not.
 * Lehmer's variant of Euclid's algorithm with Collins's condition (Knuth, TAOCP 2, 4.5.2, algorithm L): a third of the time of the plain
 * one at 1024 bits. Not in constant time: for numbers that are no secret.
 */
export function inverseModulo(value: bigint, modulus: bigint): bigint {
  let [r0, r1] = [modulus, value % modulus]
  let [s0, s1] = [0n, 1n]
  while (r1 !== 0n) {
    const [a, b, c, d] = (leadingRows(r0, r1) ?? [0n, 1n, 1n, -(r0 / r1)]) as [bigint, bigint, bigint, bigint]
    ;[r0, r1] = [a * r0 + b * r1, c * r0 + d * r1]
    ;[s0, s1] = [a * s0 + b * s1, c * s0 + d * s1]
  }
  if (r0 !== 1n) throw new RangeError('the numbers are not coprime')
  return s0 < 0n ? s0 + modulus : s0
}

/** As many steps of Euclid's algorithm as the leading bits decide; undefined where they decide none. */
function leadingRows(r0: bigint, r1: bigint): readonly [bigint, bigint, bigint, bigint] | undefined {
  const shift = BigInt(Math.max(0, r0.toString(16).length * 4 - windowBits))
  const [a, b, c, d] = decidedSteps(Number(r0 >> shift), Number(r1 >> shift))
  return b === 0 ? undefined : [BigInt(a), BigInt(b), BigInt(c), BigInt(d)]
}

function decidedSteps(x0: number, x1: number): Rows {
  let [x, y, a, b, c, d] = [x0, x1, 1, 0, 0, 1]
  while (y + c !== 0 && y + d !== 0) {
    const q = Math.floor((x + a) / (y + c))
    if (q !== Math.floor((x + b) / (y + d))) break
    ;[x, y, a, b, c, d] = [y, x - q * y, c, d, a - q * c, b - q * d]
  }
  return [a, b, c, d]
}
