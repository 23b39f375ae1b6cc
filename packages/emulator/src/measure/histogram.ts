import type { Latency } from '../report/schema.ts'
import type { EncodedHistogram } from './types.ts'

/**
 * How often each length was seen: the buckets of an HDR histogram of microseconds with three significant digits, those alone that are not
 * empty. hdr-histogram-js keeps 23,000 counts each, or takes milliseconds to read a packed one; a run has thousands of histograms.
 */
export interface Histogram {
  /** By the lowest microseconds of a bucket. */
  readonly counts: Map<number, number>
  total: number
  /** As if each value were in the middle of its bucket. */
  sumUs: number
  /** The buckets in order, as long as no other has come: those of a histogram that is read again and again hardly change. */
  sorted?: Float64Array | undefined
}

const longestUs = 3_600_000_000

/** In words: what two histograms need to have in common to be added up. */
export const histogramShape = 'microseconds to 1 h, 3 significant digits'

export const emptyHistogram = (): Histogram => ({ counts: new Map(), total: 0, sumUs: 0 })

/** Below 0 counts as 0, above an hour as an hour. */
export function recordMs(histogram: Histogram, durationMs: number): void {
  count(histogram, lowestOf(Math.min(longestUs, Math.max(0, Math.round(durationMs * 1000)))), 1)
}

export function addHistogram(to: Histogram, from: Histogram): void {
  for (const [lowestUs, times] of from.counts) count(to, lowestUs, times)
}

export function addEncoded(to: Histogram, encoded: EncodedHistogram): void {
  for (let i = 0; i < encoded.length; i += 2) count(to, encoded[i] as number, encoded[i + 1] as number)
}

export function decode(encoded: EncodedHistogram): Histogram {
  const histogram = emptyHistogram()
  addEncoded(histogram, encoded)
  return histogram
}

export function encode({ counts }: Histogram): EncodedHistogram {
  const encoded: number[] = []
  for (const [lowestUs, times] of counts) encoded.push(lowestUs, times)
  return encoded
}

export function sumOf(histograms: Iterable<Histogram>): Histogram {
  const sum = emptyHistogram()
  for (const histogram of histograms) addHistogram(sum, histogram)
  return sum
}

/** Null where nothing was recorded. Each value is good to three significant digits, and no more are given. */
export function latencyOf(histogram: Histogram): Latency | null {
  if (histogram.total === 0) return null
  const [p0, p50, p90, p95, p99, p999, p100] = percentilesUs(histogram, [0, 50, 90, 95, 99, 99.9, 100]) as Seven
  return {
    count: histogram.total,
    minMs: roundedMs(lowestOf(p0)),
    meanMs: roundedMs(histogram.sumUs / histogram.total),
    p50Ms: roundedMs(p50),
    p90Ms: roundedMs(p90),
    p95Ms: roundedMs(p95),
    p99Ms: roundedMs(p99),
    p999Ms: roundedMs(p999),
    maxMs: roundedMs(p100),
  }
}

type Seven = [number, number, number, number, number, number, number]

/** The greatest microseconds of the bucket that each percentile falls in; 0 where nothing was recorded. `percentiles` ascend, with one decimal at most. */
export function percentilesUs(histogram: Histogram, percentiles: readonly number[]): number[] {
  const { counts, total } = histogram
  const sorted = sortedBuckets(histogram)
  let i = -1
  let seen = 0
  return percentiles.map((percentile) => {
    // In tenths, whose product with a count is exact: of 41,000 the 99.9th percentile is the 40,959th, and not, by a lost bit, the next.
    const rank = Math.max(1, Math.ceil((Math.round(percentile * 10) * total) / 1000))
    while (seen < rank && i < sorted.length - 1) seen += counts.get(sorted[++i] as number) as number
    return i < 0 ? 0 : highestOf(sorted[i] as number)
  })
}

function sortedBuckets(histogram: Histogram): Float64Array {
  if (histogram.sorted?.length !== histogram.counts.size) histogram.sorted = Float64Array.from(histogram.counts.keys()).sort()
  return histogram.sorted
}

/** To three significant digits. */
export const roundedMs = (us: number): number => Number((us / 1000).toPrecision(3))

function count(histogram: Histogram, lowestUs: number, times: number): void {
  histogram.counts.set(lowestUs, (histogram.counts.get(lowestUs) ?? 0) + times)
  histogram.total += times
  histogram.sumUs += (lowestUs + Math.floor(widthOf(lowestUs) / 2)) * times
}

/** How many of the last bits of a value are not kept: the first eleven tell three decimal digits. Values have 32 bits at most. */
const droppedBits = (us: number): number => 21 - Math.clz32(us | 2047)

const widthOf = (us: number): number => 2 ** droppedBits(us)

function lowestOf(us: number): number {
  const bits = droppedBits(us)
  return (us >>> bits) * 2 ** bits
}

const highestOf = (us: number): number => lowestOf(us) + widthOf(us) - 1
