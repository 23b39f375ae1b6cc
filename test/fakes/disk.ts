import { basename, dirname, sep } from 'node:path'
import type { Disk, FileLock } from '@certfleet/agent-core'

export class DiskFailure extends Error {
  readonly code = 'ENOSPC'
}

/** A disk in memory that loses at a power cut whatever was not synced: contents by file, names by folder. */
export class FakeDisk implements Disk {
  #names = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
  #lasting = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
  /** Only the folders that were made here can be lost; every other is taken to be there. */
  #folders = new Set<string>()
  #lastingFolders = new Set<string>()
  /** The step from which on every step fails without effect; counts down. */
  stepsLeft = Number.POSITIVE_INFINITY

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#names.get(path)?.bytes
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    this.#step()
    this.#names.set(path, { bytes: bytes.slice(), synced: new Uint8Array() })
  }

  async sync(path: string): Promise<void> {
    this.#step()
    const file = this.#names.get(path)
    if (file) file.synced = file.bytes
  }

  async rename(from: string, to: string): Promise<void> {
    this.#step()
    const file = this.#names.get(from)
    if (!file) throw new Error(`${from} is not there`)
    this.#names.delete(from)
    this.#names.set(to, file)
  }

  async syncFolder(path: string): Promise<void> {
    this.#step()
    for (const name of [...this.#lasting.keys()]) if (dirname(name) === path) this.#lasting.delete(name)
    for (const [name, file] of this.#names) if (dirname(name) === path) this.#lasting.set(name, file)
    for (const folder of this.#folders) if (dirname(folder) === path) this.#lastingFolders.add(folder)
  }

  async makeFolder(path: string): Promise<void> {
    this.#step()
    this.#folders.add(path)
  }

  async list(folder: string): Promise<readonly string[] | undefined> {
    const inside = [...this.#names.keys()].filter((name) => dirname(name) === folder)
    return inside.length > 0 || this.#folders.has(folder) ? inside.map((name) => basename(name)) : undefined
  }

  async remove(path: string): Promise<void> {
    this.#step()
    this.#names.delete(path)
  }

  /** What a restart finds. `namesKept`: the system happened to write the folder before the cut. */
  cutPower(namesKept: boolean): void {
    const lost = namesKept ? [] : [...this.#folders].filter((folder) => !this.#lastingFolders.has(folder))
    const names = [...(namesKept ? this.#names : this.#lasting)].filter(([name]) => !lost.some((folder) => name.startsWith(folder + sep)))
    this.#names = new Map(names.map(([name, { synced }]) => [name, { bytes: synced, synced }]))
    this.#lasting = new Map(this.#names)
    for (const folder of lost) this.#folders.delete(folder)
    this.#lastingFolders = new Set(this.#folders)
    this.stepsLeft = Number.POSITIVE_INFINITY
  }

  #step(): void {
    if (this.stepsLeft-- <= 0) throw new DiskFailure('no space left')
  }
}

/** A disk whose steps, reads too, all fail from one on, with any code of the system's. */
export interface FaultyDisk extends Disk {
  /** `count`: how many fail. Default: every one until `heal`. */
  failAfter(steps: number, code: string, count?: number): void
  /** How many have failed since. */
  failed(): number
  heal(): void
}

export function faultyDisk(disk: Disk): FaultyDisk {
  let fault: { steps: number; readonly code: string; count: number } | undefined
  let failed = 0
  const step = () => {
    if (!fault || fault.steps-- > 0 || fault.count-- <= 0) return
    failed++
    throw Object.assign(new Error('the disk refuses'), { code: fault.code })
  }
  const members = Object.entries(methodsOf(disk)).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      step()
      return method(...args)
    },
  ])
  return {
    ...(Object.fromEntries(members) as unknown as Disk),
    failAfter(steps, code, count = Number.POSITIVE_INFINITY) {
      fault = { steps, code, count }
      failed = 0
    },
    failed: () => failed,
    heal() {
      fault = undefined
    },
  }
}

const steps = ['read', 'write', 'sync', 'rename', 'syncFolder', 'makeFolder', 'list', 'remove'] as const

function methodsOf(disk: Disk): Record<string, (...args: unknown[]) => unknown> {
  return Object.fromEntries(steps.map((name) => [name, (...args: unknown[]) => Reflect.apply(disk[name], disk, args)]))
}

/** How a process ends: what was not synced stays, is lost, or is lost but for the names. */
export const endings: readonly (readonly [string, (disk: FakeDisk) => void])[] = [
  ['the process is killed', (disk) => (disk.stepsLeft = Number.POSITIVE_INFINITY)],
  ['the power is cut, names lost', (disk) => disk.cutPower(false)],
  ['the power is cut, names kept', (disk) => disk.cutPower(true)],
]

/** For a disk that no other process sees. */
export async function unlocked(): Promise<FileLock> {
  return { assertHeld() {}, async release() {} }
}
