import { waitAfter } from './backoff.ts'
import type { Device } from './device.ts'
import { AgentError } from './errors.ts'
import { type Pass, reconcile } from './reconcile.ts'
import type { ActionResult } from './report.ts'

export interface AgentOptions extends Device {
  /** How often the policy is fetched when nothing wakes the agent. Default 8 h, as Windows does. */
  readonly checkInIntervalMs?: number
  /**
   * Opens a channel whose messages wake the agent; called by `start()`, closed by `stop()`. See `connectPush`.
   * Default: none, and the agent only polls.
   */
  readonly connectPush?: (onWake: () => void) => { close(): Promise<void> }
}

export interface AgentEvents {
  /** One action was performed. */
  result: ActionResult
  /** A pass is complete. */
  pass: Pass
  /** A pass could not be made (no policy) or not be reported; the agent tries again. */
  error: AgentError
}

export interface Agent {
  /** Begins to check in: at once, at every interval, at every wake-up, and when the plan says. */
  start(): void
  /** Ends the timers and the push channel and waits for the pass under way, which is aborted. */
  stop(): Promise<void>
  /** Makes one pass now; passes never overlap, and a call during a pass waits for one more. */
  runOnce(signal?: AbortSignal): Promise<Pass>
  /** Calls back at each event; returns the function that ends it. */
  on<Name extends keyof AgentEvents>(name: Name, listener: (event: AgentEvents[Name]) => void): () => void
}

const defaultCheckInIntervalMs = 8 * 3_600_000

/**
 * Puts timers, a push channel and single flight around `reconcile`.
 *
 * Anything thrown that is not an `AgentError` is a bug: it ends the loop and `stop()` rejects with it.
 */
export function createAgent(options: AgentOptions): Agent {
  const { clock, jitter, checkInIntervalMs = defaultCheckInIntervalMs } = options
  const listeners = new Map<keyof AgentEvents, Set<(event: never) => void>>()
  let flight: Promise<unknown> = Promise.resolve()
  let running: { abort: AbortController; loop: Promise<void> } | undefined
  let wake = () => {}

  function emit<Name extends keyof AgentEvents>(name: Name, event: AgentEvents[Name]): void {
    for (const listener of listeners.get(name) ?? []) (listener as (event: AgentEvents[Name]) => void)(event)
  }

  function runOnce(signal: AbortSignal = new AbortController().signal): Promise<Pass> {
    const turn = async () => {
      const pass = await reconcile(options, signal, (result) => emit('result', result))
      emit('pass', pass)
      return pass
    }
    const pass = flight.then(turn, turn)
    // The chain only orders the passes: each caller sees its own pass fail.
    flight = pass.catch(() => undefined)
    return pass
  }

  /** The delay until the next pass: what the plan asks for, at most the check-in interval; backoff after a failed pass. */
  async function check(failures: number, signal: AbortSignal): Promise<{ delayMs: number; failures: number }> {
    try {
      const { wakeAt } = await runOnce(signal)
      const planned = wakeAt === undefined ? checkInIntervalMs : wakeAt - clock.now()
      return { delayMs: Math.max(0, Math.min(planned, checkInIntervalMs)), failures: 0 }
    } catch (error) {
      if (!(error instanceof AgentError)) throw error
      emit('error', error)
      const waitMs = waitAfter(error, failures + 1, jitter)
      return { delayMs: Math.max(Math.min(waitMs, checkInIntervalMs), error.retryAfterMs ?? 0), failures: failures + 1 }
    }
  }

  async function loop(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      // Made before the pass: who is woken during it does not sleep after it.
      const nap = new AbortController()
      wake = () => nap.abort()
      const next = await check(failures, signal)
      failures = next.failures
      await pause(next.delayMs, nap.signal)
    }
  }

  async function pause(delayMs: number, nap: AbortSignal): Promise<void> {
    // An abort that has been is not told again.
    if (nap.aborted) return
    await clock.sleep(delayMs, nap).catch((error: unknown) => {
      if (!nap.aborted) throw error
    })
  }

  return {
    start() {
      if (running) return
      const abort = new AbortController()
      const push = options.connectPush?.(() => wake())
      const ended = loop(abort.signal).catch((error: unknown) => {
        if (!abort.signal.aborted) throw error
      })
      running = { abort, loop: ended.finally(() => push?.close()) }
    },
    async stop() {
      const ending = running
      running = undefined
      ending?.abort.abort()
      wake()
      await ending?.loop
    },
    runOnce,
    on(name, listener) {
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set.add(listener as (event: never) => void))
      return () => void set.delete(listener as (event: never) => void)
    },
  }
}
