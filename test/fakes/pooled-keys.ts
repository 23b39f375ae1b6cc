import type { KeyObject } from 'node:crypto'
import { AgentError, type KeyHandle, type KeyStorageProvider, softwareKeyHandle } from '@certfleet/agent-core'
import { rsaKey } from './rsa-keys.ts'

/** Keys made once, for tests that enrol hundreds of times. */
export async function makeKeyPool(count: number): Promise<readonly KeyObject[]> {
  return Array.from({ length: count }, rsaKey)
}

/** A key storage provider that takes its keys from a pool, in order, each once. */
export function pooledKeys(pool: readonly KeyObject[]): KeyStorageProvider {
  const keys = new Map<string, KeyHandle>()
  let next = 0
  return {
    protection: 'software',
    name: 'pooled keys',
    readiness: async () => ({ state: 'ready' }),
    async generate(_spec, label) {
      if (keys.has(label)) throw new AgentError('ERR_KEY_EXISTS', `key "${label}" exists`)
      const key = pool[next++]
      if (!key) throw new Error(`the pool of ${pool.length} keys is used up`)
      const handle = softwareKeyHandle(key, label)
      keys.set(label, handle)
      return handle
    },
    async import(privateKey, label) {
      if (keys.has(label)) throw new AgentError('ERR_KEY_EXISTS', `key "${label}" exists`)
      const handle = softwareKeyHandle(privateKey, label)
      keys.set(label, handle)
      return handle
    },
    async open(label) {
      return keys.get(label)
    },
    async list() {
      return [...keys.keys()]
    },
    async destroy(label) {
      keys.delete(label)
    },
  }
}
