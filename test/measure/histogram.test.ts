import fc from 'fast-check'
import hdr from 'hdr-histogram-js'
import t from 'tap'
import { emptyHistogram, encode, type Histogram, latencyOf, percentilesUs, recordMs } from '#emulator/measure/histogram.ts'

const hourUs = 3_600_000_000
/** Of every magnitude alike. */
const lengthUs = fc.tuple(fc.nat(31), fc.nat(0xffff)).map(([bits, more]) => Math.min(hourUs, Math.floor(2 ** bits * (1 + more / 0x10000))))
const percentiles = [0, 10, 50, 90, 95, 99, 99.9, 100]

const oracle = new hdr.Int32Histogram(1, hourUs, 3)

function recorded(lengthsUs: readonly number[]): Histogram {
  const histogram = emptyHistogram()
  oracle.reset()
  for (const us of lengthsUs) {
    recordMs(histogram, us / 1000)
    oracle.recordValue(us)
  }
  return histogram
}

t.test('buckets and percentiles are those of an HDR histogram with three significant digits', async (t) => {
  fc.assert(
    fc.property(fc.array(lengthUs, { minLength: 1, maxLength: 60 }), (lengthsUs) => {
      const histogram = recorded(lengthsUs)
      t.equal(histogram.total, oracle.totalCount)
      const expected = percentiles.map((percentile) => oracle.highestEquivalentValue(oracle.getValueAtPercentile(percentile)))
      t.strictSame(percentilesUs(histogram, percentiles), expected)
      for (const [lowestUs, times] of histogram.counts) t.equal(oracle.getCountAtIndex(oracle.countsArrayIndex(lowestUs)), times)
    }),
    { numRuns: 30 },
  )
})

t.test('a latency holds three significant digits, of values and of the mean', async (t) => {
  const lengthsUs = [123, 4_567, 4_567, 89_012, 1_234_567]
  const latency = latencyOf(recorded(lengthsUs))
  const digits = (us: number) => Number((us / 1000).toPrecision(3))
  t.strictSame(latency, {
    count: 5,
    minMs: 0.123,
    meanMs: digits(oracle.mean),
    p50Ms: 4.57,
    p90Ms: 1230,
    p95Ms: 1230,
    p99Ms: 1230,
    p999Ms: 1230,
    maxMs: 1230,
  })
  t.equal(latencyOf(emptyHistogram()), null, 'none of nothing')
})

t.test('what is outside counts as the nearest that is inside', async (t) => {
  const rows: [string, number, number][] = [
    ['before now', -1, 0],
    ['half a microsecond', 0.0005, 1],
    ['the last value that is kept to the microsecond', 2.047, 2047],
    ['the first that is not', 2.049, 2048],
    ['an hour', 3_600_000, 3_598_712_832],
    ['more than an hour', 3_700_000, 3_598_712_832],
  ]
  for (const [name, ms, lowestUs] of rows) {
    const histogram = emptyHistogram()
    recordMs(histogram, ms)
    t.strictSame(encode(histogram), [lowestUs, 1], name)
  }
})

t.test('a percentile that a whole number of values makes up is the last of these', async (t) => {
  const histogram = emptyHistogram()
  histogram.counts.set(1000, 40_959).set(2000, 41)
  histogram.total = 41_000
  t.strictSame(percentilesUs(histogram, [99.9, 100]), [1000, 2000])
})
