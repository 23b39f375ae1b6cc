import type { Results } from '@certfleet/emulator/fleet'

/** What a seed decides, however many processes and machines there are. */
export function sameOf({ devices, outcomes, keys, platforms, profiles, invariants, steps, arrivals, timeline, faults }: Results) {
  const sum = (count: (bin: Results['timeline']['bins'][number]) => number) => timeline.bins.reduce((all, bin) => all + count(bin), 0)
  return {
    devices,
    outcomes,
    keys,
    faults,
    invariants,
    started: arrivals.started,
    platforms: Object.entries(platforms).map(([name, { certificatesInstalled, rootsInstalled }]) => [
      name,
      certificatesInstalled,
      rootsInstalled,
    ]),
    profiles: profiles.map(({ device, profileId, state }) => [device, profileId, state]),
    // Each process has connections of its own.
    steps: steps.filter(({ step }) => step !== 'connect').map(({ step, platform, count }) => [step, platform, count]),
    timeline: [
      sum(({ started }) => started),
      sum(({ completed }) => completed),
      sum(({ enrolled }) => enrolled),
      sum(({ failed }) => failed),
    ],
  }
}
