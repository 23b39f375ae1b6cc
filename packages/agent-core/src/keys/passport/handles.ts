import { AgentError } from '../../errors.ts'
import type { KeyHandle } from '../../ports.ts'
import { keyHandle } from '../key-handle.ts'
import type { KeyVault } from '../vault.ts'
import { passportHashes } from './facts.ts'
import type { GestureGate } from './gesture.ts'
import type { ContainerKeys } from './keys.ts'
import { passportSpec, signsWith } from './readiness.ts'

export interface ContainerHandles {
  /** A handle that knows its public key, and asks for a gesture where its use needs one. */
  of(label: string, publicKey: Uint8Array): KeyHandle
  /** The key is gone, or all are. */
  forget(label?: string): void
}

export function containerHandles(keys: ContainerKeys, gate: GestureGate, assertEnabled: () => void): ContainerHandles {
  /** What was used before; behind the gesture like the rest. */
  const used = new Map<string, Promise<KeyHandle | undefined>>()

  async function load(vault: KeyVault, label: string): Promise<KeyHandle | undefined> {
    const key = await vault.load(label)
    return key && keyHandle(key, label, 'passport')
  }

  /** The key itself. A key that is gone asks for no gesture. */
  async function use(label: string, publicKey: Uint8Array): Promise<KeyHandle> {
    assertEnabled()
    if (!used.has(label) && !isSame(await keys.publicKey(label), publicKey)) throw gone(label)
    const vault = await gate.use()
    const loading = used.get(label) ?? load(vault, label)
    used.set(label, loading)
    const handle = await loading.catch((error) => {
      used.delete(label)
      throw error
    })
    if (!handle) used.delete(label)
    if (!isSame(handle?.publicKey, publicKey)) throw gone(label)
    return handle as KeyHandle
  }

  return {
    of: (label, publicKey) => ({
      label,
      spec: passportSpec,
      protection: 'passport',
      publicKey,
      hashes: passportHashes,
      async sign(data, hash) {
        if (!signsWith(hash)) throw new AgentError('ERR_UNSUPPORTED', `a Passport key does not sign with ${hash}`)
        return (await use(label, publicKey)).sign(data, hash)
      },
      async unwrapKey(wrapped, options) {
        const { unwrapKey } = await use(label, publicKey)
        if (!unwrapKey) throw new AgentError('ERR_UNSUPPORTED', `key "${label}" unwraps nothing`)
        return unwrapKey(wrapped, options)
      },
    }),
    forget(label) {
      if (label === undefined) used.clear()
      else used.delete(label)
    },
  }
}

function isSame(found: Uint8Array | undefined, expected: Uint8Array): boolean {
  return found !== undefined && Buffer.compare(found, expected) === 0
}

function gone(label: string): AgentError {
  return new AgentError('ERR_KEY_UNAVAILABLE', `key "${label}" is not in the Passport container any more`)
}
