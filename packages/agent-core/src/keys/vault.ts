import type { KeyObject } from 'node:crypto'
import { AgentError } from '../errors.ts'

/**
 * Where a provider that makes keys in this process keeps them. It hands private keys out, so it stays between the providers of this room;
 * nothing else may hold one.
 */
export interface KeyVault {
  /** `memory` ends with the process. */
  readonly medium: 'memory' | 'disk'
  /** Labels, in no order. */
  list(): Promise<readonly string[]>
  load(label: string): Promise<KeyObject | undefined>
  /** Durable once it resolves. A label that is taken: `ERR_KEY_EXISTS`; one that is no label: `ERR_UNSUPPORTED`. */
  store(label: string, privateKey: KeyObject): Promise<void>
  /** Removing what is not there is not an error. */
  remove(label: string): Promise<void>
}

/** Keys in this process's memory, gone with it. */
export function memoryVault(): KeyVault {
  const keys = new Map<string, KeyObject>()
  return {
    medium: 'memory',
    list: async () => [...keys.keys()],
    load: async (label) => keys.get(label),
    async store(label, privateKey) {
      assertKeyLabel(label)
      if (keys.has(label)) throw keyExists(label)
      keys.set(label, privateKey)
    },
    async remove(label) {
      keys.delete(label)
    },
  }
}

export function isKeyLabel(label: string): boolean {
  return /^[\x20-\x7e]{1,128}$/.test(label)
}

/** Throws `ERR_UNSUPPORTED` for what is not a key label (ports.ts). */
export function assertKeyLabel(label: string): void {
  if (!isKeyLabel(label)) throw new AgentError('ERR_UNSUPPORTED', 'a key label is 1 to 128 printable ASCII characters')
}

export function keyExists(label: string): AgentError {
  return new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
}
