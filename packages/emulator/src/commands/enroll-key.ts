import { generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import {
  AgentError,
  type Clock,
  chooseKeyStorage,
  formatKsp,
  type KeyHandle,
  type KeyProtection,
  type KeySpec,
  type KeyStorageProvider,
  type KeyStorageReason,
  type Ksp,
  type OpenedKeyStorage,
  openKeyStorage,
  type SecretNeed,
  softwareKeyHandle,
} from '@certfleet/agent-core'
import { closeKeyStorage } from '../fleet/key-storage.ts'
import { InputError } from '../scenario/input-error.ts'

/** Where a key lives that goes to no file. */
export interface KeyStorageFacts {
  /** As `--ksp` names it. */
  readonly ksp: string
  readonly protection: KeyProtection
  readonly provider: string
  readonly reason: KeyStorageReason
  readonly label: string
  /** The key on its token, as other software names it (RFC 7512). */
  readonly uri?: string
}

/** The key of one enrolment. */
export interface EnrollmentKey {
  readonly handle: KeyHandle
  /** PKCS#8, DER; only of a key that goes to a file. */
  readonly pkcs8?: Uint8Array
  readonly storage?: KeyStorageFacts
  /** Ends a key that got no certificate, and returns what to tell of it. */
  discard(): Promise<string>
  close(): Promise<void>
}

export interface StoredKeyWish {
  readonly ksp: Ksp
  readonly spec: KeySpec
  /** Where the agent's state is. */
  readonly folder: string
  readonly secret: (need: SecretNeed) => Promise<string>
  readonly clock: Clock
}

const generatePair = promisify(generateKeyPair)
const reason = 'device-choice'

/** A key that is made here and written to a file. */
export async function makeFileKey(spec: KeySpec): Promise<EnrollmentKey> {
  const pair = spec.algorithm === 'rsa' ? generatePair('rsa', { modulusLength: spec.bits }) : generatePair('ec', { namedCurve: spec.curve })
  const { privateKey } = await pair
  return {
    handle: softwareKeyHandle(privateKey, 'enroll'),
    pkcs8: privateKey.export({ format: 'der', type: 'pkcs8' }),
    discard: async () => 'nothing was written',
    close: async () => {},
  }
}

/** A key that is made in its storage and stays there. What the storage never makes: `InputError`; what it cannot make now: its error. */
export async function makeStoredKey({ ksp, spec, folder, secret, clock }: StoredKeyWish): Promise<EnrollmentKey> {
  const storage = await openKeyStorage(ksp, { clock, folder, secret })
  try {
    await refuseUnready(storage, spec)
    const handle = await storage.generate(spec, `certfleet-${randomUUID()}`)
    return {
      handle,
      storage: { ksp: formatKsp(ksp), protection: storage.protection, provider: storage.name, reason, ...namesOf(handle.label, storage) },
      discard: () => destroyed(handle.label, storage),
      close: () => closeKeyStorage(storage),
    }
  } catch (error) {
    await closeKeyStorage(storage)
    throw error
  }
}

function namesOf(label: string, { uriOf }: OpenedKeyStorage): Pick<KeyStorageFacts, 'label' | 'uri'> {
  return uriOf ? { label, uri: uriOf(label) } : { label }
}

async function refuseUnready(storage: OpenedKeyStorage, spec: KeySpec): Promise<void> {
  const readiness = await storage.readiness({ spec, hash: 'sha256', multiFactor: false })
  if (readiness.state === 'unsupported') throw new InputError(`--ksp: ${readiness.message}; choose another key, or another key storage`)
  const { protection } = storage
  const choice = chooseKeyStorage({ option: 'useSoftwareKsp', deviceChoice: protection }, { [protection]: readiness })
  if (choice.outcome === 'use' || readiness.state === 'ready') return
  throw new AgentError(choice.code, readiness.message)
}

async function destroyed(label: string, storage: KeyStorageProvider): Promise<string> {
  try {
    await storage.destroy(label)
    return 'nothing was written, and its key was destroyed'
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return `nothing was written, but its key "${label}" is still in the ${storage.name} (${error.message}); "certfleet keys destroy" ends it`
  }
}
