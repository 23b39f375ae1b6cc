import { deepEqual } from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import type { KeyHandle, KeyStorageProvider } from '../ports.ts'
import type { KeySpec } from '../types.ts'

/** The provider under test and the keys that the checks made in it. */
export interface Bench {
  readonly spec: KeySpec
  /** Made once, when a check first asks. */
  provider(): Promise<KeyStorageProvider>
  /** The key under `label`, made unless an earlier check left it there. */
  key(label: string): Promise<KeyHandle>
  /** Calls `generate`, and sees to it that whatever it makes is destroyed. */
  generate(label: string, spec?: KeySpec): Promise<KeyHandle>
  /** Calls `import`, where there is one, under the same care. */
  import(label: string, privateKey: KeyObject): Promise<KeyHandle | undefined>
  destroy(label: string): Promise<void>
  /** Asserts that `list` tells the keys that were there before and those that the checks made, each once. */
  listsItsKeys(message: string): Promise<void>
  /** A label of one character that no key has. */
  shortLabel(): Promise<string>
  /** Destroys every key that the checks made. One that stays does not keep the others; then it rejects. */
  clear(): Promise<void>
}

/** One line of the suite: its name, and what it does with the provider. */
export type BenchCheck = readonly [name: string, check: (bench: Bench) => Promise<void>]

const prefix = 'certfleet contract: '
export const firstLabel: string = `${prefix}first`
export const secondLabel: string = `${prefix}second`
export const importedLabel: string = `${prefix}imported`
export const unknownLabel: string = `${prefix}unknown`

export function createBench(make: () => Promise<KeyStorageProvider>, spec: KeySpec): Bench {
  let prepared: Promise<{ provider: KeyStorageProvider; before: readonly string[] }> | undefined
  const handles = new Map<string, KeyHandle>()
  /** Keys that there are or may be. */
  const touched = new Set<string>()
  const prepare = () => {
    prepared ??= cleaned(make)
    return prepared
  }
  const bench: Bench = {
    spec,
    provider: async () => (await prepare()).provider,
    key: async (label) => handles.get(label) ?? bench.generate(label),
    async generate(label, asked = spec) {
      const { provider } = await prepare()
      touched.add(label)
      const handle = await provider.generate(asked, label)
      handles.set(label, handle)
      return handle
    },
    async import(label, privateKey) {
      const { provider } = await prepare()
      touched.add(label)
      const handle = await provider.import?.(privateKey, label, { exportable: false })
      if (handle) handles.set(label, handle)
      return handle
    },
    async destroy(label) {
      await (await prepare()).provider.destroy(label)
      handles.delete(label)
      touched.delete(label)
    },
    async listsItsKeys(message) {
      const { provider, before } = await prepare()
      deepEqual([...(await provider.list())].sort(), [...before, ...handles.keys()].sort(), message)
    },
    async shortLabel() {
      const { before } = await prepare()
      return [...'kxyz0123456789'].find((label) => !before.includes(label)) ?? '~'
    },
    async clear() {
      let failure: Promise<void> | undefined
      for (const label of [...touched]) {
        const destroyed = bench.destroy(label)
        await destroyed.catch(() => {
          failure ??= destroyed
        })
      }
      await failure
    },
  }
  return bench
}

/** Without the keys of a run that was killed. */
async function cleaned(make: () => Promise<KeyStorageProvider>): Promise<{ provider: KeyStorageProvider; before: readonly string[] }> {
  const provider = await make()
  const found = await provider.list()
  for (const label of found) if (label.startsWith(prefix)) await provider.destroy(label)
  return { provider, before: found.filter((label) => !label.startsWith(prefix)) }
}
