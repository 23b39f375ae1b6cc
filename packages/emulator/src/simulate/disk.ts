import { basename, dirname } from 'node:path'
import type { Disk } from '@certfleet/agent-core'

export interface SimulatedDisk extends Disk {
  /** Takes away what was not synced, as a power cut does. */
  cutPower(): void
}

interface File {
  bytes: Uint8Array
  synced: Uint8Array
}

class NoSpace extends Error {
  readonly code = 'ENOSPC'
}

/** The disk of one device: contents last once synced, names once their folder is. `isFull` refuses every write. */
export function simulatedDisk(isFull: () => boolean): SimulatedDisk {
  let names = new Map<string, File>()
  let lasting = new Map<string, File>()
  const inFolder = (folder: string, map: ReadonlyMap<string, File>) => [...map.keys()].filter((path) => dirname(path) === folder)
  return {
    read: async (path) => names.get(path)?.bytes,
    async write(path, bytes) {
      if (isFull()) throw new NoSpace('no space left on the simulated disk')
      names.set(path, { bytes: bytes.slice(), synced: new Uint8Array() })
    },
    async sync(path) {
      const file = names.get(path)
      if (file) file.synced = file.bytes
    },
    async rename(from, to) {
      const file = names.get(from)
      if (!file) throw new Error(`${from} is not on the simulated disk`)
      names.delete(from)
      names.set(to, file)
    },
    async syncFolder(folder) {
      for (const path of inFolder(folder, lasting)) lasting.delete(path)
      for (const path of inFolder(folder, names)) lasting.set(path, names.get(path) as File)
    },
    makeFolder: async () => {},
    list: async (folder) => inFolder(folder, names).map((path) => basename(path)),
    async remove(path) {
      names.delete(path)
    },
    cutPower() {
      names = new Map([...lasting].map(([path, { synced }]) => [path, { bytes: synced, synced }]))
      lasting = new Map(names)
    },
  }
}
