import { join } from 'node:path'
import { drawnKeys } from '#emulator/keys/device-keys.ts'
import { pairedKeys } from '#emulator/keys/key-pool.ts'
import { keysFor } from '#emulator/keys/primes.ts'
import { rsaPrime } from '#emulator/keys/rsa-key.ts'
import { type FleetPlatform, fleetPlatforms } from '#emulator/scenario/schema.ts'
import { chanceOf } from '#emulator/simulate/chance.ts'
import {
  devicesOf,
  keyStorageOf,
  policiesOf,
  type SimulationOptions,
  type SimulationOutcome,
  simulate,
  type TenantPolicies,
} from '#emulator/simulate/index.ts'
import { generateTenant, type Import, type ImportedPfxIntent, loadExport, type PkcsIntent } from '#emulator/tenant/index.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'
import { root } from '../tooling/root.ts'

const imported = withPfx(await loadExport(join(root, 'packages/emulator/examples/contoso/graph')))
const primes = testPrimes().map(rsaPrime)
let authority: SimulationOptions['authority']

export interface Simulated extends Partial<Omit<SimulationOptions, 'devices' | 'seed'>> {
  readonly seed: string
  /** A platform. Default 2. */
  readonly devicesEach?: number
  /** Default: all four. */
  readonly platforms?: readonly FleetPlatform[]
  /** Which PFX profiles a device has beside its SCEP profile. Default: each with a chance of one in sixteen. */
  readonly pfx?: readonly PfxKind[]
}

/** A small fleet of the four platforms with the example's profiles, over one CA and few primes: a simulation costs little but its days. */
export async function simulated({
  seed,
  devicesEach = 2,
  platforms = fleetPlatforms,
  pfx,
  ...options
}: Simulated): Promise<SimulationOutcome> {
  const counts = Object.fromEntries(platforms.map((platform) => [platform, devicesEach]))
  const tenant = generateTenant({ counts, domain: 'contoso.example' })
  const devices = devicesOf(tenant)
  const keys = keysByDevice(seed, devices.length + 1)
  const kinds = new Map(devices.map(({ id }, index) => [id, pfx ?? drawnKinds(seed, index)]))
  const outcome = await simulate({
    seed,
    devices,
    days: 120,
    faults: true,
    events: [],
    validityDays: 30,
    checkInMs: 86_400_000,
    startOverMs: 3_600_000,
    hasJitter: true,
    ...pfxForSome(policiesOf(imported, tenant), (deviceId) => kinds.get(deviceId) ?? []),
    keysFor: keyStorageOf(keys),
    serviceKeyFor: keys.keyFor,
    authority,
    ...options,
  })
  authority ??= outcome.authority
  return outcome
}

/** Each device has its share of the pairs, and the CA one too. */
function keysByDevice(seed: string, devices: number) {
  const pool = pairedKeys(primes, seed)
  const share = Math.floor(keysFor(primes.length) / devices)
  const made = Array.from({ length: devices }, () => 0)
  const keyFor = async (index: number) => {
    const count = made[index] as number
    if (count === share) throw new Error(`device ${index} has used up its ${share} keys`)
    made[index] = count + 1
    return pool.keyAt(index * share + count)
  }
  return { keyFor, forDevice: (index: number) => drawnKeys('prime pool (insecure, emulation only)', () => keyFor(index)) }
}

type PfxKind = 'pkcs' | 'imported'

/** A PKCS and an imported profile beside each SCEP profile, alike in what they say. */
function withPfx(exported: Import): Import {
  const beside = exported.profiles.flatMap((profile) => {
    if (profile.kind !== 'scep') return []
    const { scepUrls: _, hash: __, keyBits: ___, keyUsages: ____, ...named } = profile
    const authority = {
      certificateTemplateName: 'CertfleetDevice',
      certificationAuthority: 'lab.invalid',
      certificationAuthorityName: 'Lab',
    }
    const pkcs: PkcsIntent = { ...named, kind: 'pkcs', id: `${profile.id}-pkcs`, ...authority }
    const { principal, link, renewalThresholdPercent, keyStorage, ...base } = named
    const { id, displayName, typeName, family, platform, file, path, unknownMembers } = base
    const own = { id: `${id}-imported`, displayName, typeName, family, platform, file, path, unknownMembers }
    const imported: ImportedPfxIntent = {
      ...{ ...own, principal, link, renewalThresholdPercent, keyStorage },
      kind: 'imported-pfx',
      intendedPurpose: 'wifi',
    }
    return [pkcs, imported]
  })
  // A PFX for these holds one certificate, so that the issuing CA's has to be there already.
  const issuing = exported.profiles.flatMap((profile) =>
    profile.kind === 'trusted-root' && (profile.platform === 'ios' || profile.platform === 'macos')
      ? [{ ...profile, id: `${profile.id}-issuing`, selfSigned: false }]
      : [],
  )
  return { ...exported, profiles: [...exported.profiles, ...beside, ...issuing] }
}

function drawnKinds(seed: string, index: number): readonly PfxKind[] {
  const chance = chanceOf(seed, index, 'pfx')
  return (['pkcs', 'imported'] as const).filter(() => chance.happens(62))
}

/** The same for devices that have these kinds alone. */
function pfxForSome({ policyFor, pfxRequestsFor }: TenantPolicies, kindsOf: (deviceId: string) => readonly PfxKind[]): TenantPolicies {
  const ofDevice = <P extends { readonly kind: PfxKind }>(profiles: readonly P[] | undefined, deviceId: string): P[] =>
    (profiles ?? []).filter(({ kind }) => kindsOf(deviceId).includes(kind))
  return {
    policyFor(deviceId, lab) {
      const policy = policyFor(deviceId, lab)
      return policy && { ...policy, pfxProfiles: ofDevice(policy.pfxProfiles, deviceId) }
    },
    pfxRequestsFor: (deviceId, lab) => ofDevice(pfxRequestsFor(deviceId, lab), deviceId),
  }
}

/** `I3 …` by its number. */
export function violationsOf({ invariants }: SimulationOutcome, id: string) {
  return invariants.find(({ name }) => name.startsWith(`${id} `))?.violations ?? []
}
