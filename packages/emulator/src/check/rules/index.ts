import type { DeviceRule, ProfileRule, TenantRule } from '../types.ts'
import * as authority from './authority.ts'
import * as keys from './keys.ts'
import * as lifetime from './lifetime.ts'
import * as names from './names.ts'
import * as numbers from './numbers.ts'
import * as pfx from './pfx.ts'
import * as reach from './reach.ts'
import * as removal from './removal.ts'
import * as settings from './settings.ts'
import * as strongMapping from './strong-mapping.ts'
import * as trust from './trust.ts'

/** In the order in which their findings are told. */
const topics = [reach, trust, names, strongMapping, pfx, keys, settings, authority, lifetime, numbers, removal]

export const profileRules: readonly ProfileRule[] = topics.flatMap((topic) => topic.profileRules)
export const deviceRules: readonly DeviceRule[] = topics.flatMap((topic) => topic.deviceRules)
export const tenantRules: readonly TenantRule[] = reach.tenantRules
