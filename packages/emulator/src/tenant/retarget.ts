import { decodeName, fingerprintOf, formatName, isSelfSigned, NameOid, parseCertificate } from '@certfleet/agent-core/pki'
import { defaultTemplateName } from '../lab/ca/templates.ts'
import type { Import, IntentProfile, PkcsIntent, ScepIntent, TrustedRootIntent } from './types.ts'

type Named = 'certificateTemplateName' | 'certificationAuthority' | 'certificationAuthorityName'

/** One member that was put in the place of an exported one. */
export interface Replacement {
  readonly profileId: string
  readonly displayName: string
  readonly member: 'trustedRootCertificate' | 'destinationStore' | 'scepServerUrls' | Named
  /** A certificate is told by subject and SHA-256. */
  readonly from: string
  readonly to: string
}

/** The certificates and the URL that a run uses instead of the tenant's; certificates are DER. */
export interface RetargetOptions {
  readonly root: Uint8Array
  readonly issuing?: Uint8Array
  readonly scepUrl: string
  /** Certificate templates that the CA has beside `CertfleetDevice`. Default: none. */
  readonly templateNames?: readonly string[]
}

/**
 * Points an export at a CA of one's own: Trusted profiles that another profile links to get its root, into the root store;
 * other Trusted profiles that hold an intermediate get `issuing`, where it is given; every SCEP URL becomes `scepUrl`. PKCS profiles name
 * the CA by the host of that URL and the common name of its certificate, and `CertfleetDevice` where they name a template that it lacks.
 * Invalid profiles stay as they are. `replaced` lists what to tell the user.
 */
export function retarget(imported: Import, options: RetargetOptions): { imported: Import; replaced: Replacement[] } {
  const replaced: Replacement[] = []
  const linked = new Set(
    imported.profiles.flatMap((profile) => ('link' in profile && 'rootProfileId' in profile.link ? [profile.link.rootProfileId] : [])),
  )
  const profiles = imported.profiles.map((profile): IntentProfile => {
    if (profile.kind === 'scep') return withUrl(profile, options.scepUrl, replaced)
    if (profile.kind === 'pkcs') return withAuthority(profile, options, replaced)
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

function withAuthority(profile: PkcsIntent, options: RetargetOptions, replaced: Replacement[]): PkcsIntent {
  const own: Readonly<Record<Named, string>> = {
    certificateTemplateName: templateOf(profile, options),
    certificationAuthority: new URL(options.scepUrl).hostname,
    certificationAuthorityName: commonNameOf(options.issuing ?? options.root),
  }
  for (const [member, to] of Object.entries(own) as [Named, string][])
    if (profile[member] !== to) replaced.push({ ...nameOf(profile), member, from: profile[member], to })
  return { ...profile, ...own }
}

/** Upper and lower case are the same to a CA. */
function templateOf({ certificateTemplateName: wanted }: PkcsIntent, { templateNames = [] }: RetargetOptions): string {
  const known = [defaultTemplateName, ...templateNames].some((name) => name.toLowerCase() === wanted.toLowerCase())
  return known ? wanted : defaultTemplateName
}

function commonNameOf(certificate: Uint8Array): string {
  const { subject } = parseCertificate(certificate)
  const commonName = decodeName(subject)
    .flat()
    .findLast(({ type }) => type === NameOid.CN)
  return commonName?.value ?? formatName(subject)
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
