// A key storage of your own, held to what the agent expects of one. Run it: it is a test file of node:test.
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import { AgentError, type KeyHandle, type KeyStorageProvider } from '@certfleet/agent-core'
import { keyStorageProviderContract } from '@certfleet/agent-core/contracts'

/** Stands for your hardware: P-256 keys that sign and cannot unwrap. */
function myKeys(): KeyStorageProvider {
  const keys = new Map<string, KeyObject>()
  return {
    protection: 'pkcs11',
    name: 'my hardware',
    async readiness({ spec }) {
      if (spec.algorithm === 'ec' && spec.curve === 'P-256') return { state: 'ready' }
      return { state: 'unsupported', message: 'my hardware makes P-256 keys only' }
    },
    async generate(spec, label) {
      if (spec.algorithm !== 'ec' || spec.curve !== 'P-256') throw new AgentError('ERR_UNSUPPORTED', 'my hardware makes P-256 keys only')
      if (keys.has(label)) throw new AgentError('ERR_KEY_EXISTS', `my hardware has a key "${label}"`)
      keys.set(label, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
      return handle(keys, label)
    },
    open: async (label) => (keys.has(label) ? handle(keys, label) : undefined),
    list: async () => [...keys.keys()],
    destroy: async (label) => void keys.delete(label),
  }
}

/** Everything that has to do with the private key stays in the closure; the handle itself holds public facts. */
function handle(keys: ReadonlyMap<string, KeyObject>, label: string): KeyHandle {
  const key = keys.get(label) as KeyObject
  return {
    label,
    spec: { algorithm: 'ec', curve: 'P-256' },
    protection: 'pkcs11',
    publicKey: createPublicKey(key).export({ format: 'der', type: 'spki' }),
    async sign(data, hash) {
      if (keys.get(label) !== key) throw new AgentError('ERR_KEY_UNAVAILABLE', `my hardware has no key "${label}" any more`)
      return sign(hash, data, key)
    },
  }
}

for (const { name, run } of keyStorageProviderContract(async () => myKeys(), { spec: { algorithm: 'ec', curve: 'P-256' } })) {
  test(name, run)
}
