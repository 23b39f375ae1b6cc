/** What implementations of the ports must keep, as checks that any test runner can run. */
export { type ContractCheck, type KeyContractOptions, keyStorageProviderContract } from './key-storage-provider.ts'
