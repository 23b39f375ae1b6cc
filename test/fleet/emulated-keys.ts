import { mkdirSync } from 'node:fs'
import { systemDisk } from '@certfleet/agent-core'
import { type EmulationKeys, type EmulationKeysOptions, openEmulationKeys } from '#emulator/keys/emulation-keys.ts'
import { encodePool, writePool } from '#emulator/keys/pool-file.ts'
import { FakeDisk } from '../fakes/disk.ts'
import { testPrimes } from '../keys-emulation/prime-pairs.ts'

/** Keys of the primes for tests: 2016 of RSA-2048 in all. */
export async function testEmulationKeys(options: Partial<EmulationKeysOptions> = {}): Promise<EmulationKeys> {
  const disk = new FakeDisk()
  await writePool(disk, '/pools/primes-2048.json', encodePool('primes', 1024, testPrimes()))
  return openEmulationKeys({ mode: 'primes', seed: 'seed', devices: 10, keysPerDevice: 40, kept: { folder: '/pools', disk }, ...options })
}

/** The same primes as `--key-pool` wants them: with `--keys primes` no key of a fleet costs anything. */
export async function primesFolder(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  await writePool(systemDisk, `${folder}/primes-2048.json`, encodePool('primes', 1024, testPrimes()))
  return folder
}
