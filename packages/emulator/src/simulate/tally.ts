import type { Fault } from './faults.ts'

/** What a simulation counts. */
export interface Tally {
  onFault(fault: Fault): void
  onIssued(): void
  onRenewed(device: string): void
  readonly issued: number
  readonly renewals: number
  readonly faults: Readonly<Partial<Record<Fault, number>>>
  /** When each device renewed for the first time, ms since the start. */
  readonly firstRenewalsMs: readonly number[]
}

export function createTally(elapsedMs: () => number): Tally {
  const faults = new Map<Fault, number>()
  const firstRenewals = new Map<string, number>()
  let issued = 0
  let renewals = 0
  return {
    onFault: (fault) => void faults.set(fault, (faults.get(fault) ?? 0) + 1),
    onIssued() {
      issued++
    },
    onRenewed(device) {
      renewals++
      if (!firstRenewals.has(device)) firstRenewals.set(device, elapsedMs())
    },
    get issued() {
      return issued
    },
    get renewals() {
      return renewals
    },
    get faults() {
      return Object.fromEntries(faults)
    },
    get firstRenewalsMs() {
      return [...firstRenewals.values()]
    },
  }
}
