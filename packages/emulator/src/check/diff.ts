import type { CheckFinding, CheckInput } from './types.ts'

/**
 * What replacing one export by another does to what is already on devices. Profiles are matched by id, else by a display name and type that
 * are unique in both. The tenant, where there is one, is that of both.
 */
export function diffExports(_before: CheckInput, _after: CheckInput): readonly CheckFinding[] {
  throw new Error('not written')
}
