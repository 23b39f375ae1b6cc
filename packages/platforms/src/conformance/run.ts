import { AssertionError } from 'node:assert'
import { AgentError, softwareKeys } from '@certfleet/agent-core'
import { readMobileconfig } from '../apple/rendering/read.ts'
import type { FactOverrides, PlatformName } from '../os.ts'
import { readSyncMl } from '../rendering/syncml-delivery.ts'
import type { CheckOnSystem } from './check.ts'
import { type CheckContext, type MakeKeys, type Sabotage, Skipped } from './context.ts'
import { bootDevice, versionText } from './device.ts'
import { lackOf, unsettable } from './lacking.ts'
import type { ConformanceTarget, TargetSession } from './target.ts'

export interface CheckResult {
  readonly id: string
  readonly platform: PlatformName
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped; empty where it passed. */
  readonly reason: string
  /** Source keys and rows, then fact ids. */
  readonly source: string
}

export interface RunOptions {
  readonly target: ConformanceTarget
  /** Makes the keys of one device. Default: keys of its own in memory. */
  readonly makeKeys?: MakeKeys
  /** Facts that are taken to say otherwise. Default: none. */
  readonly overrides?: FactOverrides
  /** Default: nothing is broken. */
  readonly sabotage?: Sabotage
}

/** Runs one check. What is no `AssertionError` or `AgentError` is a bug, and rejects. */
export async function runCheck(one: CheckOnSystem, options: RunOptions): Promise<CheckResult> {
  const { id, platform, source } = one
  const result = (status: CheckResult['status'], reason: string): CheckResult => ({ id, platform, status, reason, source })
  const reason = one.notHere ?? lackOf(one.check, options.target)
  if (reason !== undefined) return result('skipped', reason)
  const sessions: TargetSession[] = []
  try {
    await one.check.run(contextOf(one, options, sessions))
    return result('passed', '')
  } catch (error) {
    if (error instanceof Skipped) return result('skipped', error.message)
    if (error instanceof AgentError) return result('failed', `${error.code}: ${error.message}`)
    if (error instanceof AssertionError) return result('failed', error.message)
    throw error
  } finally {
    for (const session of sessions) await session.close()
  }
}

/** Runs the checks one after another; `onResult` is told of each. */
export async function runChecks(
  checks: readonly CheckOnSystem[],
  options: RunOptions & { readonly signal?: AbortSignal },
  onResult: (result: CheckResult) => void = () => {},
): Promise<readonly CheckResult[]> {
  const results: CheckResult[] = []
  for (const check of checks) {
    options.signal?.throwIfAborted()
    const result = await runCheck(check, options)
    results.push(result)
    onResult(result)
  }
  return results
}

function contextOf({ os: usual }: CheckOnSystem, options: RunOptions, sessions: TargetSession[]): CheckContext {
  const { target, makeKeys = softwareKeys, overrides, sabotage = {} } = options
  const os = overrides ? { ...usual, overrides } : usual
  return {
    os,
    read(text) {
      const told = sabotage.delivery?.(text) ?? text
      return os.platform === 'ios' || os.platform === 'macos' ? readMobileconfig(told, os) : readSyncMl(told, os)
    },
    async device(wishes = {}) {
      const { setup = {} } = wishes
      const reason = unsettable(setup, target)
      if (reason !== undefined) throw new Skipped(reason)
      const { platform, management } = os
      const device = { id: `device-${sessions.length + 1}`, platform, osVersion: versionText(os), management }
      const session = await target.open(device, setup)
      sessions.push(session)
      return bootDevice({ os, session, makeKeys, wishes, sabotage })
    },
  }
}
