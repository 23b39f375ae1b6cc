import type { KeyObject } from 'node:crypto'
import { AgentError } from '../../errors.ts'
import type { KeyHandle, UnwrapPadding } from '../../ports.ts'
import type { KeySpec } from '../../types.ts'
import { keyHandle } from '../key-handle.ts'
import { keyExists } from '../vault.ts'
import type { TpmDevice } from './device.ts'
import { latencyOf, type TpmLatency } from './facts.ts'
import type { TpmStorage } from './storage.ts'

export interface TpmKeysParts {
  /** Of the TPM. */
  readonly name: string
  readonly device: TpmDevice
  readonly latency: TpmLatency
  readonly paddings: readonly UnwrapPadding[]
  readonly makeKey: (spec: KeySpec) => Promise<KeyObject>
}

/** The keys of one TPM. What takes a `TpmStorage` is part of a command. */
export interface TpmKeys {
  /** `ERR_KEY_STORAGE_FULL` where there is no room for one more. */
  assertRoom(storage: TpmStorage): Promise<void>
  generate(storage: TpmStorage, spec: KeySpec, label: string): Promise<KeyHandle>
  /** Takes in a key that was made elsewhere, and remembers that it was. */
  import(storage: TpmStorage, privateKey: KeyObject, label: string): Promise<KeyHandle>
  open(storage: TpmStorage, label: string): Promise<KeyHandle | undefined>
  destroy(storage: TpmStorage, label: string): Promise<void>
  /** A key that was made here. No such key: `ERR_KEY_UNAVAILABLE`; one that was imported: `ERR_UNSUPPORTED`. */
  requireOwn(storage: TpmStorage, label: string): Promise<KeyHandle>
  /** The handles that are out there are of no more use. */
  forget(): void
}

export function tpmKeys({ name, device, latency, paddings, makeKey }: TpmKeysParts): TpmKeys {
  /** Keys in use, from within: using one is no command yet. What is not here may be in the storage. */
  const inside = new Map<string, KeyHandle>()

  const gone = (label: string) => new AgentError('ERR_KEY_UNAVAILABLE', `the ${name} holds no such key "${label}"`)

  function keep(privateKey: KeyObject, label: string): KeyHandle {
    const key = keyHandle(privateKey, label, 'tpm')
    inside.set(label, key)
    return key
  }

  async function load(storage: TpmStorage, label: string): Promise<KeyHandle | undefined> {
    const privateKey = inside.has(label) ? undefined : await storage.vault.load(label)
    return privateKey ? keep(privateKey, label) : inside.get(label)
  }

  /** What the outside holds: every use of it is a command. A key made later under the same label is another one. */
  function handle(key: KeyHandle): KeyHandle {
    const { label, spec, protection, publicKey, sign, unwrapKey } = key
    const { signMs, unwrapMs } = latencyOf(spec, latency)
    const use = <T>(ms: number, work: () => Promise<T>) =>
      device.run({ authorization: true }, async () => {
        if (inside.get(label) !== key) throw gone(label)
        return device.take(ms, work)
      })
    return {
      label,
      spec,
      protection,
      publicKey,
      sign: (data, hash) => use(signMs, () => sign(data, hash)),
      ...(unwrapKey && {
        async unwrapKey(wrapped, how) {
          if (!paddings.includes(how.padding)) throw new AgentError('ERR_UNSUPPORTED', `the ${name} unwraps no ${how.padding}`)
          // A copy: the memory around a small Buffer is shared with whatever else this process has handled.
          return use(unwrapMs, async () => Uint8Array.from(await unwrapKey(wrapped, how)))
        },
      }),
    }
  }

  async function assertRoom({ vault }: TpmStorage): Promise<void> {
    const { slots } = device.conditions()
    if ((await vault.list()).length >= slots)
      throw new AgentError('ERR_KEY_STORAGE_FULL', `the ${name} is full: it has no free one of ${slots} key slots`)
  }

  /** Noted before the key is there: after a crash in between, nothing under that label claims an origin that it does not have. */
  async function noteOrigin(storage: TpmStorage, label: string, origin: 'here' | 'elsewhere'): Promise<void> {
    const imported = new Set(storage.imported())
    const isNews = origin === 'here' ? imported.delete(label) : imported.size < imported.add(label).size
    if (isNews) await storage.saveImported(imported)
  }

  return {
    assertRoom,
    async generate(storage, spec, label) {
      if (await load(storage, label)) throw keyExists(label)
      await assertRoom(storage)
      await noteOrigin(storage, label, 'here')
      const privateKey = await device.take(latencyOf(spec, latency).generateMs, () => makeKey(spec))
      await storage.vault.store(label, privateKey)
      return handle(keep(privateKey, label))
    },
    async import(storage, privateKey, label) {
      if (await load(storage, label)) throw keyExists(label)
      await assertRoom(storage)
      await noteOrigin(storage, label, 'elsewhere')
      await storage.vault.store(label, privateKey)
      return handle(keep(privateKey, label))
    },
    async open(storage, label) {
      const key = await load(storage, label)
      return key && handle(key)
    },
    async destroy(storage, label) {
      await storage.vault.remove(label)
      inside.delete(label)
      await noteOrigin(storage, label, 'here')
    },
    async requireOwn(storage, label) {
      const key = await load(storage, label)
      if (!key) throw gone(label)
      if (storage.imported().has(label))
        throw new AgentError('ERR_UNSUPPORTED', `the ${name} did not make key "${label}", which was imported`)
      return key
    },
    forget: () => inside.clear(),
  }
}
