import type { Instant, Principal, SubjectAltName, Validity } from '@certfleet/agent-core'
import type { Management, UserAnswer } from '@certfleet/platforms'
import type { Hardware } from './hardware.ts'
import type { AssignmentTarget, IntendedPurpose, Platform } from './types.ts'

/**
 * How a device is managed where a platform has several ways. Unstated: it takes whatever its platform's profiles ask for, and does as the
 * platform's usual management does.
 */
export type ManagementMode = Management | 'windowsPhone81' | 'windows10X'

export interface User {
  readonly id: string
  readonly upn: string
  readonly userName: string
  readonly email?: string
  readonly onPremDistinguishedName?: string
  readonly onPremSamAccountName?: string
  readonly onPremUserPrincipalName?: string
  readonly department?: string
  /** Security identifier synchronised from the directory, `S-1-5-21-…`. */
  readonly sid?: string
}

export interface Device {
  /** The Intune device id, `{{DeviceId}}`. */
  readonly id: string
  readonly platform: Platform
  /** Dotted numbers. */
  readonly osVersion: string
  readonly management?: ManagementMode
  /** Default: what its OS has by itself. */
  readonly hardware?: Hardware
  /** What its user says whenever the OS asks. Default: granted. */
  readonly userConsent?: UserAnswer
  /** Id of its user; a device without one is userless. */
  readonly user?: string
  readonly serial?: string
  readonly imei?: string
  readonly meid?: string
  readonly wifiMac?: string
  readonly deviceName?: string
  readonly aadDeviceId?: string
  readonly fqdn?: string
  readonly sid?: string
}

export interface Group {
  readonly id: string
  readonly name: string
  readonly users: ReadonlySet<string>
  readonly devices: ReadonlySet<string>
}

/** An assignment in the tenant file; `profile` is an id or a display name. */
export interface TenantAssignment {
  readonly profile: string
  readonly intent: 'apply' | 'remove'
  readonly targets: readonly AssignmentTarget[]
  readonly path: string
}

/** What is known of a CA that issues for one or more profiles. */
export interface AuthorityFacts {
  /** Profiles with one of these SCEP URLs get their certificates by it. */
  readonly scepUrls: readonly string[]
  /** PKCS profiles that name this template do too. */
  readonly templateName?: string
  /** The longest that its template gives. */
  readonly validity?: Validity
  /** When the CA's own certificate ends. */
  readonly expiresAt?: Instant
  /** Dotted OIDs that its template gives; another one that is asked for is left out, or the request refused. */
  readonly extendedKeyUsages?: readonly string[]
  /** In the tenant file. */
  readonly path: string
}

/** Who and what the profiles are for. Maps are keyed by id. */
export interface Tenant {
  readonly file: string
  readonly users: ReadonlyMap<string, User>
  readonly devices: ReadonlyMap<string, Device>
  readonly groups: ReadonlyMap<string, Group>
  readonly assignments: readonly TenantAssignment[]
  /** Every profile goes to all devices and users of its platform, whatever the assignments say. */
  readonly assign?: 'all'
  /** Ids or names of the profiles whose users must prove more than one factor before a certificate is issued (S28). */
  readonly multiFactor?: readonly string[]
  readonly authorities?: readonly AuthorityFacts[]
  /** For which purposes PFX were imported, by user id: who is not in it has none. Absent: not known. */
  readonly importedPfx?: ReadonlyMap<string, ReadonlySet<IntendedPurpose>>
  /** How often devices check in. Default: what the platform's facts say. */
  readonly checkInMs?: number
}

/** What the connector is to deliver for one PFX profile of one device; every variable is resolved. */
export type PfxRequest =
  | {
      readonly kind: 'pkcs'
      readonly profileId: string
      readonly principal: Principal
      readonly certificateTemplateName: string
      readonly certificationAuthority: string
      readonly certificationAuthorityName: string
      readonly subject: string
      readonly subjectAltNames: readonly SubjectAltName[]
      readonly keyBits: number
      /** Dotted OIDs; empty where the template decides. */
      readonly extendedKeyUsages: readonly string[]
      readonly validity: Validity
    }
  | {
      readonly kind: 'imported'
      readonly profileId: string
      readonly principal: Principal
      /** Whose file it is. */
      readonly userPrincipalName: string
      readonly intendedPurpose: IntendedPurpose
    }
