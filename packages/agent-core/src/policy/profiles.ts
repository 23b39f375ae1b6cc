import { z } from 'zod'
import { AgentError } from '../errors.ts'
import { fingerprintOf, parseCertificate } from '../pki/certificate.ts'
import { exactly, sharing } from '../sharing.ts'
import type { FailedProfile, IdentityKey, PfxProfile, Principal, RequestSpec, ScepProfile, TrustedRootProfile } from '../types.ts'
import { identityKey } from '../types.ts'
import { expected, invalid, where } from './problem.ts'
import { failedProfileSchema, idSchema, pfxProfileSchema, principalSchema, scepProfileSchema, trustedRootSchema } from './schema.ts'

// Made once: zod compiles a schema when it is made.
const nameSchema = z.object({ id: idSchema, displayName: z.unknown() })
const ownerSchema = z.object({ principal: principalSchema })
const reachSchema = z.object({ assignedTo: z.tuple([principalSchema]).rest(z.unknown()) })

/** One failure an identity key, the first that was told. */
export class Failures {
  readonly #byKey = new Map<IdentityKey, FailedProfile>()
  add(failure: FailedProfile): void {
    const key = identityKey(failure.principal, failure.id)
    if (!this.#byKey.has(key)) this.#byKey.set(key, failure)
  }
  has(key: IdentityKey): boolean {
    return this.#byKey.has(key)
  }
  list(): readonly FailedProfile[] {
    return [...this.#byKey.values()]
  }
}

/** A failure that the service tells of. */
export function parseFailedProfile(value: unknown, path: string): FailedProfile {
  const { id, displayName } = readName(value, path)
  const principal = readPrincipal(value, path)
  const parsed = failedProfileSchema.safeParse(value)
  return parsed.success ? parsed.data : failed({ id, displayName, principal }, where(path, parsed.error), expected(parsed.error))
}

/** The roots that can be read; the others become failures. */
export function parseRoots(values: readonly unknown[], failures: Failures): TrustedRootProfile[] {
  const named = values.map((value, i) => ({ value, path: `trustedRoots[${i}]`, ...readName(value, `trustedRoots[${i}]`) }))
  const paths = pathsByKey(named.map(({ id, path }) => [id, path]))
  const roots = named.flatMap(({ value, path, id, displayName }) => {
    const profile = { id, displayName, principal: firstPrincipal(value) }
    const others = (paths.get(id) ?? []).filter((other) => other !== path)
    const root = others.length > 0 ? usedTwice(profile, path, others) : parseRoot(value, path, profile)
    if ('code' in root) failures.add(root)
    return 'code' in root ? [] : [root]
  })
  return exactly(roots)
}

function parseRoot(value: unknown, path: string, profile: ProfileName): TrustedRootProfile | FailedProfile {
  const parsed = trustedRootSchema.safeParse(value)
  if (!parsed.success) return failed(profile, where(path, parsed.error), expected(parsed.error))
  try {
    return sharedRoot(JSON.stringify(parsed.data), () => readRoot(parsed.data))
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return failed(profile, `${path}.certificate`, `expected one certificate in DER (${error.message})`)
  }
}

const sharedRoot = sharing<TrustedRootProfile>()

function readRoot({
  id,
  displayName,
  certificate: base64,
  destinationStore,
  assignedTo,
}: z.output<typeof trustedRootSchema>): TrustedRootProfile {
  const certificate = new Uint8Array(Buffer.from(base64, 'base64'))
  parseCertificate(certificate)
  return { id, displayName, certificate, fingerprint: fingerprintOf(certificate), destinationStore, assignedTo }
}

interface CertificateProfiles {
  readonly scepProfiles: readonly ScepProfile[]
  readonly pfxProfiles: readonly PfxProfile[]
}

/**
 * The profiles that can be read and have not failed already; `fingerprints` are those of the roots, by their id.
 * An id is one profile's, whichever list it is in: the identity on the device goes by it.
 */
export function parseCertificateProfiles(
  { scepProfiles, pfxProfiles }: Readonly<Record<keyof CertificateProfiles, readonly unknown[]>>,
  fingerprints: ReadonlyMap<string, string>,
  failures: Failures,
): CertificateProfiles {
  const scep = scepProfiles.map((value, i) => readPlace(value, `scepProfiles[${i}]`))
  const pfx = pfxProfiles.map((value, i) => readPlace(value, `pfxProfiles[${i}]`))
  const paths = pathsByKey([...scep, ...pfx].map(({ key, path }) => [key, path]))
  const parseEach = <P extends object>(places: readonly Place[], parse: (place: Place, roots: typeof fingerprints) => P | FailedProfile) =>
    places.flatMap((place) => {
      const others = (paths.get(place.key) ?? []).filter((other) => other !== place.path)
      const parsed = others.length > 0 ? usedTwice(place.profile, place.path, others) : parse(place, fingerprints)
      if ('code' in parsed) failures.add(parsed as FailedProfile)
      return 'code' in parsed || failures.has(place.key) ? [] : [parsed as P]
    })
  return { scepProfiles: exactly(parseEach(scep, parseScepProfile)), pfxProfiles: exactly(parseEach(pfx, parsePfxProfile)) }
}

/** A profile as it stands in the document. */
interface Place {
  readonly value: unknown
  readonly path: string
  readonly profile: ProfileName
  readonly key: IdentityKey
}

function readPlace(value: unknown, path: string): Place {
  const profile = { ...readName(value, path), principal: readPrincipal(value, path) }
  return { value, path, profile, key: identityKey(profile.principal, profile.id) }
}

function parseScepProfile({ value, path, profile }: Place, fingerprints: ReadonlyMap<string, string>): ScepProfile | FailedProfile {
  const parsed = scepProfileSchema.safeParse(value)
  if (!parsed.success) return failed(profile, where(path, parsed.error), expected(parsed.error))
  const { subject, subjectAltNames, ...common } = parsed.data
  const rootFingerprint = fingerprints.get(common.rootProfileId) ?? ''
  const shared = sharedProfile(JSON.stringify([common, rootFingerprint]), () => readCommon(common, rootFingerprint))
  return { ...shared, request: { ...shared.request, subject, subjectAltNames } }
}

const sharedProfile = sharing<ScepProfile>()

/** What devices that a profile is assigned to have in common: all but the names. */
function readCommon(common: Omit<z.output<typeof scepProfileSchema>, 'subject' | 'subjectAltNames'>, rootFingerprint: string): ScepProfile {
  const { keyBits, keyStorage, keyUsages, extendedKeyUsages, validity, hash, multiFactor, ...rest } = common
  const request: RequestSpec = {
    subject: '',
    subjectAltNames: [],
    keySpec: { algorithm: 'rsa', bits: keyBits },
    keyStorage,
    keyUsages,
    extendedKeyUsages,
    validity,
    rootFingerprint,
  }
  return { ...rest, request, ...(hash && { hash }), ...(multiFactor && { multiFactor }) }
}

function parsePfxProfile({ value, path, profile }: Place, fingerprints: ReadonlyMap<string, string>): PfxProfile | FailedProfile {
  const parsed = pfxProfileSchema.safeParse(value)
  if (!parsed.success) return failed(profile, where(path, parsed.error), expected(parsed.error))
  const { kind, certificateRevision, keyStorage, exportable = false, ...rest } = parsed.data
  const rootFingerprint = fingerprints.get(rest.rootProfileId) ?? ''
  return { ...rest, request: { kind, certificateRevision, keyStorage, exportable, rootFingerprint } }
}

type ProfileName = Pick<FailedProfile, 'id' | 'displayName' | 'principal'>

/** Which profile it is; without its id it could only be guessed. */
function readName(value: unknown, path: string): Pick<FailedProfile, 'id' | 'displayName'> {
  const parsed = nameSchema.safeParse(value)
  if (!parsed.success) throw invalid(where(path, parsed.error), expected(parsed.error))
  const { id, displayName } = parsed.data
  return { id, displayName: typeof displayName === 'string' ? displayName.slice(0, 256) : id }
}

function readPrincipal(value: unknown, path: string): Principal {
  const parsed = ownerSchema.safeParse(value)
  if (!parsed.success) throw invalid(where(path, parsed.error), expected(parsed.error))
  return parsed.data.principal
}

/** A Trusted profile belongs to no principal; its failure is told under the first that it reached the device through. */
function firstPrincipal(value: unknown): Principal {
  return reachSchema.safeParse(value).data?.assignedTo[0] ?? 'device'
}

function pathsByKey(entries: readonly (readonly [key: string, path: string])[]): ReadonlyMap<string, readonly string[]> {
  const paths = new Map<string, string[]>()
  for (const [key, path] of entries) {
    const known = paths.get(key)
    if (known) known.push(path)
    else paths.set(key, [path])
  }
  return paths
}

function usedTwice(profile: ProfileName, path: string, others: readonly string[]): FailedProfile {
  return failed(profile, `${path}.id`, `expected an id of its own, "${profile.id}" is also that of ${others[0]}`)
}

function failed(profile: ProfileName, path: string, problem: string): FailedProfile {
  return { ...profile, code: 'ERR_PROFILE_INVALID', message: `${path}: ${problem}` }
}
