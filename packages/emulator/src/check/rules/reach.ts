import type { DeviceRule, ProfileRule, TenantRule } from '../types.ts'

export const profileRules: readonly ProfileRule[] = []

export const deviceRules: readonly DeviceRule[] = []

export const tenantRules: readonly TenantRule[] = []
