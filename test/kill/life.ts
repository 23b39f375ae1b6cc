import type { Instant, PolicyDocument } from '@certfleet/agent-core'
import type { Approval, ApprovalRequest } from '@certfleet/emulator/lab'
import type { PfxRequest } from '@certfleet/emulator/tenant'
import { policyDocument } from '../fakes/policy-document.ts'

const hour = 3_600_000
const day = 24 * hour
export const start: Instant = Date.UTC(2027, 0, 1)
export const deviceId = 'dev-1'

/** What opens the keys of every folder. */
export const folderSecret = { key: Buffer.alloc(32, 7) }

/** One part of a life. */
export interface Stage {
  readonly name: string
  /** How much later than the last one it begins. */
  readonly afterMs: number
  readonly policy: Pick<PolicyDocument, 'revision'> & { readonly profile?: 'as it was' | 'renamed'; readonly otherRoot?: 'old' | 'new' }
  /** Each request waits for one poll. */
  readonly isPending?: boolean
  /** Certificates issued by its end, in all: by SCEP, and in a PFX. */
  readonly certificates: number
}

/** Everything that a device goes through, in order. */
export const stages: readonly Stage[] = [
  { name: 'enrolment', afterMs: 0, policy: { revision: 1, profile: 'as it was', otherRoot: 'old' }, certificates: 2 },
  { name: 'renewal', afterMs: 85 * day, policy: { revision: 1, profile: 'as it was', otherRoot: 'old' }, isPending: true, certificates: 4 },
  { name: 'change', afterMs: hour, policy: { revision: 2, profile: 'renamed', otherRoot: 'new' }, certificates: 6 },
  { name: 'removal', afterMs: hour, policy: { revision: 3 }, certificates: 6 },
]

type WirePfx = NonNullable<PolicyDocument['pfxProfiles']>[number]

const mail: WirePfx = {
  id: 'mail',
  displayName: 'Mail',
  principal: 'device',
  assignedTo: ['device'],
  rootProfileId: 'root',
  renewalThresholdPercent: 20,
  kind: 'pkcs',
  certificateRevision: 'v1',
  keyStorage: 'useSoftwareKsp',
}

/** What the connector delivers meanwhile. */
export function pfxRequestsOf({ policy }: Stage): readonly PfxRequest[] {
  if (!policy.profile) return []
  return [
    {
      kind: 'pkcs',
      profileId: mail.id,
      principal: mail.principal,
      certificateTemplateName: 'CertfleetDevice',
      certificationAuthority: 'ca.lab.example',
      certificationAuthorityName: 'Lab',
      subject: `CN=${policy.profile === 'renamed' ? 'renamed' : deviceId}`,
      subjectAltNames: [],
      keyBits: 2048,
      extendedKeyUsages: [],
      validity: { value: 100, scale: 'days' },
    },
  ]
}

export interface LifeRoots {
  readonly lab: Uint8Array
  readonly old: Uint8Array
  readonly new: Uint8Array
}

export function policyOf({ policy }: Stage, roots: LifeRoots, scepUrl: string): PolicyDocument {
  const document = policyDocument(deviceId, roots.lab)
  const { revision, profile, otherRoot } = policy
  const renamed = { subjectAltNames: [{ type: 'dns', value: 'renamed.lab.example' } as const] }
  const other = otherRoot && { ...document.trustedRoots[0], id: 'other', certificate: Buffer.from(roots[otherRoot]).toString('base64') }
  return {
    ...document,
    revision,
    trustedRoots: [...document.trustedRoots, ...(other ? [other as PolicyDocument['trustedRoots'][number]] : [])],
    scepProfiles: profile
      ? document.scepProfiles.map((wifi) => ({ ...wifi, scepUrls: [scepUrl], ...(profile === 'renamed' && renamed) }))
      : [],
    pfxProfiles: profile ? [{ ...mail, ...(profile === 'renamed' && { certificateRevision: 'v2' }) }] : [],
  }
}

/** Approves at the first poll. */
export function patience(): (request: ApprovalRequest, stage: Stage) => Approval {
  const asked = new Set<string>()
  return ({ transactionId }, { isPending }) => {
    if (!isPending || asked.has(transactionId)) return 'issue'
    asked.add(transactionId)
    return 'pending'
  }
}

/** What a process of the device is told to do next. */
export interface Order {
  readonly at: Instant
  /** The step, counted from here on, at which it kills itself. Absent: it lives. */
  readonly killAt?: number
}

export interface DeviceStart extends Order {
  readonly folder: string
  readonly policyUrl: string
  readonly credential: string
  /** RSA keys that it will make, PKCS #8 in base64: nobody made them before. */
  readonly keys: readonly string[]
  /** The same of the key that passwords of its PFX are encrypted to. */
  readonly managementKey: string
}

/** The device has nothing left to do. */
export interface Settled {
  /** Since the order. */
  readonly steps: number
}
