import type { Clock } from '@certfleet/agent-core'

/** A process that can be frozen and killed: everything that reaches it, the time too, does so while it is alive and awake alone. */
export interface SimulatedProcess {
  readonly name: string
  readonly clock: Clock
  /** The same, once it is awake; never, where it is dead. */
  reached<T>(given: Promise<T>): Promise<T>
  /** The same signal, as the process comes to know of it. */
  heard(signal: AbortSignal, delayMs: () => number): AbortSignal
  freeze(): void
  thaw(): void
  kill(): void
  readonly isDead: boolean
  /** Told to the others at once: its connections are closed. */
  readonly died: AbortSignal
}

export function simulatedProcess(name: string, world: Clock): SimulatedProcess {
  const died = new AbortController()
  let awake: Promise<void> | undefined
  let thaw = () => {}
  async function reached<T>(given: Promise<T>): Promise<T> {
    await given.catch(() => undefined)
    while (awake) await awake
    return died.signal.aborted ? never<T>() : given
  }
  return {
    name,
    clock: { now: () => world.now(), sleep: (ms, signal) => reached(world.sleep(ms, signal)) },
    reached,
    heard(signal, delayMs) {
      const heard = new AbortController()
      const hear = () => reached(world.sleep(delayMs())).then(() => heard.abort(signal.reason))
      if (signal.aborted) heard.abort(signal.reason)
      signal.addEventListener('abort', hear, { once: true })
      return heard.signal
    },
    freeze() {
      awake ??= new Promise((resolve) => {
        thaw = resolve
      })
    },
    thaw() {
      awake = undefined
      thaw()
    },
    kill: () => died.abort(new Error('killed')),
    get isDead() {
      return died.signal.aborted
    },
    died: died.signal,
  }
}

const never = <T>() => new Promise<T>(() => {})
