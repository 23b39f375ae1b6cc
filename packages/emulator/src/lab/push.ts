/** One device's end of its push connection. */
export interface PushListener {
  send(text: string): void
  /** The lab ends it: the credential is no longer good. */
  close(): void
}

export interface PushHub {
  /** Returns what ends the subscription. */
  subscribe(deviceId: string, listener: PushListener): () => void
  /** Sends a wake-up to each connection of the device; returns how many. */
  wake(deviceId: string): number
  /** Ends all connections of the device. */
  drop(deviceId: string): void
  connected(): readonly string[]
}

const wakeMessage = JSON.stringify({ type: 'wake' })

export function pushHub(): PushHub {
  const byDevice = new Map<string, Set<PushListener>>()
  return {
    subscribe(deviceId, listener) {
      const listeners = byDevice.get(deviceId) ?? new Set()
      byDevice.set(deviceId, listeners.add(listener))
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0 && byDevice.get(deviceId) === listeners) byDevice.delete(deviceId)
      }
    },
    wake(deviceId) {
      const listeners = [...(byDevice.get(deviceId) ?? [])]
      for (const listener of listeners) listener.send(wakeMessage)
      return listeners.length
    },
    drop(deviceId) {
      const listeners = [...(byDevice.get(deviceId) ?? [])]
      byDevice.delete(deviceId)
      for (const listener of listeners) listener.close()
    },
    connected: () => [...byDevice.keys()],
  }
}
