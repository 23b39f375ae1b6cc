import { AgentError, type KeyHandle, type KeyStorageProvider } from '@certfleet/agent-core'

/** Two storages over the keys of one that takes imports: what is made in the TPM is listed, opened and destroyed by it alone. */
export function besideTpm(keys: KeyStorageProvider): readonly [software: KeyStorageProvider, tpm: KeyStorageProvider] {
  const inTpm = new Set<string>()
  const software: KeyStorageProvider = {
    ...keys,
    open: async (label) => (inTpm.has(label) ? undefined : keys.open(label)),
    list: async () => (await keys.list()).filter((label) => !inTpm.has(label)),
    destroy: async (label) => (inTpm.has(label) ? undefined : keys.destroy(label)),
  }
  const importKey = keys.import as NonNullable<KeyStorageProvider['import']>
  const intoTpm = (handle: KeyHandle): KeyHandle => {
    inTpm.add(handle.label)
    return { ...handle, protection: 'tpm' }
  }
  const tpm: KeyStorageProvider = {
    ...keys,
    protection: 'tpm',
    name: `emulated TPM, ${keys.name}`,
    generate: async (spec, label) => intoTpm(await keys.generate(spec, label)),
    import: async (...given) => intoTpm(await importKey(...given)),
    open: async (label) => (inTpm.has(label) ? keys.open(label) : undefined),
    list: async () => [...inTpm],
    async destroy(label) {
      if (inTpm.delete(label)) await keys.destroy(label)
    },
  }
  return [software, tpm]
}

/** Hardware that, while `isBusy`, does nothing that it is asked for. */
export function busyWhile(provider: KeyStorageProvider, isBusy: () => boolean): KeyStorageProvider {
  const message = `${provider.name} is busy`
  const unlessBusy = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isBusy()) throw new AgentError('ERR_KEY_STORAGE_BUSY', message)
    return work()
  }
  const { import: importKey } = provider
  return {
    ...provider,
    readiness: async (wish) => (isBusy() ? { state: 'busy', message } : provider.readiness(wish)),
    generate: (spec, label) => unlessBusy(() => provider.generate(spec, label)),
    ...(importKey && { import: (...given) => unlessBusy(() => importKey(...given)) }),
    open: (label) => unlessBusy(() => provider.open(label)),
    list: () => unlessBusy(() => provider.list()),
    destroy: (label) => unlessBusy(() => provider.destroy(label)),
  }
}
