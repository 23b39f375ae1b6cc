import { type FleetPlatform, fleetPlatforms, type ScenarioDocument } from './schema.ts'

export type Population = Readonly<Record<FleetPlatform, number>>

/** How many devices of each platform a scenario's `devices` means. The counts add up to the total asked for. */
export function populationOf(devices: NonNullable<ScenarioDocument['devices']>): Population {
  if (typeof devices === 'number') return apportion(devices, {})
  if ('total' in devices) return apportion(devices.total, { ios: 0, macos: 0, android: 0, windows: 0, ...devices.shares })
  return byPlatform((platform) => devices[platform] ?? 0)
}

/** Largest remainder: whole devices by share, what is left over to the largest fractions, earlier platforms first. Share 1 where none is given. */
function apportion(total: number, shares: Partial<Record<FleetPlatform, number | undefined>>): Population {
  const weight = (platform: FleetPlatform) => shares[platform] ?? 1
  const sum = fleetPlatforms.reduce((all, platform) => all + weight(platform), 0)
  const exact = byPlatform((platform) => (total * weight(platform)) / sum)
  const whole = byPlatform((platform) => Math.floor(exact[platform]))
  const left = total - fleetPlatforms.reduce((all, platform) => all + whole[platform], 0)
  const lucky = [...fleetPlatforms].sort((a, b) => exact[b] - whole[b] - (exact[a] - whole[a])).slice(0, left)
  return byPlatform((platform) => whole[platform] + (lucky.includes(platform) ? 1 : 0))
}

function byPlatform(count: (platform: FleetPlatform) => number): Population {
  return { ios: count('ios'), macos: count('macos'), android: count('android'), windows: count('windows') }
}
