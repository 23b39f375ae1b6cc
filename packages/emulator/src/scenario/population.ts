import type { DeviceKind } from '../tenant/index.ts'
import { type DevicesDocument, fleetPlatforms } from './devices.ts'

/** What devices there are to be, and how many of each kind. */
export type Population = readonly DeviceKind[]

/** What a scenario's `devices` means. The counts add up to the total asked for; kinds without a device are left out. */
export function populationOf(devices: DevicesDocument): Population {
  return kindsOf(devices).filter(({ count }) => count > 0)
}

function kindsOf(devices: DevicesDocument): Population {
  if (typeof devices === 'number')
    return apportion(
      devices,
      ofPlatforms(() => 1),
    )
  if (isList(devices)) return devices.map(present)
  if ('of' in devices) return apportion(devices.total, devices.of.map(present))
  if ('total' in devices)
    return apportion(
      devices.total,
      ofPlatforms((platform) => devices.shares[platform] ?? 0),
    )
  return fleetPlatforms.map((platform) => ({ platform, count: devices[platform] ?? 0 }))
}

const isList = (devices: object): devices is Extract<DevicesDocument, readonly unknown[]> => Array.isArray(devices)

type Shared = Omit<DeviceKind, 'count'> & { readonly share?: number }

const ofPlatforms = (shareOf: (platform: DeviceKind['platform']) => number): readonly Shared[] =>
  fleetPlatforms.map((platform) => ({ platform, share: shareOf(platform) }))

/** Largest remainder: whole devices by share, what is left over to the largest fractions, earlier kinds first. Share 1 where none is given. */
function apportion(total: number, kinds: readonly Shared[]): Population {
  const sum = kinds.reduce((all, { share = 1 }) => all + share, 0)
  const parts = kinds.map(({ share = 1, ...kind }) => ({ kind, exact: (total * share) / sum }))
  const left = total - parts.reduce((all, { exact }) => all + Math.floor(exact), 0)
  const fraction = ({ exact }: (typeof parts)[number]) => exact - Math.floor(exact)
  const lucky = new Set([...parts].sort((a, b) => fraction(b) - fraction(a)).slice(0, left))
  return parts.map((part) => ({ ...part.kind, count: Math.floor(part.exact) + (lucky.has(part) ? 1 : 0) }))
}

/** Zod leaves a missing optional out; only its type says `undefined`. */
function present<T>(read: { [K in keyof T]: T[K] | undefined }): T {
  return read as T
}
