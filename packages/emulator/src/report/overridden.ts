import { type FactOverrides, facts } from '@certfleet/platforms'

/** In every report of emulated devices, so that nobody takes what was said for what the platforms do. */
export interface Overridden {
  /** By fact id, what was said instead of the fact. Absent: all is as sourced. */
  readonly overriddenFacts?: Readonly<Record<string, unknown>>
}

export function overriddenFacts(overrides: FactOverrides | undefined): Overridden {
  return overrides === undefined || overrides.size === 0 ? {} : { overriddenFacts: Object.fromEntries(overrides) }
}

export function overriddenLines({ overriddenFacts: said = {} }: Overridden): string[] {
  return Object.entries(said).map(([id, value]) => {
    const sourced = facts.find((fact) => fact.id === id)?.value
    return `not what the platform does: ${id} is ${JSON.stringify(value)}, and ${JSON.stringify(sourced)} by its source`
  })
}
