import { dirname } from 'node:path'
import type { Disk } from '@certfleet/agent-core'

export class DiskFailure extends Error {
  readonly code = 'ENOSPC'
}

/** A disk in memory that loses at a power cut whatever was not synced: contents by file, names by folder. */
export class FakeDisk implements Disk {
  #names = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
  #lasting = new Map<string, { bytes: Uint8Array; synced: Uint8Array }>()
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
  }

  /** What a restart finds. `namesKept`: the system happened to write the folder before the cut. */
  cutPower(namesKept: boolean): void {
    const names = namesKept ? this.#names : this.#lasting
    this.#names = new Map([...names].map(([name, { synced }]) => [name, { bytes: synced, synced }]))
    this.#lasting = new Map(this.#names)
    this.stepsLeft = Number.POSITIVE_INFINITY
  }

  #step(): void {
    if (this.stepsLeft-- <= 0) throw new DiskFailure('no space left')
  }
}
