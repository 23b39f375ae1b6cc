import type { KeyObject } from 'node:crypto'
import {
  AgentError,
  describeSpec,
  type KeyHandle,
  type KeyReadiness,
  type KeySpec,
  type KeyStorageProvider,
  type KeyVault,
  type KeyWish,
  softwareKeys,
} from '@certfleet/agent-core'

/** The RSA keys that fleets ask for. */
export const rsaSizes = [1024, 2048, 4096] as const
export type RsaBits = (typeof rsaSizes)[number]

/** How many keys of each size a device has drawn. Where it outlasts the process, `set` does so before it returns. */
export interface DrawCounts {
  get(bits: RsaBits): number | undefined
  set(bits: RsaBits, count: number): unknown
}

type Importing = Required<KeyStorageProvider>

/**
 * Keys of one device, kept in `vault`, by default in this process's memory. `drawKey` gives the RSA keys, of 1024, 2048 and 4096 bits; a generate that fails because
 * another took its label meanwhile has used one up. P-256 and P-384 keys are made afresh: that is as cheap. Imports what software keys do.
 */
export function drawnKeys(name: string, drawKey: (bits: RsaBits) => Promise<KeyObject>, vault?: KeyVault): KeyStorageProvider {
  return new DrawnKeys(name, drawKey, softwareKeys(vault) as Importing)
}

/** A class: every device at rest has one. */
class DrawnKeys implements Importing {
  readonly protection = 'software'
  readonly name: string
  readonly #drawKey: (bits: RsaBits) => Promise<KeyObject>
  readonly #keys: Importing

  constructor(name: string, drawKey: (bits: RsaBits) => Promise<KeyObject>, keys: Importing) {
    this.name = name
    this.#drawKey = drawKey
    this.#keys = keys
  }

  async readiness(wish: KeyWish): Promise<KeyReadiness> {
    if (wish.isImport || isDrawn(wish.spec)) return this.#keys.readiness(wish)
    return { state: 'unsupported', message: unsupported(this.name, wish.spec) }
  }

  async generate(spec: KeySpec, label: string): Promise<KeyHandle> {
    if (spec.algorithm === 'ec') return this.#keys.generate(spec, label)
    if (!isRsaSize(spec.bits)) throw new AgentError('ERR_UNSUPPORTED', unsupported(this.name, spec))
    if (await this.#keys.open(label)) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
    return this.#keys.import(await this.#drawKey(spec.bits), label, { exportable: false })
  }

  import(...given: Parameters<Importing['import']>): Promise<KeyHandle> {
    return this.#keys.import(...given)
  }

  open(label: string): Promise<KeyHandle | undefined> {
    return this.#keys.open(label)
  }

  list(): Promise<readonly string[]> {
    return this.#keys.list()
  }

  destroy(label: string): Promise<void> {
    return this.#keys.destroy(label)
  }
}

const isDrawn = (spec: KeySpec): boolean => spec.algorithm === 'ec' || isRsaSize(spec.bits)
export const isRsaSize = (bits: number): bits is RsaBits => rsaSizes.some((size) => size === bits)

const unsupported = (name: string, spec: KeySpec): string => `the ${name} makes no ${describeSpec(spec)} keys`
