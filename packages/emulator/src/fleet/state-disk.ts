import type { Disk } from '@certfleet/agent-core'
import type { DeviceRecords } from './state-records.ts'

/**
 * The records as files, for what keeps a file by writing another beside it and renaming that: it is one transaction, and a file that has
 * not been renamed is nowhere. Paths are `<root>/<device>/<name>`; folders are always there.
 */
export function recordsDisk(records: DeviceRecords, root: string): Disk {
  const unfinished = new Map<string, Uint8Array>()
  const parts = (path: string) => path.slice(root.length + 1).split('/') as [device: string, name: string]
  return {
    read: async (path) => records.get(...parts(path)),
    async write(path, bytes) {
      unfinished.set(path, bytes)
    },
    sync: async () => {},
    async rename(from, to) {
      const bytes = unfinished.get(from)
      unfinished.delete(from)
      if (!bytes) throw new Error(`${from} was not written`)
      records.put(...parts(to), bytes)
    },
    syncFolder: async () => {},
    makeFolder: async () => {},
    list: async (folder) => records.names(...parts(`${folder}/`)),
    async remove(path) {
      records.remove(...parts(path))
    },
  }
}
