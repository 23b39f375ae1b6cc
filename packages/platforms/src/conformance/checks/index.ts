import type { Check } from '../check.ts'
import { trustChecks } from './trust.ts'

/** Every check, by topic. */
export const checks: readonly Check[] = [...trustChecks]
