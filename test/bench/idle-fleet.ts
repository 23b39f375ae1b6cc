import { fleetPlatforms } from '#emulator/scenario/schema.ts'
import type { DeviceCounts } from '#emulator/tenant/index.ts'

export interface LabWish {
  readonly counts: DeviceCounts
  readonly isTls: boolean
}

export interface LabAddress {
  readonly policyUrl: string
  readonly registrationToken: string
  /** Base64 of the DER. Absent: plain HTTP. */
  readonly trustAnchor?: string
}

/** So many devices, a quarter of them on each platform. */
export function countsOf(devices: number): DeviceCounts {
  return Object.fromEntries(fleetPlatforms.map((platform, i) => [platform, Math.floor((devices + i) / fleetPlatforms.length)]))
}
