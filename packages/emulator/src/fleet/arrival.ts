import type { Arrival } from '../scenario/load-schema.ts'

/** When the device at a position of [0, devices) is due, in milliseconds since the start. Never falls with the position. */
export type DueMs = (position: number) => number

/** The plan of arrivals; where a rate ends at 0, those who never come are due at `Infinity`. */
export function plannedArrivals(arrival: Arrival, devices: number): DueMs {
  if (arrival === 'all-at-once') return () => 0
  if ('over' in arrival) return (position) => (position * arrival.over) / devices
  if ('rate' in arrival) return (position) => (position * 1000) / arrival.rate
  return rampingArrivals(arrival.from ?? 0, arrival.stages)
}

export function arrivalText(arrival: Arrival): string {
  if (arrival === 'all-at-once') return 'all at once'
  if ('over' in arrival) return `evenly over ${secondsText(arrival.over)}`
  if ('rate' in arrival) return `${arrival.rate} devices a second`
  const stages = arrival.stages.map(({ to, for: ms }) => `to ${to} over ${secondsText(ms)}`)
  return `devices a second: from ${arrival.from ?? 0} ${stages.join(', ')}`
}

const secondsText = (ms: number): string => `${ms / 1000} s`

interface Stretch {
  readonly atMs: number
  /** Devices that were due before it. */
  readonly before: number
  /** Devices a millisecond. */
  readonly from: number
  readonly to: number
  readonly ms: number
}

/** The position is the integral of the rate; the moment is found by solving for it. */
function rampingArrivals(from: number, stages: readonly { readonly to: number; readonly for: number }[]): DueMs {
  const stretches = stretchesOf(from, stages)
  return (position) => {
    const stretch = stretches.findLast(({ before }) => before <= position) as Stretch
    return stretch.atMs + timeWithin(stretch, position - stretch.before)
  }
}

function stretchesOf(from: number, stages: readonly { readonly to: number; readonly for: number }[]): readonly Stretch[] {
  let next: Stretch = { atMs: 0, before: 0, from: from / 1000, to: from / 1000, ms: 0 }
  const stretches = stages.map(({ to, for: ms }) => {
    const stretch = { ...next, to: to / 1000, ms }
    next = {
      atMs: stretch.atMs + ms,
      before: stretch.before + ((stretch.from + stretch.to) / 2) * ms,
      from: to / 1000,
      to: to / 1000,
      ms: 0,
    }
    return stretch
  })
  return [...stretches, { ...next, ms: Number.POSITIVE_INFINITY }]
}

/** The t at which from*t + slope*t²/2 is `count`. */
function timeWithin({ from, to, ms }: Stretch, count: number): number {
  if (count <= 0) return 0
  const slope = Number.isFinite(ms) && ms > 0 ? (to - from) / ms : 0
  if (slope === 0) return count / from
  return (Math.sqrt(Math.max(0, from * from + 2 * slope * count)) - from) / slope
}
