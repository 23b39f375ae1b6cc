import { AgentError, type KeyStorageProvider } from '@certfleet/agent-core'

/** Hardware that, while `isBusy`, does nothing that it is asked for. */
export function busyWhile(provider: KeyStorageProvider, isBusy: () => boolean): KeyStorageProvider {
  const message = `${provider.name} is busy`
  const unlessBusy = async <T>(work: () => Promise<T>): Promise<T> => {
    if (isBusy()) throw new AgentError('ERR_KEY_STORAGE_BUSY', message)
    return work()
  }
  const { protection, name } = provider
  const isImporting = provider.import !== undefined
  return {
    protection,
    name,
    readiness: async (wish) => (isBusy() ? { state: 'busy', message } : provider.readiness(wish)),
    generate: (spec, label) => unlessBusy(() => provider.generate(spec, label)),
    ...(isImporting && { import: (...given) => unlessBusy(() => (provider as Required<KeyStorageProvider>).import(...given)) }),
    open: (label) => unlessBusy(() => provider.open(label)),
    list: () => unlessBusy(() => provider.list()),
    destroy: (label) => unlessBusy(() => provider.destroy(label)),
  }
}
