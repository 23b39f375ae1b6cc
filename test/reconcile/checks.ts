import type { Identity, IdentityStore, PolicyDocument } from '@certfleet/agent-core'
import { fingerprintOf, parseCertificate } from '@certfleet/agent-core/pki'
import type { Lab } from '@certfleet/emulator/lab'
import type { PfxConnector } from '../fakes/pfx-connector.ts'
import type { Kept } from './world.ts'

/** The service side of one device. */
export interface Service {
  readonly lab: Pick<Lab, 'issued'>
  /** Absent: no PFX is delivered. */
  readonly connector?: PfxConnector
  /** What it sends now. */
  policy(): PolicyDocument
}

/** How a device has to end. */
export interface Expected {
  /** How many certificates were issued or delivered for it in all. */
  readonly certificates: number
}

/** What must hold after a crash that was made good, whatever it interrupted: problems by the name of the check. */
export type Problems = Readonly<Record<keyof typeof checks, readonly string[]>>

interface Issued {
  readonly profileId?: string
  readonly attemptId?: string
  readonly fingerprint: string
}

interface Found {
  readonly identities: readonly Identity[]
  readonly keyLabels: readonly string[]
  readonly roots: readonly string[]
  readonly open: readonly string[]
  /** For which attempt, and with what; oldest first. */
  readonly issued: readonly Issued[]
  readonly unverified: readonly string[]
  readonly service: Service
  readonly expected: Expected
}

const leafOf = ({ chain }: Identity): string => fingerprintOf(chain[0] as Uint8Array)
const keyOf = ({ principal, profileId }: Identity): string => `${principal}/${profileId}`
const lastFor = ({ profileId }: Identity, issued: readonly Issued[]): string | undefined =>
  issued.findLast((one) => (one.profileId ?? profileId) === profileId)?.fingerprint
const wanted = (service: Service): readonly string[] => {
  const { scepProfiles, pfxProfiles = [] } = service.policy()
  return [...scepProfiles, ...pfxProfiles].map(({ principal, id }) => `${principal}/${id}`)
}
const none = (texts: readonly string[]): readonly string[] => texts
const differ = (what: string, found: readonly string[], expected: readonly string[]): readonly string[] => {
  const [one, other] = [found, expected].map((list) => [...list].sort().join(' '))
  return one === other ? [] : [`${what}: ${one || 'none'}, expected ${other || 'none'}`]
}

const checks = {
  'one identity a profile, and none of a profile that is gone': (found: Found) =>
    differ('identities', found.identities.map(keyOf), wanted(found.service)),
  'no orphaned key, and no identity without its key': (found: Found) =>
    differ(
      'keys',
      found.keyLabels,
      found.identities.map(({ keyLabel }) => keyLabel),
    ),
  'no attempt and no poll stays open': ({ open }: Found) => none(open),
  'no second certificate for one attempt': ({ issued }: Found) =>
    issued.length === new Set(issued.map(({ attemptId }) => attemptId)).size ? [] : ['an attempt has two certificates'],
  'no certificate more, and none less, than without a crash': ({ issued, expected }: Found) =>
    issued.length === expected.certificates ? [] : [`${issued.length} certificates, expected ${expected.certificates}`],
  'what is installed is what was issued last': ({ identities, issued }: Found) =>
    identities
      .filter((identity) => leafOf(identity) !== lastFor(identity, issued))
      .map((identity) => `${keyOf(identity)} has an older one`),
  'nothing was ever installed that was not verified': ({ unverified }: Found) => none(unverified),
  'the roots are those of the policy, each once': ({ roots, service }: Found) =>
    differ(
      'roots',
      roots,
      service.policy().trustedRoots.map(({ certificate }) => fingerprintOf(new Uint8Array(Buffer.from(certificate, 'base64')))),
    ),
} as const satisfies Record<string, (found: Found) => readonly string[]>

export const checkNames = Object.keys(checks) as (keyof typeof checks)[]

/** Judges a device as it stands. `unverified`: of `watchingInstalls`. */
export async function problemsOf(service: Service, kept: Kept, expected: Expected, unverified: readonly string[]): Promise<Problems> {
  const { attempts, pending } = await kept.state.load()
  const delivered = [...(service.connector?.issued ?? [])].map(([attemptId, { certificate }]) => ({
    attemptId,
    fingerprint: fingerprintOf(certificate),
  }))
  const found: Found = {
    identities: await kept.identities.list(),
    keyLabels: await kept.keys.list(),
    roots: (await kept.stores.list()).map(({ fingerprint }) => fingerprint),
    open: [...attempts.keys(), ...pending.keys()],
    issued: [...[...service.lab.issued()].sort((a, b) => a.at - b.at), ...delivered],
    unverified,
    service,
    expected,
  }
  return Object.fromEntries(checkNames.map((name) => [name, checks[name](found)])) as unknown as Problems
}

/**
 * The store, judging all that is installed at that moment, crash or none: somebody issued it to this device, it fits the key under its
 * label, its root is in a store, and its profile is in the policy.
 */
export function watchingInstalls(
  identities: IdentityStore,
  others: () => { service: Service; kept: Kept },
  unverified: string[],
): IdentityStore {
  return {
    ...identities,
    async install(identity) {
      const { service, kept } = others()
      unverified.push(...(await unverifiedIn(identity, service, kept)))
      if (!wanted(service).includes(keyOf(identity))) unverified.push(`${keyOf(identity)}: its profile is gone`)
      return identities.install(identity)
    },
  }
}

/** What speaks against an identity that is installed, or is about to be, whatever the policy says by now. */
export async function unverifiedIn(identity: Identity, service: Service, kept: Pick<Kept, 'keys' | 'stores'>): Promise<string[]> {
  const { publicKey } = parseCertificate(identity.chain[0] as Uint8Array)
  const key = await kept.keys.open(identity.keyLabel)
  const issued = [
    ...[...service.lab.issued()].map(({ fingerprint }) => fingerprint),
    ...[...(service.connector?.issued.values() ?? [])].map(({ certificate }) => fingerprintOf(certificate)),
  ]
  const roots = (await kept.stores.list()).map(({ fingerprint }) => fingerprint)
  const facts: readonly (readonly [string, boolean])[] = [
    ['nobody issued it', issued.includes(leafOf(identity))],
    ['it is not for its key', key !== undefined && Buffer.compare(key.publicKey, publicKey) === 0],
    ['its root is not installed', roots.includes(identity.requested.rootFingerprint)],
  ]
  return facts.flatMap(([problem, isSo]) => (isSo ? [] : [`${keyOf(identity)}: ${problem}`]))
}
