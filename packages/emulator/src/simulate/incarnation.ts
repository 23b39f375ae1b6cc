import type { Clock, Instant } from '@certfleet/agent-core'
import type { Timeline } from './timeline.ts'

/**
 * One life of a device's process, from its start to its crash. All that it waits for is virtual: while it computes, on the thread pool too,
 * nothing else happens, so that the order of things never depends on the machine.
 */
export interface Incarnation {
  readonly isAlive: boolean
  /** A wait that the timeline ends; the dead wait for ever. Aborting rejects with the signal's reason. */
  wait<T>(signal: AbortSignal | undefined, begin: BeginWait<T>): Promise<T>
  /** Lets `what` happen to the device and the device go on until it waits again, or is dead. While it sleeps, once it is awake. */
  rouse(what: () => void): Promise<void>
  /** From here on nothing that it does has an effect. */
  kill(): void
  /** The port as this life sees it: `onCall` before and after each call, and no answer for the dead. */
  through<T extends object>(port: T, onCall?: () => void): T
}

/** Enters what will end the wait; returns what takes it out again. */
type BeginWait<T> = (end: (value: T) => Promise<void>, fail: (error: unknown) => Promise<void>) => () => void

export interface IncarnationOptions {
  /** For messages. */
  readonly name: string
  readonly timeline: Timeline
  /** Until when the device is suspended; undefined while it is not. */
  readonly asleepUntil: () => Instant | undefined
}

/** Far more turns of the event loop than any work on the thread pool takes. */
const maxTurns = 5_000_000

export function incarnation({ name, timeline, asleepUntil }: IncarnationOptions): Incarnation {
  let waiting = 0
  let portCalls = 0
  let isAlive = true
  let stir = () => {}

  /** A port that computes on the thread pool tells when it is done: turning the event loop meanwhile would cost more than the work. */
  async function settle(): Promise<void> {
    for (let turns = 0; turns < maxTurns; turns++) {
      await new Promise(setImmediate)
      if (waiting > 0 || !isAlive) return
      if (portCalls > 0) await new Promise<void>((resolve) => (stir = resolve))
    }
    throw new Error(`${name} waits for something that is no part of the simulation`)
  }

  async function rouse(what: () => void): Promise<void> {
    if (!isAlive) return
    const until = asleepUntil()
    if (until !== undefined) {
      timeline.at(until, () => rouse(what))
      return
    }
    what()
    await settle()
  }

  function wait<T>(signal: AbortSignal | undefined, begin: BeginWait<T>): Promise<T> {
    if (!isAlive) return forever
    signal?.throwIfAborted()
    waiting++
    stir()
    return new Promise<T>((resolve, reject) => {
      let isOver = false
      const over = (finish: () => void) => {
        if (isOver) return
        isOver = true
        waiting--
        signal?.removeEventListener('abort', onAbort)
        finish()
      }
      const withdraw = begin(
        (value) => (isOver ? done : rouse(() => over(() => resolve(value)))),
        (error) => (isOver ? done : rouse(() => over(() => reject(error)))),
      )
      const onAbort = () => {
        withdraw()
        over(() => reject(signal?.reason))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  async function called(answer: unknown): Promise<unknown> {
    portCalls++
    try {
      return await answer
    } finally {
      portCalls--
      stir()
    }
  }

  function through<T extends object>(port: T, onCall: () => void = () => {}): T {
    return new Proxy(port, {
      get(target, member) {
        const value = Reflect.get(target, member)
        if (typeof value !== 'function') return value
        return async (...given: unknown[]) => {
          onCall()
          if (!isAlive) return forever
          const answer: unknown = await called(value.apply(target, given))
          onCall()
          if (!isAlive) return forever
          return isHandle(answer) ? through(answer, onCall) : answer
        }
      },
    })
  }

  return {
    wait,
    rouse,
    through,
    kill() {
      isAlive = false
      stir()
    },
    get isAlive() {
      return isAlive
    },
  }
}

const done = Promise.resolve()
const forever = new Promise<never>(() => {})
const isHandle = (value: unknown): value is object => typeof value === 'object' && value !== null && 'sign' in value

/** The clock of one device, `offsetMs` away from virtual time; a step of the offset changes no sleep. */
export function deviceClock(timeline: Timeline, life: Incarnation, offsetMs: (now: Instant) => number): Clock {
  return {
    now: () => Math.round(timeline.now() + offsetMs(timeline.now())),
    sleep: (ms, signal) => life.wait<void>(signal, (end) => timeline.at(timeline.now() + Math.max(0, ms), () => end(undefined))),
  }
}
