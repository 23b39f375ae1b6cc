import type { KeyObject } from 'node:crypto'
import {
  AgentError,
  type KeyHandle,
  type KeyProtection,
  type KeyReadiness,
  type KeySpec,
  type KeyStorageProvider,
  type KeyWish,
} from '@certfleet/agent-core'

/** Where the key of a label was put; what is not in it is in software. */
export type PlacedKeys = Map<string, KeyProtection>

const names = {
  tpm: 'emulated TPM',
  passport: 'emulated Passport',
  pkcs11: 'emulated token',
} as const satisfies Record<Hardware, string>

/**
 * A storage of each protection over the keys of one that takes imports: what is made in one is listed, opened and destroyed by it alone.
 * They make what `keys` makes, are always ready, and share its labels: one that another has is taken, `ERR_KEY_EXISTS`. `placed` says where
 * each key is: that of a label is in it before the key is made.
 */
export function asProtections(
  keys: KeyStorageProvider,
  protections: readonly KeyProtection[],
  placed: PlacedKeys = new Map(),
): readonly KeyStorageProvider[] {
  if (protections.every((protection) => protection === 'software')) return [keys]
  return protections.map((protection) => (protection === 'software' ? new Besides(keys, placed) : new Under(protection, keys, placed)))
}

// Classes, and names that are made when they are asked for: every device at rest has a provider of each.

/** The keys that are in software. */
class Besides implements KeyStorageProvider {
  readonly #keys: KeyStorageProvider
  readonly #placed: PlacedKeys

  constructor(keys: KeyStorageProvider, placed: PlacedKeys) {
    this.#keys = keys
    this.#placed = placed
  }

  get protection(): KeyProtection {
    return this.#keys.protection
  }

  get name(): string {
    return this.#keys.name
  }

  async readiness(wish: KeyWish): Promise<KeyReadiness> {
    return this.#keys.readiness(wish)
  }

  async generate(spec: KeySpec, label: string): Promise<KeyHandle> {
    return this.#keys.generate(spec, label)
  }

  async import(privateKey: KeyObject, label: string, options: ImportOptions): Promise<KeyHandle> {
    return (this.#keys as Importing).import(privateKey, label, options)
  }

  async open(label: string): Promise<KeyHandle | undefined> {
    return this.#placed.has(label) ? undefined : this.#keys.open(label)
  }

  async list(): Promise<readonly string[]> {
    return (await this.#keys.list()).filter((label) => !this.#placed.has(label))
  }

  async destroy(label: string): Promise<void> {
    if (!this.#placed.has(label)) await this.#keys.destroy(label)
  }
}

class Under implements KeyStorageProvider {
  readonly protection: Hardware
  readonly #keys: KeyStorageProvider
  readonly #placed: PlacedKeys

  constructor(protection: Hardware, keys: KeyStorageProvider, placed: PlacedKeys) {
    this.protection = protection
    this.#keys = keys
    this.#placed = placed
  }

  get name(): string {
    return `${names[this.protection]}, ${this.#keys.name}`
  }

  async readiness(wish: KeyWish): Promise<KeyReadiness> {
    return wish.isExportable ? { state: 'unsupported', message: keepsItsKeys(this.name) } : this.#keys.readiness(wish)
  }

  async generate(spec: KeySpec, label: string): Promise<KeyHandle> {
    return placedUnder(this.protection, label, () => this.#keys.generate(spec, label), this.#keys, this.#placed)
  }

  async import(privateKey: KeyObject, label: string, options: ImportOptions): Promise<KeyHandle> {
    if (options.exportable) throw new AgentError('ERR_UNSUPPORTED', keepsItsKeys(this.name))
    const make = () => (this.#keys as Importing).import(privateKey, label, options)
    return placedUnder(this.protection, label, make, this.#keys, this.#placed)
  }

  async open(label: string): Promise<KeyHandle | undefined> {
    const handle = this.#isHere(label) ? await this.#keys.open(label) : undefined
    return handle && inHardware(this.protection, handle, this.#keys)
  }

  async list(): Promise<readonly string[]> {
    return (await this.#keys.list()).filter((label) => this.#isHere(label))
  }

  async destroy(label: string): Promise<void> {
    if (!this.#isHere(label)) return
    await this.#keys.destroy(label)
    this.#placed.delete(label)
  }

  #isHere(label: string): boolean {
    return this.#placed.get(label) === this.protection
  }
}

type Hardware = Exclude<KeyProtection, 'software'>
type Importing = Required<KeyStorageProvider>
type ImportOptions = Parameters<Importing['import']>[2]

async function placedUnder(
  protection: KeyProtection,
  label: string,
  make: () => Promise<KeyHandle>,
  keys: KeyStorageProvider,
  placed: PlacedKeys,
): Promise<KeyHandle> {
  // Of two that ask at once for one label the second sees what the first has put there meanwhile.
  if ((await keys.open(label)) || placed.has(label)) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
  placed.set(label, protection)
  try {
    return inHardware(protection, await make(), keys)
  } catch (error) {
    placed.delete(label)
    throw error
  }
}

/** Hardware uses no key that was destroyed, and none that came in its place. */
function inHardware(protection: KeyProtection, handle: KeyHandle, keys: KeyStorageProvider): KeyHandle {
  const { label, publicKey, unwrapKey } = handle
  const whileThere = async <T>(work: () => Promise<T>): Promise<T> => {
    const there = await keys.open(label)
    if (there && Buffer.compare(there.publicKey, publicKey) === 0) return work()
    throw new AgentError('ERR_KEY_UNAVAILABLE', `the key "${label}" is not there any more`)
  }
  return {
    ...handle,
    protection,
    sign: (data, hash) => whileThere(() => handle.sign(data, hash)),
    ...(unwrapKey && { unwrapKey: (wrapped, options) => whileThere(() => unwrapKey(wrapped, options)) }),
  }
}

const keepsItsKeys = (name: string): string => `the ${name} gives no key out again`
