import type { Validity } from '@certfleet/agent-core'
import { isOid } from '@certfleet/agent-core/der'
import { managementModes } from '@certfleet/platforms'
import { z } from 'zod'
import { hardwareKinds } from './hardware.ts'
import { families } from './profile-types.ts'
import type { ManagementMode } from './tenant-types.ts'
import type { Platform } from './types.ts'

const maxNodes = 100_000

const text = z.string('expected text').min(1, 'expected a value')
const flag = z.enum(['true', 'false'], 'expected true or false').transform((value) => value === 'true')
const ids = z.array(text, 'expected a list').max(maxNodes).optional()
const platforms = [...new Set(Object.values(families).map((family) => family.platform))]
/** Those that name a family of profiles, and those that name a behaviour of the platform. */
export const modesOf = (platform: Platform): readonly ManagementMode[] => [
  ...new Set([
    ...managementModes[platform],
    ...Object.values(families).flatMap((family) => (family.platform === platform ? family.modes : [])),
  ]),
]
const modes = [...new Set(platforms.flatMap(modesOf))]

const userShape = z.strictObject({
  id: text,
  upn: text.regex(/^[^@\s]+@[^@\s]+$/, 'expected name@domain'),
  userName: text.optional(),
  email: text.regex(/^[^@\s]+@[^@\s]+$/, 'expected name@domain').optional(),
  onPremDistinguishedName: text.optional(),
  onPremSamAccountName: text.optional(),
  onPremUserPrincipalName: text.optional(),
  department: text.optional(),
  sid: text.regex(/^S-1(-\d+)+$/, 'expected a security identifier, S-1-…').optional(),
})

const deviceShape = z.strictObject({
  id: text.regex(/^(?! )[^\p{Cc}]{1,200}(?<! )$/u, 'expected 1 to 200 characters, none of them a control character'),
  platform: z.enum(platforms, `expected one of ${platforms.join(', ')}`),
  osVersion: text.regex(/^\d{1,9}(\.\d{1,9}){0,4}$/, 'expected dotted numbers'),
  management: z.enum(modes, `expected one of ${modes.join(', ')}`).optional(),
  hardware: z.enum(hardwareKinds, `expected one of ${hardwareKinds.join(', ')}`).optional(),
  userConsent: z.enum(['granted', 'refused', 'waiting'], 'expected granted, refused or waiting').optional(),
  user: text.optional(),
  serial: text.optional(),
  imei: text.optional(),
  meid: text.optional(),
  wifiMac: text.optional(),
  deviceName: text.optional(),
  aadDeviceId: text.optional(),
  fqdn: text.optional(),
  sid: userShape.shape.sid,
})

const groupShape = z.strictObject({ id: text, name: text.optional(), users: ids, devices: ids })

const assignmentShape = z.strictObject({
  profile: text,
  intent: z.enum(['apply', 'remove'], 'expected apply or remove').optional(),
  groups: ids,
  excludeGroups: ids,
  allDevices: flag.optional(),
  allUsers: flag.optional(),
})

const isHttpUrl = (url: string): boolean => /^https?:\/\//i.test(url) && URL.canParse(url)

/** A day begins at midnight UTC; which hour a certificate ends at does not matter here. */
const dayShape = z.iso.date('expected a day, as 2031-01-31').transform((day) => Date.parse(day))

const validityShape = text
  .regex(/^[1-9]\d{0,4} (day|month|year)s?$/, 'expected a number of days, months or years, as 12 months')
  .transform((validity): Validity => {
    const [value, unit] = validity.split(' ') as [string, string]
    return { value: Number(value), scale: `${unit.replace(/s$/, '')}s` as Validity['scale'] }
  })

const authorityShape = z.strictObject({
  scepUrls: z.array(text.refine(isHttpUrl, 'expected an http or https URL'), 'expected a list').max(maxNodes).optional(),
  template: text.optional(),
  validity: validityShape.optional(),
  expires: dayShape.optional(),
  extendedKeyUsages: z.array(text.refine(isOid, 'expected a dotted OID'), 'expected a list').max(maxNodes).optional(),
})

const purposes = ['smimeEncryption', 'smimeSigning', 'vpn', 'wifi', 'unassigned'] as const

const importedPfxShape = z.strictObject({
  user: text,
  purposes: z.array(z.enum(purposes, `expected one of ${purposes.join(', ')}`), 'expected a list').min(1, 'expected a purpose'),
})

const leastHours = 0.1
const mostHours = 8_760

const hoursShape = text
  .regex(/^\d{1,4}(\.\d{1,3})?$/, 'expected a number of hours')
  .transform(Number)
  .refine((hours) => hours >= leastHours && hours <= mostHours, `expected ${leastHours} to ${mostHours} hours`)

export const tenantShape = z.strictObject({
  users: z.array(userShape, 'expected a list').max(maxNodes).optional(),
  devices: z.array(deviceShape, 'expected a list').max(maxNodes).optional(),
  groups: z.array(groupShape, 'expected a list').max(maxNodes).optional(),
  assignments: z.array(assignmentShape, 'expected a list').max(maxNodes).optional(),
  assign: z.literal('all', 'expected all').optional(),
  /** S28; no member of Graph's says it. */
  multiFactor: ids,
  authorities: z.array(authorityShape, 'expected a list').max(maxNodes).optional(),
  importedPfx: z.array(importedPfxShape, 'expected a list').max(maxNodes).optional(),
  checkInHours: hoursShape.optional(),
})

/** What a tenant file says, each member by itself as it should be. */
export type TenantShape = z.infer<typeof tenantShape>
export type AssignmentShape = z.infer<typeof assignmentShape>
export type AuthorityShape = z.infer<typeof authorityShape>
export type DeviceShape = z.infer<typeof deviceShape>
export type GroupShape = z.infer<typeof groupShape>
