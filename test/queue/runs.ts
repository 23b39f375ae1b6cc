import { type FactOverrides, factOverrides } from '@certfleet/platforms'
import type { KeptDevice } from '#emulator/fleet/queue/keeping.ts'
import type { RunManifest, RunSubmission, ShardRecord, SharedOrders, WorkerFacts } from '#emulator/fleet/queue/shard-queue.ts'
import { nothingMeasured } from '../fakes/measured.ts'

/** A run of as many shards, with two devices each, for queues: everything that orders can be made of is in it. */
export function runOf(id: string, shards = 1, more: Partial<RunManifest> = {}): RunSubmission {
  return {
    manifest: {
      id,
      version: '1.2.3',
      seed: 7,
      devices: 2 * shards,
      platforms: { ios: 2 * shards },
      shards,
      histogram: 'microseconds, 3 digits',
      scenario: 'ab'.repeat(32),
      beginsTogether: false,
      submittedAt: 1_800_000_000_000,
      ...more,
    },
    shared: sharedOrders,
    shards: Array.from({ length: shards }, (_, shard) => ({
      name: `shard ${shard + 1}`,
      devices: [
        { spec: { id: `${id}-${shard}-0`, platform: 'ios', osVersion: '18.4' }, index: 2 * shard },
        // It never comes.
        { spec: { id: `${id}-${shard}-1`, platform: 'ios', osVersion: '18.4' }, index: 2 * shard + 1, dueMs: Number.POSITIVE_INFINITY },
      ],
      concurrency: 8,
    })),
  }
}

const overrides: FactOverrides = factOverrides({})

export const sharedOrders: SharedOrders = {
  seed: 7,
  target: { kind: 'policy', policyUrl: 'http://127.0.0.1:1/', registrationToken: 'token-of-the-run' },
  keys: { mode: 'primes', folder: '/pool', devices: 2, keysPerDevice: 1 },
  keyFiles: new Map([['primes', Uint8Array.of(0, 255, 10, 13)]]),
  overrides,
  legacyDes: false,
  legacySha1: false,
  hasSpans: false,
}

export const worker = (name: string): WorkerFacts => ({ name, host: 'here', cores: 2, node: 'v20.19.0' })

/** A record that is told from others by the index of its device. */
export const recordOf = (index: number, epoch = 1): ShardRecord => ({
  worker: 'a',
  epoch,
  news: [{ kind: 'repeated', steps: { register: index } }],
  underWay: { [index]: { keygen: 1 } },
})

/** A device under way, whose key is that one byte. */
export const keptDevice = (key: number): KeptDevice => ({
  records: new Map([
    ['key', Uint8Array.of(0, key, 255)],
    ['empty', new Uint8Array()],
  ]),
  measured: { ...nothingMeasured, histograms: { keygen: { ios: [1000, 1] } } },
  isThrough: false,
})
