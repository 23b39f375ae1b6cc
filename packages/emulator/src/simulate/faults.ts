import type { Instant } from '@certfleet/agent-core'
import type { Seed } from '../scenario/schema.ts'
import { type Chance, chanceOf } from './chance.ts'

/** What can go wrong on the way of one request. */
export const networkFaults = ['request-lost', 'reply-lost', 'delayed', 'duplicated', 'truncated', 'wrong-answer'] as const
export type NetworkFault = (typeof networkFaults)[number]

/** What can be wrong with a device, or with the service, for a while. */
export const episodeFaults = [
  'clock-stepped',
  'clock-drifting',
  'disk-full',
  'locked',
  'tpm-busy',
  'asleep',
  'ca-down',
  'ca-in-trouble',
] as const
export type EpisodeFault = (typeof episodeFaults)[number]

/** What happens at one moment. */
export const momentFaults = [
  'crash',
  'push-lost',
  'pending',
  'profile-edited',
  'profile-unassigned',
  'profile-assigned',
  'pfx-imported',
  'ca-replaced',
  'root-replaced',
  'device-retired',
  'device-wiped',
  'device-unenrolled',
  'device-unlicensed',
] as const
export type MomentFault = (typeof momentFaults)[number]

export type Fault = NetworkFault | EpisodeFault | MomentFault

export interface Episode {
  readonly fault: EpisodeFault
  readonly from: Instant
  readonly to: Instant
  /** Of a clock: the step, or the drift by the end, in ms. */
  readonly offsetMs: number
}

const hour = 3_600_000
const day = 24 * hour

interface EpisodeKind {
  readonly fault: EpisodeFault
  /** Mean time between two of them on one device. */
  readonly everyMs: number
  readonly lastsMs: readonly [min: number, max: number]
  readonly offsetsMs?: readonly number[]
}

const ofDevice: readonly EpisodeKind[] = [
  { fault: 'clock-stepped', everyMs: 90 * day, lastsMs: [hour, 3 * day], offsetsMs: [-day, day, -3650 * day, 3650 * day, -2 * hour, 1000] },
  { fault: 'clock-drifting', everyMs: 90 * day, lastsMs: [day, 30 * day], offsetsMs: [-10 * 60_000, 10 * 60_000] },
  { fault: 'disk-full', everyMs: 60 * day, lastsMs: [hour, day] },
  { fault: 'locked', everyMs: 20 * day, lastsMs: [hour, 3 * day] },
  { fault: 'tpm-busy', everyMs: 40 * day, lastsMs: [60_000, 6 * hour] },
  { fault: 'asleep', everyMs: 60 * day, lastsMs: [8 * hour, 30 * day] },
]

const ofService: readonly EpisodeKind[] = [
  { fault: 'ca-down', everyMs: 40 * day, lastsMs: [hour, 7 * day] },
  { fault: 'ca-in-trouble', everyMs: 40 * day, lastsMs: [hour, day] },
]

/** The episodes of one device; `to` is never after `until`. */
export const deviceEpisodes = (seed: Seed, index: number, from: Instant, until: Instant): readonly Episode[] =>
  ofDevice.flatMap((kind) => episodesOf(kind, chanceOf(seed, index, kind.fault), from, until))

/** Those of CA and NDES. */
export const serviceEpisodes = (seed: Seed, from: Instant, until: Instant): readonly Episode[] =>
  ofService.flatMap((kind) => episodesOf(kind, chanceOf(seed, 'service', kind.fault), from, until))

function episodesOf({ fault, everyMs, lastsMs, offsetsMs }: EpisodeKind, chance: Chance, from: Instant, until: Instant): Episode[] {
  const episodes: Episode[] = []
  for (let at = from + chance.between(0, 2 * everyMs); at < until; ) {
    const to = Math.min(until, at + chance.between(...lastsMs))
    episodes.push({ fault, from: at, to, offsetMs: offsetsMs ? chance.pick(offsetsMs) : 0 })
    at = to + chance.between(0, 2 * everyMs)
  }
  return episodes
}

/** Which episode of that kind there is at that moment. */
export function episodeAt(episodes: readonly Episode[], fault: EpisodeFault, now: Instant): Episode | undefined {
  return episodes.find((episode) => episode.fault === fault && episode.from <= now && now < episode.to)
}

/** How far a device's clock is from the truth. A drift grows until its episode is over, when the clock is set right. */
export function clockOffset(episodes: readonly Episode[], now: Instant): number {
  const stepped = episodeAt(episodes, 'clock-stepped', now)?.offsetMs ?? 0
  const drifting = episodeAt(episodes, 'clock-drifting', now)
  return stepped + (drifting ? (drifting.offsetMs * (now - drifting.from)) / (drifting.to - drifting.from) : 0)
}

/** Of a thousand requests, how many meet each. */
const networkPerMille = 15

/** The fault of one request, if any. */
export function networkFault(chance: Chance): NetworkFault | undefined {
  return chance.happens(networkPerMille * networkFaults.length) ? chance.pick(networkFaults) : undefined
}
