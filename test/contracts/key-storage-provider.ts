import type { KeyStorageProvider } from '@certfleet/agent-core'
import { keyStorageProviderContract as checksOf, type KeyContractOptions } from '@certfleet/agent-core/contracts'
import type { Test } from 'tap'

/** What every `KeyStorageProvider` and `KeyHandle` promises, one subtest a check. */
export async function keyStorageProviderContract(
  t: Test,
  make: () => Promise<KeyStorageProvider>,
  options: KeyContractOptions = {},
): Promise<void> {
  for (const { name, run } of checksOf(make, options)) await t.test(name, () => run())
}
