import type { KeyStorageOption } from '@certfleet/agent-core'
import { readNames } from './names.ts'
import type { Problem, Remark } from './remark.ts'
import type { ScepShape } from './shapes.ts'
import { hasBackslashEscape } from './subject.ts'
import type { ScepIntent } from './types.ts'
import { validityOf, validityRemarks } from './validity.ts'

/** What a SCEP profile says beyond its name and place. */
export type ScepSettings = Pick<
  ScepIntent,
  | 'principal'
  | 'scepUrls'
  | 'hash'
  | 'renewalThresholdPercent'
  | 'subjectNameFormat'
  | 'subjectTemplate'
  | 'subjectAltNames'
  | 'keyBits'
  | 'keyStorage'
  | 'keyUsages'
  | 'extendedKeyUsages'
  | 'validity'
>

/**
 * Settings of checked members, with Graph's defaults put in: 2048 bits, software KSP, the user's store.
 * `problems` are those that a member's shape cannot show.
 */
export function scepSettings(shape: ScepShape): { settings: ScepSettings; remarks: Remark[]; problems: Problem[] } {
  const { names, remarks, problems } = readNames(shape)
  const settings: ScepSettings = {
    principal: shape.certificateStore === 'machine' ? 'device' : 'user',
    scepUrls: shape.scepServerUrls,
    ...(hashes(shape).size > 0 ? { hash: 'sha256' as const } : {}),
    renewalThresholdPercent: shape.renewalThresholdPercentage,
    ...names,
    keyBits: bits[shape.keySize ?? 'size2048'],
    keyStorage: shape.keyStorageProvider ?? defaultKeyStorage,
    keyUsages: [...shape.keyUsage].sort(),
    extendedKeyUsages: oidsOf(shape),
    validity: validityOf(shape),
  }
  return {
    settings,
    remarks: [...remarks, ...hashRemarks(shape), ...subjectRemarks(names.subjectTemplate), ...validityRemarks(shape)],
    problems,
  }
}

const bits = { size1024: 1024, size2048: 2048, size4096: 4096 } as const

export const defaultKeyStorage: KeyStorageOption = 'useSoftwareKsp'

/** Each once: Graph repeats some. */
export function oidsOf({ extendedKeyUsages }: Pick<ScepShape, 'extendedKeyUsages'>): string[] {
  return [...new Set((extendedKeyUsages ?? []).map((usage) => usage.objectIdentifier))]
}

function hashes(shape: ScepShape): ReadonlySet<string> {
  const { hashAlgorithm } = shape
  if (hashAlgorithm === undefined || hashAlgorithm === null) return new Set()
  return hashAlgorithm instanceof Set
    ? hashAlgorithm
    : new Set([...(hashAlgorithm as readonly ReadonlySet<string>[])].flatMap((set) => [...set]))
}

function hashRemarks(shape: ScepShape): Remark[] {
  const asked = hashes(shape)
  if (!asked.has('sha1') || asked.has('sha2')) return []
  return [
    {
      id: 'hash-outdated',
      severity: 'warning',
      path: 'hashAlgorithm',
      message: 'SHA-1 is asked for; SHA-256 is used',
      action: 'choose SHA-2',
      source: 'S38',
    },
  ]
}

function subjectRemarks(template: string | undefined): Remark[] {
  if (template === undefined || !hasBackslashEscape(template)) return []
  const message =
    'the subject escapes a character by backslash; the request of a real device then differs from its challenge, and is refused'
  return [
    {
      id: 'subject-escape',
      severity: 'warning',
      path: 'subjectNameFormatString',
      message,
      action: 'quote the value instead',
      source: 'M-SCEP',
    },
  ]
}
