import type { FleetPlatform } from '../scenario/schema.ts'
import { type Format, flag, number, text } from './loggable.ts'

/** Everything that a run logs; nothing else has a way into the log. */
export type LogEvent =
  | { readonly event: 'run-started'; readonly devices: number; readonly seed: string; readonly target: string; readonly workers: number }
  | { readonly event: 'device-completed'; readonly device: string; readonly platform: FleetPlatform; readonly installed: number }
  | {
      readonly event: 'device-failed'
      readonly device: string
      readonly platform: FleetPlatform
      readonly code: string
      /** Of an `AgentError`, which holds no secret. */
      readonly message: string
    }
  | {
      readonly event: 'worker-crashed'
      readonly worker: string
      readonly why: string
      readonly devicesRestarted: number
    }
  | { readonly event: 'warning'; readonly message: string }
  | { readonly event: 'threshold'; readonly threshold: string; readonly value: number | null; readonly passed: boolean }
  | { readonly event: 'invariant'; readonly invariant: string; readonly checked: number; readonly violations: number }
  | {
      readonly event: 'run-ended'
      readonly verdict: 'passed' | 'failed' | 'interrupted'
      readonly installed: number
      readonly failed: number
      readonly durationMs: number
    }

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

interface Shape {
  readonly level: LogLevel
  readonly members: Readonly<Record<string, Format>>
}

/** The compiler refuses an event without a shape, and a member without a format. */
export const shapes = {
  'run-started': { level: 'info', members: { devices: number, seed: text, target: text, workers: number } },
  'device-completed': { level: 'info', members: { device: text, platform: text, installed: number } },
  'device-failed': { level: 'warn', members: { device: text, platform: text, code: text, message: text } },
  'worker-crashed': {
    level: 'error',
    members: { worker: text, why: text, devicesRestarted: number },
  },
  warning: { level: 'warn', members: { message: text } },
  threshold: { level: 'info', members: { threshold: text, value: number, passed: flag } },
  invariant: { level: 'info', members: { invariant: text, checked: number, violations: number } },
  'run-ended': { level: 'info', members: { verdict: text, installed: number, failed: number, durationMs: number } },
} as const satisfies {
  readonly [E in LogEvent as E['event']]: Shape & { readonly members: { readonly [M in keyof Omit<E, 'event'>]-?: Format } }
}
