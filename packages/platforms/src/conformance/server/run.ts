import { AssertionError } from 'node:assert'
import { setMaxListeners } from 'node:events'
import { AgentError } from '@certfleet/agent-core'
import { behaviourOf } from '../../adapter.ts'
import { type PlatformName, parseOs } from '../../os.ts'
import { systemsUnderTest } from '../check.ts'
import { Skipped } from '../context.ts'
import type { CheckResult } from '../run.ts'
import type { ServerCheck } from './check.ts'
import { openSession, type RunMemory, type ServerSession } from './session.ts'
import type { ServerTarget } from './target.ts'

export interface ServerRunOptions {
  readonly target: ServerTarget
  /** In this order. */
  readonly platforms: readonly PlatformName[]
  readonly signal?: AbortSignal
}

/** Judges a server as each platform would meet it; `onResult` is told of each check. What is no foreseen failure is a bug, and rejects. */
export async function runServerChecks(
  checks: readonly ServerCheck[],
  { target, platforms, signal = new AbortController().signal }: ServerRunOptions,
  onResult: (result: CheckResult) => void = () => {},
): Promise<readonly CheckResult[]> {
  // One for each request that is under way.
  setMaxListeners(0, signal)
  const memory: RunMemory = { issued: new Map(), isSpent: false }
  const results: CheckResult[] = []
  for (const platform of platforms) {
    const { osVersion } = systemsUnderTest[platform]
    const behaviour = behaviourOf(platform, osVersion)
    const session = openSession({ os: parseOs(platform, osVersion), behaviour, target, memory, signal })
    for (const check of checks.filter(({ on }) => on.includes(platform))) {
      signal.throwIfAborted()
      const result = await runOne(check, platform, session)
      results.push(result)
      onResult(result)
    }
  }
  return results
}

async function runOne({ id, source, run }: ServerCheck, platform: PlatformName, session: ServerSession): Promise<CheckResult> {
  const result = (status: CheckResult['status'], reason: string): CheckResult => ({ id, platform, status, reason, source })
  try {
    await run(session)
    return result('passed', '')
  } catch (error) {
    if (error instanceof Skipped) return result('skipped', error.message)
    if (error instanceof AgentError) return result('failed', `${error.code}: ${error.message}`)
    if (error instanceof AssertionError) return result('failed', error.message)
    throw error
  }
}
