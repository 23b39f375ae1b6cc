import { join } from 'node:path'
import { drawnKeys } from '#emulator/keys/device-keys.ts'
import { pairedKeys } from '#emulator/keys/key-pool.ts'
import { keysFor } from '#emulator/keys/primes.ts'
import { rsaPrime } from '#emulator/keys/rsa-key.ts'
import { type FleetPlatform, fleetPlatforms } from '#emulator/scenario/schema.ts'
import { devicesOf, keyStorageOf, policiesOf, type SimulationOptions, type SimulationOutcome, simulate } from '#emulator/simulate/index.ts'
import { generateTenant, loadExport } from '#emulator/tenant/index.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'
import { root } from '../tooling/root.ts'

const imported = await loadExport(join(root, 'packages/emulator/examples/contoso/graph'))
const primes = testPrimes().map(rsaPrime)
let authority: SimulationOptions['authority']

export interface Simulated extends Partial<Omit<SimulationOptions, 'devices' | 'seed'>> {
  readonly seed: string
  /** A platform. Default 2. */
  readonly devicesEach?: number
  /** Default: all four. */
  readonly platforms?: readonly FleetPlatform[]
}

/** A small fleet of the four platforms with the example's profiles, over one CA and few primes: a simulation costs little but its days. */
export async function simulated({ seed, devicesEach = 2, platforms = fleetPlatforms, ...options }: Simulated): Promise<SimulationOutcome> {
  const counts = Object.fromEntries(platforms.map((platform) => [platform, devicesEach]))
  const tenant = generateTenant({ counts, domain: 'contoso.example' })
  const devices = devicesOf(tenant)
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
    policyFor: policiesOf(imported, tenant),
    keysFor: keyStorageOf({ forDevice: keysByDevice(seed, devices.length) }),
    authority,
    ...options,
  })
  authority ??= outcome.authority
  return outcome
}

/** Each device has its share of the pairs. */
function keysByDevice(seed: string, devices: number) {
  const pool = pairedKeys(primes, seed)
  const share = Math.floor(keysFor(primes.length) / devices)
  const made = Array.from({ length: devices }, () => 0)
  return (index: number) =>
    drawnKeys('prime pool (insecure, emulation only)', async () => {
      const count = made[index] as number
      if (count === share) throw new Error(`device ${index} has used up its ${share} keys`)
      made[index] = count + 1
      return pool.keyAt(index * share + count)
    })
}

/** `I3 …` by its number. */
export function violationsOf({ invariants }: SimulationOutcome, id: string) {
  return invariants.find(({ name }) => name.startsWith(`${id} `))?.violations ?? []
}
