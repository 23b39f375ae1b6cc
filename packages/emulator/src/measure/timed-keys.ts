import type { KeyHandle, KeyProtection, KeyReadiness, KeyStorageProvider } from '@certfleet/agent-core'
import type { StepTimer } from './step-timer.ts'

type ImportingProvider = Required<KeyStorageProvider>

/** Keys that are made and imported are steps. */
export function timedKeys(provider: KeyStorageProvider, timer: StepTimer): KeyStorageProvider {
  return isImporting(provider) ? new TimedImportingKeys(provider, timer) : new TimedKeys(provider, timer)
}

const isImporting = (provider: KeyStorageProvider): provider is ImportingProvider => provider.import !== undefined

class TimedKeys<Provider extends KeyStorageProvider> implements KeyStorageProvider {
  protected readonly provider: Provider
  protected readonly timer: StepTimer

  constructor(provider: Provider, timer: StepTimer) {
    this.provider = provider
    this.timer = timer
  }

  get protection(): KeyProtection {
    return this.provider.protection
  }

  get name(): string {
    return this.provider.name
  }

  readiness(...given: Parameters<KeyStorageProvider['readiness']>): Promise<KeyReadiness> {
    return this.provider.readiness(...given)
  }

  generate(...given: Parameters<KeyStorageProvider['generate']>): Promise<KeyHandle> {
    return this.timer.time('keygen', () => this.provider.generate(...given))
  }

  open(label: string): Promise<KeyHandle | undefined> {
    return this.provider.open(label)
  }

  list(): Promise<readonly string[]> {
    return this.provider.list()
  }

  destroy(label: string): Promise<void> {
    return this.provider.destroy(label)
  }
}

class TimedImportingKeys extends TimedKeys<ImportingProvider> {
  import(...given: Parameters<ImportingProvider['import']>): Promise<KeyHandle> {
    return this.timer.time('keygen', () => this.provider.import(...given))
  }
}
