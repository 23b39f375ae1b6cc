import { alarm } from './alarm.ts'
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

/** From `start` to `stop`. */
interface Run {
  readonly push: ReturnType<NonNullable<AgentOptions['connectPush']>> | undefined
  /** The check under way, or the last. */
  checking: Promise<void>
  /** Ends that check, or the sleep behind it. */
  interrupt: () => void
  /** Woken since that check began. */
  isAwake: boolean
}

interface Next {
  readonly delayMs: number
  readonly failures: number
}

interface Listening {
  readonly name: keyof AgentEvents
  readonly listener: (event: never) => void
}

/**
 * Puts timers, a push channel and single flight around `reconcile`. Between two passes it holds no signal and no suspended function:
 * thousands of agents in one process sleep at the same time.
 *
 * Anything thrown that is not an `AgentError` is a bug: it ends the agent and `stop()` rejects with it.
 */
export function createAgent(options: AgentOptions): Agent {
  const { clock, jitter, checkInIntervalMs = defaultCheckInIntervalMs } = options
  let listeners: readonly Listening[] = []
  let flight: Promise<void> = Promise.resolve()
  let running: Run | undefined
  let wake = nothing

  function emit<Name extends keyof AgentEvents>(name: Name, event: AgentEvents[Name]): void {
    for (const listening of listeners) if (listening.name === name) (listening.listener as (event: AgentEvents[Name]) => void)(event)
  }

  function runOnce(signal: AbortSignal = new AbortController().signal): Promise<Pass> {
    const turn = async () => {
      const pass = await reconcile(options, signal, (result) => emit('result', result))
      emit('pass', pass)
      return pass
    }
    const pass = flight.then(turn, turn)
    // The chain only orders the passes: each caller sees its own pass fail, and none is kept.
    flight = pass.then(nothing, nothing)
    return pass
  }

  /** The delay until the next pass: what the plan asks for, at most the check-in interval; backoff after a failed pass. */
  async function check(failures: number, signal: AbortSignal): Promise<Next> {
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

  async function checkIn(run: Run, failures: number): Promise<void> {
    const abort = new AbortController()
    run.interrupt = () => abort.abort()
    // Noted from before the pass on: who is woken during it does not sleep after it.
    run.isAwake = false
    wake = () => {
      run.isAwake = true
    }
    const next = await check(failures, abort.signal)
    if (running !== run) return
    if (run.isAwake) begin(run, next.failures)
    else rest(run, next)
  }

  /** In a function of its own, so that what the alarm calls keeps nothing of the check. */
  function rest(run: Run, { delayMs, failures }: Next): void {
    run.interrupt = alarm(clock, delayMs, () => begin(run, failures))
    wake = () => {
      run.interrupt()
      begin(run, failures)
    }
  }

  function begin(run: Run, failures: number): void {
    run.checking = checkIn(run, failures).catch(async (error: unknown) => {
      if (running !== run) return
      await run.push?.close()
      throw error
    })
  }

  return {
    start() {
      if (running) return
      running = { push: options.connectPush?.(() => wake()), checking: flight, interrupt: nothing, isAwake: false }
      begin(running, 0)
    },
    async stop() {
      const ending = running
      running = undefined
      wake = nothing
      ending?.interrupt()
      await ending?.checking
      await ending?.push?.close()
    },
    runOnce,
    on(name, listener) {
      const listening = { name, listener: listener as Listening['listener'] }
      if (!listeners.some((known) => known.name === name && known.listener === listener)) listeners = listeners.concat(listening)
      return () => {
        listeners = listeners.filter((known) => known.name !== name || known.listener !== listener)
      }
    },
  }
}

function nothing(): void {}
