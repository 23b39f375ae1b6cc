import type { IntentProfile } from '../../tenant/index.ts'
import type { CheckFinding } from '../types.ts'

/** Findings that differ by their device alone. */
export interface FindingGroup {
  /** Stands for all of them. */
  readonly finding: CheckFinding
  /** Absent: about none of the export's profiles in particular. */
  readonly profile?: IntentProfile | undefined
  /** Ids; empty where it is about no device in particular. */
  readonly devices: readonly string[]
  /** What their devices show: not the same on every OS. */
  readonly shown: readonly string[]
  readonly confirmed: number
  readonly refuted: number
}

export function groupedBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): ReadonlyMap<Key, readonly Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

/** By id, profile and message; of no device: by their place too. The largest first. */
export function findingGroups(
  findings: Iterable<CheckFinding>,
  profileOf: (finding: CheckFinding) => IntentProfile | undefined,
): readonly FindingGroup[] {
  const groups = [...groupedBy(findings, keyOf).values()].map((group) => groupOf(group, profileOf))
  return groups.sort((one, other) => other.devices.length - one.devices.length)
}

function keyOf({ id, severity, profileId, profile, device, file, path, message }: CheckFinding): string {
  return JSON.stringify([id, severity, profileId ?? profile, message, device === undefined ? [file, path] : []])
}

function groupOf(group: readonly CheckFinding[], profileOf: (finding: CheckFinding) => IntentProfile | undefined): FindingGroup {
  const [finding] = group as [CheckFinding]
  return {
    finding,
    profile: profileOf(finding),
    devices: [...new Set(group.flatMap(({ device }) => device ?? []))],
    shown: [...new Set(group.flatMap(({ shown }) => shown ?? []))],
    confirmed: group.filter(({ emulation }) => emulation === 'confirmed').length,
    refuted: group.filter(({ emulation }) => emulation === 'refuted').length,
  }
}
