import { constants, createHash, generateKeyPairSync, type KeyObject, privateDecrypt } from 'node:crypto'
import {
  AgentError,
  type HashName,
  type KeyHandle,
  type KeyProtection,
  type KeySpec,
  type KeyStorageProvider,
  softwareKeyHandle,
  softwareKeys,
} from '@certfleet/agent-core'

export type Unwrap = NonNullable<KeyHandle['unwrapKey']>

/** The software KSP, but for what `change` puts in its place. */
export function but(change: (inner: KeyStorageProvider) => object): KeyStorageProvider {
  const inner = softwareKeys()
  return { ...inner, ...change(inner) }
}

/** The software KSP, its handles but for what `change` puts in their place. */
export function handlesBut(change: (handle: KeyHandle) => object): KeyStorageProvider {
  const changed = (handle: KeyHandle): KeyHandle => ({ ...handle, ...change(handle) })
  return but(({ generate, open }) => ({
    generate: async (spec: KeySpec, label: string) => changed(await generate(spec, label)),
    async open(label: string) {
      const handle = await open(label)
      return handle && changed(handle)
    },
  }))
}

/** Signing as `sign` does it. */
export function signsBy(sign: (genuine: KeyHandle['sign'], data: Uint8Array, hash: HashName) => Promise<Uint8Array>): KeyStorageProvider {
  return handlesBut((handle) => ({ sign: (data: Uint8Array, hash: HashName) => sign(handle.sign, data, hash) }))
}

/** Unwrapping as `unwrap` does it. */
export function unwrapsBy(unwrap: (genuine: Unwrap, ...given: Parameters<Unwrap>) => Promise<Uint8Array>): KeyStorageProvider {
  return handlesBut(({ unwrapKey }) => ({ unwrapKey: (...given: Parameters<Unwrap>) => unwrap(unwrapKey as Unwrap, ...given) }))
}

/** Unwrapping by whoever has the private key: `unwrap` gets the block that the ciphertext decrypts to. */
export function decryptsBy(unwrap: (block: Buffer, lengthBytes: number) => Uint8Array): KeyStorageProvider {
  return storing((key, label) => ({
    ...softwareKeyHandle(key, label),
    unwrapKey: async (wrapped, { lengthBytes }) => unwrap(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped), lengthBytes),
  }))
}

/** What follows the padding, wherever it ends; undefined where there is none. */
export function unpadded(block: Buffer): Buffer | undefined {
  const end = block.indexOf(0, 2)
  return block[0] === 0 && block[1] === 2 && end >= 10 ? block.subarray(end + 1) : undefined
}

/** The software KSP, but what a bad ciphertext becomes is `substitute`. */
export function rejectingBy(substitute: (wrapped: Uint8Array, lengthBytes: number) => Uint8Array): KeyStorageProvider {
  return storing((key, label) => ({
    ...softwareKeyHandle(key, label),
    async unwrapKey(wrapped, { lengthBytes }) {
      try {
        const secret = unpadded(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, wrapped))
        return secret?.length === lengthBytes ? secret : substitute(wrapped, lengthBytes)
      } catch {
        return substitute(wrapped, lengthBytes)
      }
    },
  }))
}

/** Keys of 1024 bits in a map, as handles that `handleOf` makes. */
export function storing(handleOf: (key: KeyObject, label: string) => KeyHandle): KeyStorageProvider {
  const handles = new Map<string, KeyHandle>()
  return but(({ generate }) => ({
    async generate(spec: KeySpec, label: string) {
      if (spec.algorithm !== 'rsa' || spec.bits !== 1024) return generate(spec, label)
      const handle = handleOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, label)
      handles.set(label, handle)
      return handle
    },
    open: async (label: string) => handles.get(label),
    list: async () => [...handles.keys()],
    destroy: async (label: string) => void handles.delete(label),
  }))
}

/** A storage that writes labels in a way of its own, and so takes some for each other. */
export function labelledBy(write: (label: string) => string): KeyStorageProvider {
  return but(({ generate, open, destroy }) => {
    const labels = new Map<string, string>()
    return {
      async generate(spec: KeySpec, label: string) {
        const handle = await generate(spec, write(label))
        labels.set(write(label), label)
        return { ...handle, label }
      },
      async open(label: string) {
        const handle = await open(write(label))
        return handle && { ...handle, label: labels.get(write(label)) as string }
      },
      list: async () => [...labels.values()],
      async destroy(label: string) {
        labels.delete(write(label))
        await destroy(write(label))
      },
    }
  })
}

/** A label that is taken is no obstacle. */
export function overwriting(): KeyStorageProvider {
  return but(({ generate, destroy }) => ({
    async generate(spec: KeySpec, label: string) {
      await destroy(label)
      return generate(spec, label)
    },
  }))
}

/** Looks whether the label is free, and takes it once the key is made. */
export function takingLate(): KeyStorageProvider {
  return but(({ generate, open }) => {
    const made = new Map<string, KeyHandle>()
    return {
      async generate(spec: KeySpec, label: string) {
        if (made.has(label)) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
        const handle = await generate(spec, `${label}${Math.random()}`)
        made.set(label, { ...handle, label })
        return made.get(label)
      },
      open: async (label: string) => made.get(label) ?? open(label),
      list: async () => [...made.keys()],
      destroy: async (label: string) => void made.delete(label),
    }
  })
}

/** Signing finds the key by its label, and says when there is none or, where it `knows`, another one. Unwrapping never asks. */
export function findingByLabel(protection: KeyProtection, knows: boolean): KeyStorageProvider {
  return but(({ generate, open }) => ({
    protection,
    async generate(spec: KeySpec, label: string) {
      const handle = await generate(spec, label)
      const sign = async (data: Uint8Array, hash: HashName) => {
        const found = await open(label)
        if (!found || (knows && found.publicKey !== handle.publicKey))
          throw new AgentError('ERR_KEY_UNAVAILABLE', `no key "${label}" any more`)
        return found.sign(data, hash)
      }
      return { ...handle, protection, sign }
    },
  }))
}

export const digestOf = (hash: string, data: Uint8Array): Buffer => createHash(hash).update(data).digest()
