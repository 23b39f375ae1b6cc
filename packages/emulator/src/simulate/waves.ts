/** How renewals that were due together came, in equal bins over the time in which jitter spreads them. */
export interface RenewalWave {
  /** Since the start, ms. */
  readonly fromMs: number
  readonly toMs: number
  readonly bins: readonly number[]
  /** Of the fullest bin; 1 is perfectly even. */
  readonly peakToMean: number
}

const waveBins = 100

/** Undefined without a renewal. Those after the window count in its last bin. */
export function renewalWave(renewedAtMs: readonly number[], windowMs: number): RenewalWave | undefined {
  if (renewedAtMs.length === 0) return undefined
  const fromMs = renewedAtMs.reduce((first, at) => Math.min(first, at), Number.POSITIVE_INFINITY)
  const bins = new Array<number>(waveBins).fill(0)
  for (const at of renewedAtMs) {
    const bin = Math.min(waveBins - 1, Math.floor(((at - fromMs) * waveBins) / windowMs))
    bins[bin] = (bins[bin] as number) + 1
  }
  const peak = bins.reduce((most, count) => Math.max(most, count), 0)
  return { fromMs, toMs: fromMs + windowMs, bins, peakToMean: (peak * waveBins) / renewedAtMs.length }
}
