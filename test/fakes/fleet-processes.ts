import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '@certfleet/agent-core'
import type { Results } from '@certfleet/emulator/fleet'
import type { Test } from 'tap'
import { root } from '../tooling/root.ts'

/** The processes that a run has started and that live, the oldest first: its lab, then its workers. */
export function fleetProcesses(parent: number = process.pid): readonly number[] {
  const children = unlessGone(() => readdirSync(`/proc/${parent}/task`)) ?? []
  const pids = children.flatMap(
    (task) => unlessGone(() => readFileSync(`/proc/${parent}/task/${task}/children`, 'latin1'))?.split(' ') ?? [],
  )
  return pids
    .map(Number)
    .filter((pid) => pid > 0 && isAlive(pid) && /fleet\/process\.[jt]s/.test(commandOf(pid)))
    .sort((a, b) => a - b)
}

const commandOf = (pid: number): string => unlessGone(() => readFileSync(`/proc/${pid}/cmdline`, 'latin1')) ?? ''

/** A process that nobody has asked for its end yet lives no more. */
export function isAlive(pid: number): boolean {
  const state = unlessGone(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
  return state !== undefined && !/\) [ZX]/.test(state)
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

const patienceMs = 40_000

/** What a look finds, in the end. */
export async function until<T>(what: string, look: () => T | undefined | false, told: () => string = () => ''): Promise<T> {
  for (const start = systemClock.now(); systemClock.now() - start < patienceMs; await systemClock.sleep(20)) {
    const found = look()
    if (found !== undefined && found !== false) return found
  }
  throw new Error(`waited in vain for ${what}\n${told()}`)
}

/** The events of a run's log until now. */
export function logged(file: string): readonly { readonly event: string; readonly [member: string]: unknown }[] {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

/** So many devices are through. */
export const through = (file: string, count: number): Promise<true> =>
  until(`${count} devices`, () => logged(file).filter(({ event }) => event === 'device-completed').length >= count || undefined)

export interface SpawnedRun {
  readonly pid: number
  stdout(): string
  stderr(): string
  /** Resolves once stderr has a match. */
  seen(pattern: RegExp): Promise<unknown>
  /** The process itself: a child that does not end keeps its stderr open. */
  readonly exitCode: Promise<number | null>
  readonly ended: Promise<{ readonly exitCode: number | null; readonly signal: NodeJS.Signals | null; readonly tookMs: number }>
}

/** `certfleet run`; else as `spawnCertfleet`. */
export const spawnRun = (t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): SpawnedRun =>
  spawnCertfleet(t, ['run', ...args], env)

/** The compiled command in a process group of its own; the end of the test ends whatever is left of it. */
export function spawnCertfleet(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): SpawnedRun {
  const entry = join(root, 'packages/emulator/dist/cli.js')
  const child = spawn(process.execPath, [entry, ...args], { detached: true, env: { ...process.env, ...env } })
  const pid = child.pid as number
  const text = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    text.stdout += piece
  })
  child.stderr.setEncoding('utf8').on('data', (piece) => {
    text.stderr += piece
  })
  const exitCode = once(child, 'exit').then(([code]) => code)
  const startedAt = systemClock.now()
  const ended = once(child, 'close').then(([exitCode, signal]) => ({ exitCode, signal, tookMs: systemClock.now() - startedAt }))
  t.teardown(async () => {
    unlessGone(() => process.kill(-pid, 'SIGKILL'))
    await ended
  })
  return {
    pid,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    seen: (pattern) =>
      until(
        `${pattern}`,
        () => pattern.test(text.stderr),
        () => text.stderr,
      ),
    exitCode,
    ended,
  }
}

export const resultsIn = (text: string): Results => JSON.parse(text)
