import type { DeviceRule, ProfileRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = []

export const deviceRules: readonly DeviceRule[] = []
