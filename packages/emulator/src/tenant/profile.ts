import { createHash } from 'node:crypto'
import type { Principal, StoreName } from '@certfleet/agent-core'
import type { z } from 'zod'
import { type GraphObject, joinPath } from './documents.ts'
import { isObject } from './json.ts'
import { importedPfxSettings, pkcsSettings } from './pfx-profile.ts'
import { cutPlaces } from './powershell.ts'
import { hasMember } from './profile-members.ts'
import { families, type ProfileType } from './profile-types.ts'
import type { Problem, Remark } from './remark.ts'
import { scepSettings } from './scep-profile.ts'
import { identityShape, importedPfxShape, pkcsShapeOf, scepShapeOf, trustedRootShape } from './shapes.ts'
import type { Finding, ImportedPfxIntent, InvalidIntent, PkcsIntent, ScepIntent, TrustedRootIntent } from './types.ts'

/** A certificate profile before its root is looked for. */
export type CertificateDraft = Omit<ScepIntent, 'link'> | Omit<PkcsIntent, 'link'> | Omit<ImportedPfxIntent, 'link'>

export type ProfileDraft = TrustedRootIntent | CertificateDraft | InvalidIntent

/** Reads one profile of a known type. What is wrong with it becomes findings and an `invalid` profile, never an exception. */
export function readProfile(object: GraphObject, type: ProfileType): { profile: ProfileDraft; findings: Finding[] } {
  const { identity, problems: ofIdentity } = identityOf(object, type)
  const members = ownMembers(object, type)
  const read = readers[type.kind](identity, members, type)
  const problems = [...ofIdentity, ...('problems' in read ? read.problems : [])]
  const remarks = [
    ...cutRemarks(object),
    ...memberRemarks(object, type),
    ...ruleRemarks(object),
    ...('remarks' in read ? read.remarks : []),
  ]
  const findings = [...problems.map(invalidRemark), ...remarks].map((remark) => place(remark, object, identity.displayName))
  const [problem] = problems
  if ('profile' in read && problem === undefined) return { profile: read.profile, findings }
  return { profile: invalidProfile(identity, members, type, problem as Problem), findings }
}

type Identity = Omit<InvalidIntent, 'kind' | 'principal' | 'message'>

type Read = { profile: ProfileDraft; remarks: Remark[] } | { problems: Problem[] }

function identityOf(object: GraphObject, type: ProfileType): { identity: Identity; problems: Problem[] } {
  const shape = identityShape.safeParse(object.members)
  const { displayName: named } = object.members
  const displayName = typeof named === 'string' && named !== '' ? named.slice(0, 1000) : `unnamed ${type.name}`
  const identity: Identity = {
    id: shape.data?.id ?? idInFileName(object) ?? idFromName(type.name, shape.success ? displayName : `${object.file}\n${object.path}`),
    displayName,
    typeName: type.name,
    family: type.family,
    platform: families[type.family].platform,
    file: object.file,
    path: object.path,
    unknownMembers: new Map(Object.entries(object.members).filter(([name]) => !hasMember(type, name))),
  }
  return { identity, problems: shape.success ? [] : problemsOf(shape.error, object.members) }
}

/** IntuneCD keeps the id there if told to: `<name>__<id>.json`. */
function idInFileName({ file, path }: GraphObject): string | undefined {
  return path === '' ? /__([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$/i.exec(file)?.[1]?.toLowerCase() : undefined
}

/** A UUID that the same type and name always get (RFC 9562 5.8). */
export function idFromName(typeName: string, name: string): string {
  const digest = createHash('sha256').update(`${typeName}\n${name}`).digest('hex')
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}

/** Without the members that other types have and this one ignores (A7, A5). */
function ownMembers(object: GraphObject, type: ProfileType): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object.members).filter(([name]) => hasMember(type, name)))
}

function readScep(identity: Identity, members: Record<string, unknown>, type: ProfileType): Read {
  const shape = scepShapeOf(type.family).safeParse(members)
  if (!shape.success) return { problems: problemsOf(shape.error, members) }
  const { settings, remarks, problems } = scepSettings(shape.data)
  if (problems.length > 0) return { problems }
  return { profile: { kind: 'scep', ...identity, ...settings }, remarks }
}

function readPkcs(identity: Identity, members: Record<string, unknown>, type: ProfileType): Read {
  const shape = pkcsShapeOf(type.family).safeParse(members)
  if (!shape.success) return { problems: problemsOf(shape.error, members) }
  const { settings, remarks, problems } = pkcsSettings(shape.data)
  if (problems.length > 0) return { problems }
  return { profile: { kind: 'pkcs', ...identity, ...settings }, remarks }
}

function readImportedPfx(identity: Identity, members: Record<string, unknown>): Read {
  const shape = importedPfxShape.safeParse(members)
  if (!shape.success) return { problems: problemsOf(shape.error, members) }
  return { profile: { kind: 'imported-pfx', ...identity, ...importedPfxSettings(shape.data) }, remarks: [] }
}

const stores: Readonly<Record<string, StoreName>> = {
  computerCertStoreRoot: 'computer-root',
  computerCertStoreIntermediate: 'computer-intermediate',
  userCertStoreIntermediate: 'user-intermediate',
}

function readRoot(identity: Identity, members: Record<string, unknown>): Read {
  const shape = trustedRootShape.safeParse(members)
  if (!shape.success) return { problems: problemsOf(shape.error, members) }
  const { der, selfSigned, isCa, wasPem } = shape.data.trustedRootCertificate
  const destinationStore = stores[shape.data.destinationStore ?? '']
  const profile: TrustedRootIntent = {
    kind: 'trusted-root',
    ...identity,
    certificate: der,
    selfSigned,
    ...(destinationStore ? { destinationStore } : {}),
  }
  return { profile, remarks: [...(isCa ? [] : [notCa]), ...(wasPem ? [pem] : [])] }
}

const readers: Readonly<Record<ProfileType['kind'], (identity: Identity, members: Record<string, unknown>, type: ProfileType) => Read>> = {
  'trusted-root': readRoot,
  scep: readScep,
  pkcs: readPkcs,
  'imported-pfx': readImportedPfx,
}

const notCa: Remark = {
  id: 'certificate-not-ca',
  severity: 'warning',
  path: 'trustedRootCertificate',
  message: 'the certificate does not say that it is a CA; devices may refuse it',
  action: 'use the root or an intermediate CA certificate',
  source: 'S6',
}
const pem: Remark = {
  id: 'certificate-pem',
  severity: 'warning',
  path: 'trustedRootCertificate',
  message: 'the certificate is PEM inside base64; it is read as the DER that it holds',
  action: 'export the .cer file as DER',
  source: 'M-TR',
}

function problemsOf(error: z.ZodError, members: Readonly<Record<string, unknown>>): Problem[] {
  return error.issues.map(({ path, message }) => ({ path: joinPath('', ...path), message: message + found(members, path) }))
}

/** `, found …` for a value that is short, and cannot hold a certificate or a password. */
function found(members: unknown, path: readonly PropertyKey[]): string {
  let value = members
  for (const key of path) value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined
  if (value === undefined) return ', found nothing'
  if (value === null) return ', found null'
  if (typeof value === 'object') return ''
  const shown = JSON.stringify(value)
  return shown.length > 80 || path[0] === 'trustedRootCertificate' || shown.includes('@') ? '' : `, found ${shown}`
}

function invalidRemark({ path, message }: Problem): Remark {
  return {
    id: 'profile-invalid',
    severity: 'error',
    path,
    message,
    action: 'correct the profile; until then it fails on every device it is for',
  }
}

function cutRemarks({ members }: GraphObject): Remark[] {
  return cutPlaces(members).map((place) => ({
    id: 'value-cut',
    severity: 'error',
    path: joinPath('', ...place),
    message: 'the value was left out when the file was written: ConvertTo-Json stops at a depth of 2 unless told otherwise',
    action: 'export again with ConvertTo-Json -Depth 20',
  }))
}

const maxUnknownTold = 100

function memberRemarks(object: GraphObject, type: ProfileType): Remark[] {
  const unknown = Object.keys(object.members).filter((name) => !hasMember(type, name))
  const more = unknown.length > maxUnknownTold ? `; nor has it ${unknown.length - maxUnknownTold} more` : ''
  return unknown.slice(0, maxUnknownTold).map((path, i) => ({
    id: 'member-unknown',
    severity: 'info',
    path,
    message: `${type.name} has no such member in the published schema; it is kept and has no effect${i === maxUnknownTold - 1 ? more : ''}`,
  }))
}

function ruleRemarks(object: GraphObject): Remark[] {
  const rules = Object.entries(object.members).filter(
    ([name, value]) => name.startsWith('deviceManagementApplicabilityRule') && isSet(value),
  )
  return rules.map(([path]) => ({
    id: 'applicability-rule-ignored',
    severity: 'warning',
    path,
    message: 'applicability rules are not evaluated; the profile goes to every device it is assigned to',
  }))
}

/** The PowerShell SDK writes a rule that is not set as one whose members are null. */
function isSet(rule: unknown): boolean {
  return isObject(rule) && Object.entries(rule).some(([name, value]) => !name.startsWith('@') && value !== null)
}

function place(remark: Remark, object: GraphObject, profile: string): Finding {
  const path = remark.path === undefined ? object.path : joinPath(object.path, remark.path)
  return { ...remark, file: object.file, ...(path === '' ? {} : { path }), profile }
}

function invalidProfile(
  identity: Identity,
  members: Readonly<Record<string, unknown>>,
  { kind }: ProfileType,
  problem: Problem,
): InvalidIntent {
  const principal: Principal = kind !== 'trusted-root' && members.certificateStore !== 'machine' ? 'user' : 'device'
  return { kind: 'invalid', ...identity, principal, message: `${problem.path}: ${problem.message}` }
}
