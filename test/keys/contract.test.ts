import { softwareKeys } from '@certfleet/agent-core'
import t from 'tap'
import { keyStorageProviderContract } from '../contracts/key-storage-provider.ts'
import { makeKeyPool, pooledKeys } from '../fakes/pooled-keys.ts'

t.test('software keys', (t) => keyStorageProviderContract(t, async () => softwareKeys()))

t.test('the pool that tests take keys from', async (t) => {
  const pool = await makeKeyPool(1)
  await keyStorageProviderContract(t, async () => pooledKeys(pool))
})
