import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError, type KeyStorageProvider, type KeyVault, softwareKeys } from '@certfleet/agent-core'
import { type DrawCounts, drawnKeys, isRsaSize, type RsaBits, rsaSizes } from './device-keys.ts'
import { type KeyPool, openPool, type PoolOptions } from './key-pool.ts'

/** `fresh`: as a device makes them. `pool`: made once, kept in a file. `primes`: put together from a pool of primes, so that they share factors. */
export const emulationKeyModes = ['fresh', 'pool', 'primes'] as const
export type EmulationKeyMode = (typeof emulationKeyModes)[number]

export interface EmulationKeysOptions extends PoolOptions {
  readonly mode: EmulationKeyMode
  /** Sizes whose pools are there once this resolves. Default 2048 alone; the others are made when the first device asks for one. */
  readonly keyBits?: readonly RsaBits[]
}

/** Where the keys of one device are while no process has them. */
export interface KeptKeys {
  readonly vault: KeyVault
  /** Of the pools that this and earlier processes drew from for it. Nothing is counted of fresh keys. */
  readonly drawn: DrawCounts
}

export interface EmulationKeys {
  /** What every report of the run has to show; absent where keys are fresh. */
  readonly marking?: string
  /** The keys of the device at an index of [0, devices). The same provider for every caller: its keys last as long as this does. */
  forDevice(index: number): KeyStorageProvider
  /** The keys of that device, which are in `kept` and last as it does: another provider for each call, for one process at a time. */
  keptFor(index: number, kept: KeptKeys): KeyStorageProvider
  /** The next RSA key of that device's share, for what somebody else makes for it. A size that no pool has: `ERR_UNSUPPORTED`. */
  keyFor(index: number, bits: number): Promise<KeyObject>
}

const generatePair = promisify(generateKeyPair)
/** What every report of a run with such keys has to show. */
export const markings = { pool: 'key pool (insecure, emulation only)', primes: 'prime pool (insecure, emulation only)' } as const

/**
 * Keys for emulated devices, cheaper than fresh ones and no secret: for targets that `assertEmulationTarget` passes, and no others.
 *
 * No key and no pair of primes is given out twice in one run: device i has positions [i * keysPerDevice, (i + 1) * keysPerDevice) of each
 * pool and takes them in order. So its keys follow from pool, seed, index and how many it made before, whatever the sharding; shards open
 * the same files, which one of them made before. A device that has used up its share, and a kept pool that is too small for the run:
 * `ERR_LIMIT_EXCEEDED`. A file that is torn or foreign: `ERR_STATE_INVALID`. A disk that refuses: `ERR_STATE_IO`.
 */
export async function openEmulationKeys(options: EmulationKeysOptions): Promise<EmulationKeys> {
  const { mode, keyBits = [2048], keysPerDevice } = options
  if (mode === 'fresh') {
    return {
      forDevice: onceEach(options, () => softwareKeys()),
      keptFor: (_, { vault }) => softwareKeys(vault),
      keyFor: async (_, bits) => (await generatePair('rsa', { modulusLength: bits })).privateKey,
    }
  }
  const pools = new Map<RsaBits, Promise<KeyPool>>()
  const poolOf = (bits: RsaBits) => pools.get(bits) ?? keep(pools, bits, openPool(mode, bits, options))
  for (const bits of keyBits) await poolOf(bits)
  const marking = markings[mode]
  const drawnBy = memoryDraws()
  async function draw(index: number, bits: RsaBits, counts: DrawCounts): Promise<KeyObject> {
    const pool = await poolOf(bits)
    const count = counts.get(bits) ?? 0
    if (count >= keysPerDevice) throw usedUp(index, bits, keysPerDevice, marking)
    counts.set(bits, count + 1)
    return pool.keyAt(index * keysPerDevice + count)
  }
  return {
    marking,
    forDevice: onceEach(options, (index) => drawnKeys(marking, (bits) => draw(index, bits, drawnBy(index)))),
    keptFor(index, kept) {
      assertIndex(index, options)
      return drawnKeys(marking, (bits) => draw(index, bits, kept.drawn), kept.vault)
    },
    async keyFor(index, bits) {
      if (!isRsaSize(bits)) throw new AgentError('ERR_UNSUPPORTED', `the ${marking} makes no RSA-${bits} keys`)
      assertIndex(index, options)
      return draw(index, bits, drawnBy(index))
    },
  }
}

/** What each device has drawn in this process. */
function memoryDraws(): (index: number) => DrawCounts {
  const drawn = new Map<RsaBits, Map<number, number>>(rsaSizes.map((bits) => [bits, new Map()]))
  return (index) => ({
    get: (bits) => drawn.get(bits)?.get(index),
    set: (bits, count) => drawn.get(bits)?.set(index, count),
  })
}

function onceEach<T>(options: EmulationKeysOptions, make: (index: number) => T): (index: number) => T {
  const made = new Map<number, T>()
  return (index) => {
    assertIndex(index, options)
    const known = made.get(index) ?? make(index)
    made.set(index, known)
    return known
  }
}

function assertIndex(index: number, { devices }: EmulationKeysOptions): void {
  if (!Number.isInteger(index) || index < 0 || index >= devices) throw new RangeError(`no device ${index} of ${devices}`)
}

/** What failed is tried again by the next that asks. */
function keep<Key, Value>(promises: Map<Key, Promise<Value>>, key: Key, promise: Promise<Value>): Promise<Value> {
  promises.set(key, promise)
  promise.catch(() => promises.delete(key))
  return promise
}

function usedUp(index: number, bits: RsaBits, keysPerDevice: number, marking: string): AgentError {
  return new AgentError(
    'ERR_LIMIT_EXCEEDED',
    `device ${index} has used up its ${keysPerDevice} RSA-${bits} keys of the ${marking}: ` +
      'allow more keys a device; a kept pool that is too small then is named, and made anew once it is removed',
  )
}
