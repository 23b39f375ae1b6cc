export { adapt } from './adapt.ts'
export { type Agent, type AgentEvents, type AgentOptions, createAgent } from './agent.ts'
export type { Device } from './device.ts'
export {
  AgentError,
  type AgentErrorCode,
  type AgentErrorOptions,
  adviceByCode,
  type ErrorAdvice,
  type FixedBy,
  type Retry,
} from './errors.ts'
export {
  chooseKeyStorage,
  describeSpec,
  type KeyStorageChoice,
  type KeyStorageWish,
  protectionsByOption,
  type ReadinessByProtection,
} from './keys/choice.ts'
export { type FileKeysOptions, fileKeys } from './keys/file-vault.ts'
export type { KeySecret } from './keys/key-secret.ts'
export { formatKsp, type Ksp, parseKsp, protectionOf, tokenName } from './keys/ksp.ts'
export {
  type FolderKind,
  folderKinds,
  type KeyStorageOptions,
  keyFolder,
  type OpenedKeyStorage,
  openKeyStorage,
  type SecretNeed,
} from './keys/open.ts'
export {
  type GestureAnswer,
  type GesturePrompt,
  type ModelledPassport,
  modelledPassport,
  type PassportOptions,
  type PinProvisioning,
} from './keys/passport/passport.ts'
export { formatPkcs11Uri, type Pkcs11Address, parsePkcs11Address } from './keys/pkcs11/address.ts'
export { type Pkcs11Keys, type Pkcs11Options, pkcs11Keys } from './keys/pkcs11/provider.ts'
export { openKey } from './keys/placement.ts'
export { softwareKeyHandle, softwareKeys } from './keys/software.ts'
export { removeStoredKey, type StoredKey, storedKeys } from './keys/stored-keys.ts'
export type { KeyAttestation } from './keys/tpm/attestation.ts'
export {
  makesKey,
  noLatency,
  swtpmLatency,
  type TpmLatency,
  type TpmLockout,
  type TpmVersion,
  tpmKeySpecs,
  windowsLockout,
} from './keys/tpm/facts.ts'
export { type TpmManufacturer, tpmManufacturer } from './keys/tpm/manufacturer.ts'
export type { ModelledTpm, ModelledTpmOptions } from './keys/tpm/options.ts'
export { modelledTpm } from './keys/tpm/tpm.ts'
export { isKeyLabel, type KeyVault } from './keys/vault.ts'
export type * from './lifecycle.ts'
export {
  createCsr,
  formatName,
  type IssuedCheck,
  type PathRequest,
  type PathVerdict,
  parseDistinguishedName,
  verifyIssued,
  verifyPath,
} from './pki/index.ts'
export { type Action, type Held, isRootDeployed, type Kept, type Plan, planActions, type Reason } from './plan/plan.ts'
export {
  backoffBounds,
  backoffFirstMs,
  backoffMaxMs,
  backoffMinMs,
  jitterShareOfWindow,
  renewAt,
  renewalWindowMs,
} from './plan/schedule.ts'
export { filePolicyCache, memoryPolicyCache } from './policy/cache.ts'
export { maxPolicyBytes, maxPolicyProfiles, type PolicyDocument, parsePolicy, policySchemaVersion } from './policy/document.ts'
export { type ManagementIdentity, managementIdentity, managementKeyLabel } from './policy/management.ts'
export { connectPush, type PushChannel, type PushOptions } from './policy/push.ts'
export { nameLimits } from './policy/schema.ts'
export {
  type PolicyClientOptions,
  type PolicyService,
  policyService,
  type Registration,
  type RegistrationOptions,
  registerDevice,
} from './policy/service.ts'
export type { PolicyServiceOptions } from './policy/source.ts'
export type * from './ports.ts'
export { type Pass, reconcile } from './reconcile.ts'
export type { ActionResult, IssuanceState, KeptCertificate, ProfileStanding, ProfileStatus, Report, RootStatus } from './report.ts'
export type { CaCertificates } from './scep/ca-certificates.ts'
export type { ScepHabits, ScepTrust } from './scep/habits.ts'
export {
  type CertificateName,
  getCertificate,
  getCrl,
  nextCaCertificates,
  type ScepAnswer,
  type ScepIdentity,
} from './scep/inquiries.ts'
export type { ScepProtocolOptions } from './scep/operation.ts'
export { scepProtocol } from './scep/protocol.ts'
export { type Disk, systemDisk } from './state/disk.ts'
export { type FileState, type FileStateOptions, fileState } from './state/file.ts'
export { openStateFolder, type StateFolder } from './state/folder.ts'
export { type FileLock, lockFile } from './state/lock.ts'
export { memoryState } from './state/memory.ts'
export { admit } from './stores/admission.ts'
export { fileIdentities } from './stores/file-identities.ts'
export { fileStores } from './stores/file-stores.ts'
export { memoryIdentities, memoryStores } from './stores/memory.ts'
export { seededJitter, systemClock, systemJitter } from './system.ts'
export { type HandlerTransportOptions, handlerTransport } from './transport/handler.ts'
export type { LocalAddresses } from './transport/local-address.ts'
export type { ProxyServer } from './transport/proxy.ts'
export type { ClientIdentity, TlsTrust } from './transport/tls.ts'
export { type HttpTransport, type HttpTransportOptions, httpTransport } from './transport/undici.ts'
export * from './types.ts'
