import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { AgentError } from '../errors.ts'
import type { KeyHandle, KeyStorageProvider } from '../ports.ts'
import type { KeySpec } from '../types.ts'
import { describeSpec } from './choice.ts'
import { keyHandle, specOf } from './key-handle.ts'
import { assertKeyLabel, type KeyVault, keyExists, memoryVault } from './vault.ts'

const generatePair = promisify(generateKeyPair)
const noneMade: ReadonlyMap<string, Promise<KeyHandle>> = new Map()

/**
 * The software KSP (S29): keys made on the thread pool, RSA of 1024 to 8192 bits in steps of 8, P-256 and P-384.
 * They live where `vault` keeps them. Default: this process's memory, gone with it. Takes keys of these kinds that were made elsewhere.
 */
export function softwareKeys(vault: KeyVault = memoryVault()): KeyStorageProvider {
  const handles = new Map<string, Promise<KeyHandle | undefined>>()
  // A Map of its own only while there is something in it.
  let making: ReadonlyMap<string, Promise<KeyHandle>> = noneMade

  /** The same handle for every caller; what failed or is not there is asked for again. */
  async function load(label: string): Promise<KeyHandle | undefined> {
    const handle = vault.load(label).then((privateKey) => privateKey && softwareKeyHandle(privateKey, label))
    handles.set(label, handle)
    const forget = () => handles.get(label) === handle && handles.delete(label)
    handle.then((found) => found ?? forget(), forget)
    return handle
  }

  const opened = (label: string) => handles.get(label) ?? load(label)

  async function make(label: string, keyOf: () => Promise<KeyObject>): Promise<KeyHandle> {
    if (await opened(label)) throw keyExists(label)
    const privateKey = await keyOf()
    await vault.store(label, privateKey)
    const handle = softwareKeyHandle(privateKey, label)
    handles.set(label, Promise.resolve(handle))
    return handle
  }

  /** One at a time under a label. */
  function add(label: string, spec: KeySpec, keyOf: () => Promise<KeyObject>): Promise<KeyHandle> {
    assertKeyLabel(label)
    if (!supports(spec)) throw new AgentError('ERR_UNSUPPORTED', unsupported(spec))
    if (making.has(label)) throw keyExists(label)
    const made = make(label, keyOf).finally(() => {
      const others = [...making].filter(([other]) => other !== label)
      making = others.length > 0 ? new Map(others) : noneMade
    })
    making = new Map(making).set(label, made)
    return made
  }

  return {
    protection: 'software',
    name: `software KSP (${vault.medium})`,
    async readiness({ spec }) {
      return supports(spec) ? { state: 'ready' } : { state: 'unsupported', message: unsupported(spec) }
    },
    generate: async (spec, label) => add(label, spec, () => generatePrivateKey(spec)),
    import: async (privateKey, label) => add(label, specOf(privateKey), async () => privateKey),
    async open(label) {
      return (await settled(making.get(label))) ?? opened(label)
    },
    list: () => vault.list(),
    async destroy(label) {
      await settled(making.get(label))
      await vault.remove(label)
      handles.delete(label)
    },
  }
}

/** A handle on an RSA, P-256 or P-384 private key; any other kind: `ERR_UNSUPPORTED`. Nothing on it gives the key out. */
export function softwareKeyHandle(privateKey: KeyObject, label: string): KeyHandle {
  return keyHandle(privateKey, label, 'software')
}

/** A new key, made on the thread pool. */
export async function generatePrivateKey(spec: KeySpec): Promise<KeyObject> {
  const pair = spec.algorithm === 'rsa' ? generatePair('rsa', { modulusLength: spec.bits }) : generatePair('ec', { namedCurve: spec.curve })
  return (await pair).privateKey
}

function supports(spec: KeySpec): boolean {
  if (spec.algorithm === 'ec') return spec.curve === 'P-256' || spec.curve === 'P-384'
  return Number.isInteger(spec.bits) && spec.bits >= 1024 && spec.bits <= 8192 && spec.bits % 8 === 0
}

const unsupported = (spec: KeySpec): string => `the software KSP makes no ${describeSpec(spec)} keys`

/** The caller of `generate` hears why it failed; here only whether there is a key counts. */
async function settled(made: Promise<KeyHandle> | undefined): Promise<KeyHandle | undefined> {
  return made?.catch(() => undefined)
}
