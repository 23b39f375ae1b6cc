import { fingerprintOf, formatName, isSelfSigned, parseCertificate } from '@certfleet/agent-core/pki'
import type { Import, IntentProfile, ScepIntent, TrustedRootIntent } from './types.ts'

/** One member that was put in the place of an exported one. */
export interface Replacement {
  readonly profileId: string
  readonly displayName: string
  readonly member: 'trustedRootCertificate' | 'destinationStore' | 'scepServerUrls'
  /** A certificate is told by subject and SHA-256. */
  readonly from: string
  readonly to: string
}

/** The certificates and the URL that a run uses instead of the tenant's; certificates are DER. */
export interface RetargetOptions {
  readonly root: Uint8Array
  readonly issuing?: Uint8Array
  readonly scepUrl: string
}

/**
 * Points an export at a CA of one's own: Trusted profiles that a SCEP profile links to get its root, into the root store;
 * other Trusted profiles that hold an intermediate get `issuing`, where it is given; every SCEP URL becomes `scepUrl`.
 * Invalid profiles stay as they are. `replaced` lists what to tell the user.
 */
export function retarget(imported: Import, options: RetargetOptions): { imported: Import; replaced: Replacement[] } {
  const replaced: Replacement[] = []
  const linked = new Set(
    imported.profiles.flatMap((profile) =>
      profile.kind === 'scep' && 'rootProfileId' in profile.link ? [profile.link.rootProfileId] : [],
    ),
  )
  const profiles = imported.profiles.map((profile): IntentProfile => {
    if (profile.kind === 'scep') return withUrl(profile, options.scepUrl, replaced)
    if (profile.kind === 'trusted-root' && linked.has(profile.id))
      return withCertificate(intoRootStore(profile, replaced), options.root, replaced)
    if (profile.kind === 'trusted-root' && !profile.selfSigned && options.issuing)
      return withCertificate(profile, options.issuing, replaced)
    return profile
  })
  return { imported: { ...imported, profiles }, replaced }
}

function withUrl(profile: ScepIntent, scepUrl: string, replaced: Replacement[]): ScepIntent {
  const from = profile.scepUrls.join(' ')
  if (from !== scepUrl) replaced.push({ ...nameOf(profile), member: 'scepServerUrls', from, to: scepUrl })
  return { ...profile, scepUrls: [scepUrl] }
}

/** A self-signed certificate belongs nowhere else (S20). */
function intoRootStore(profile: TrustedRootIntent, replaced: Replacement[]): TrustedRootIntent {
  const { destinationStore: from } = profile
  if (from === undefined || from === 'computer-root') return profile
  replaced.push({ ...nameOf(profile), member: 'destinationStore', from, to: 'computer-root' })
  return { ...profile, destinationStore: 'computer-root' }
}

function withCertificate(profile: TrustedRootIntent, certificate: Uint8Array, replaced: Replacement[]): TrustedRootIntent {
  const [from, to] = [describe(profile.certificate), describe(certificate)]
  if (from !== to) replaced.push({ ...nameOf(profile), member: 'trustedRootCertificate', from, to })
  return { ...profile, certificate, selfSigned: isSelfSigned(parseCertificate(certificate)) }
}

function describe(certificate: Uint8Array): string {
  return `${formatName(parseCertificate(certificate).subject)} (SHA-256 ${fingerprintOf(certificate)})`
}

function nameOf({ id, displayName }: IntentProfile): { profileId: string; displayName: string } {
  return { profileId: id, displayName }
}
