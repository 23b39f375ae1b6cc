import type { KeyObject } from 'node:crypto'
import { AgentError, describeSpec, type KeySpec, type KeyStorageProvider, type KeyVault, softwareKeys } from '@certfleet/agent-core'

/** The RSA keys that fleets ask for. */
export const rsaSizes = [1024, 2048, 4096] as const
export type RsaBits = (typeof rsaSizes)[number]

/** How many keys of each size a device has drawn. Where it outlasts the process, `set` does so before it returns. */
export interface DrawCounts {
  get(bits: RsaBits): number | undefined
  set(bits: RsaBits, count: number): unknown
}

type ImportKey = NonNullable<KeyStorageProvider['import']>

/**
 * Keys of one device, kept in `vault`, by default in this process's memory. `drawKey` gives the RSA keys, of 1024, 2048 and 4096 bits; a generate that fails because
 * another took its label meanwhile has used one up. P-256 and P-384 keys are made afresh: that is as cheap. Imports what software keys do.
 */
export function drawnKeys(name: string, drawKey: (bits: RsaBits) => Promise<KeyObject>, vault?: KeyVault): KeyStorageProvider {
  const keys = softwareKeys(vault)
  const importKey = keys.import as ImportKey
  return {
    ...keys,
    name,
    async readiness(wish) {
      return wish.isImport || isDrawn(wish.spec) ? keys.readiness(wish) : { state: 'unsupported', message: unsupported(name, wish.spec) }
    },
    async generate(spec, label) {
      if (spec.algorithm === 'ec') return keys.generate(spec, label)
      if (!isRsaSize(spec.bits)) throw new AgentError('ERR_UNSUPPORTED', unsupported(name, spec))
      if (await keys.open(label)) throw new AgentError('ERR_KEY_EXISTS', `a key with label "${label}" exists`)
      return importKey(await drawKey(spec.bits), label, { exportable: false })
    },
  }
}

const isDrawn = (spec: KeySpec): boolean => spec.algorithm === 'ec' || isRsaSize(spec.bits)
export const isRsaSize = (bits: number): bits is RsaBits => rsaSizes.some((size) => size === bits)

const unsupported = (name: string, spec: KeySpec): string => `the ${name} makes no ${describeSpec(spec)} keys`
