import { AgentError, type KeyHandle, type KeyProtection, type KeyStorageProvider } from '@certfleet/agent-core'

/** Where the key of a label was put; what is not in it is in software. */
export type PlacedKeys = Map<string, KeyProtection>

const names = {
  tpm: 'emulated TPM',
  passport: 'emulated Passport',
  pkcs11: 'emulated token',
} as const satisfies Record<Exclude<KeyProtection, 'software'>, string>

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
  return protections.map((protection) => (protection === 'software' ? besides(keys, placed) : under(protection, keys, placed)))
}

/** The keys that are in software. */
function besides(keys: KeyStorageProvider, placed: PlacedKeys): KeyStorageProvider {
  return {
    ...keys,
    open: async (label) => (placed.has(label) ? undefined : keys.open(label)),
    list: async () => (await keys.list()).filter((label) => !placed.has(label)),
    destroy: async (label) => (placed.has(label) ? undefined : keys.destroy(label)),
  }
}

function under(protection: Exclude<KeyProtection, 'software'>, keys: KeyStorageProvider, placed: PlacedKeys): KeyStorageProvider {
  const name = `${names[protection]}, ${keys.name}`
  const add = (label: string, make: () => Promise<KeyHandle>) => placedUnder(protection, label, make, keys, placed)
  return {
    protection,
    name,
    readiness: async (wish) => (wish.isExportable ? { state: 'unsupported', message: keepsItsKeys(name) } : keys.readiness(wish)),
    generate: (spec, label) => add(label, () => keys.generate(spec, label)),
    async import(privateKey, label, options) {
      if (options.exportable) throw new AgentError('ERR_UNSUPPORTED', keepsItsKeys(name))
      return add(label, () => (keys.import as ImportKey)(privateKey, label, options))
    },
    async open(label) {
      const handle = placed.get(label) === protection ? await keys.open(label) : undefined
      return handle && inHardware(protection, handle, keys)
    },
    list: async () => (await keys.list()).filter((label) => placed.get(label) === protection),
    async destroy(label) {
      if (placed.get(label) !== protection) return
      await keys.destroy(label)
      placed.delete(label)
    },
  }
}

type ImportKey = NonNullable<KeyStorageProvider['import']>

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
