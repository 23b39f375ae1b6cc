import { type AgentErrorCode, adviceByCode } from '@certfleet/agent-core'
import { z } from 'zod'
import { type Step, steps } from '../measure/types.ts'
import { type FleetPlatform, fleetPlatforms } from './devices.ts'
import { nearest } from './nearest.ts'

export const latencyStats = ['p50', 'p90', 'p95', 'p99', 'p999', 'max', 'mean'] as const
export type LatencyStat = (typeof latencyStats)[number]

/** Metrics beside latencies, by the unit that they are measured in, and whether they can be asked of one platform. */
export const plainMetrics = {
  'failed.count': { kind: 'count', byPlatform: true, says: 'profiles, roots and devices that failed' },
  'failed.rate': { kind: 'share', byPlatform: true, says: 'devices with a failure, of those that were run' },
  'pending.count': { kind: 'count', byPlatform: true, says: 'requests that the CA has not decided' },
  'waiting.count': { kind: 'count', byPlatform: true, says: 'roots and profiles that wait for a user' },
  'installed.count': { kind: 'count', byPlatform: true, says: 'certificates installed' },
  'errors.count': { kind: 'count', byPlatform: false, says: 'errors of all codes, those that a later try made good too' },
  'late.count': { kind: 'count', byPlatform: false, says: 'devices that began more than 100 ms after they were due' },
  'late.rate': { kind: 'share', byPlatform: false, says: 'those, of the devices that began' },
  'lost.count': { kind: 'count', byPlatform: false, says: 'devices that were given up after their workers had crashed too often' },
  'crashes.count': { kind: 'count', byPlatform: false, says: 'workers that crashed' },
  invariants: { kind: 'count', byPlatform: false, says: 'violations of invariants' },
  rate: { kind: 'rate', byPlatform: false, says: 'certificates installed a second, over the whole run' },
  duration: { kind: 'time', byPlatform: false, says: 'of the whole run' },
} as const satisfies Record<string, { kind: Kind; byPlatform: boolean; says: string }>
export type PlainMetric = keyof typeof plainMetrics

type Kind = 'count' | 'share' | 'rate' | 'time'

export type Metric =
  | { readonly of: 'plain'; readonly name: PlainMetric }
  | { readonly of: 'step'; readonly step: Step; readonly stat: LatencyStat }
  | { readonly of: 'generator-lag'; readonly stat: LatencyStat }
  | { readonly of: 'error'; readonly code: AgentErrorCode }

const comparisons = {
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
} as const satisfies Record<string, (a: number, b: number) => boolean>

export interface Threshold {
  /** As written. */
  readonly text: string
  readonly metric: Metric
  /** Of its devices alone. */
  readonly platform?: FleetPlatform
  /** In the unit of the threshold. */
  readonly value: number
  /** How many of what is measured (milliseconds, shares of 1) that unit is. */
  readonly unit: number
  holds(value: number): boolean
}

const units: Readonly<Record<Kind, Readonly<Record<string, number>>>> = {
  count: { '': 1 },
  share: { '%': 0.01 },
  rate: { '/s': 1 },
  time: { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
}

const sampleValues: Readonly<Record<Kind, string>> = { count: '0', share: '1%', rate: '50/s', time: '2s' }

/** What is wrong with a threshold, and at which character of it, from 1. */
export interface BadThreshold {
  readonly column: number
  readonly problem: string
}

const grammar = /^(\s*)([\w.-]+)(\s*)(<=|>=|==|!=|<|>)?(\s*)(\d+(?:\.\d+)?)?\s*([%/a-z]*)\s*$/i

/** Reads `[PLATFORM.]METRIC OP VALUE`, such as `enrollment.p99 < 2s`, `ios.enrollment.p90 < 1.5s` or `failed.rate < 1%`. */
export function parseThreshold(text: string): Threshold | BadThreshold {
  const parts = grammar.exec(text)
  if (!parts) return { column: badColumn(text), problem: 'expected METRIC OP VALUE, such as enrollment.p99 < 2s' }
  const [, indent = '', name = '', gap = '', operator, space = '', amount, unit = ''] = parts
  const at = indent.length + 1
  const metric = metricNamed(name, at)
  if ('problem' in metric) return metric
  const afterName = at + name.length + gap.length
  if (operator === undefined) return { column: afterName, problem: 'expected <, <=, >, >=, == or != after the metric' }
  const kind = kindOf(metric.metric)
  const afterOperator = afterName + operator.length + space.length
  const factor = units[kind][unit]
  if (amount === undefined || factor === undefined) {
    const column = amount === undefined ? afterOperator : afterOperator + amount.length
    return { column, problem: `expected a value such as ${sampleValues[kind]} for ${name}` }
  }
  const value = Number(amount)
  return { text, ...metric, value, unit: factor, holds: (measured) => comparisons[operator as keyof typeof comparisons](measured, value) }
}

/** The first character that no threshold has at its place. */
function badColumn(text: string): number {
  const longest = /^\s*([\w.-]+\s*((<=|>=|==|!=|<|>)\s*(\d+(\.\d+)?\s*[%/a-z]*\s*)?)?)?/i.exec(text)
  return (longest?.[0].length ?? 0) + 1
}

type Named = Pick<Threshold, 'metric' | 'platform'>

function metricNamed(name: string, column: number): Named | BadThreshold {
  const [first = '', ...rest] = name.split('.')
  const platform = fleetPlatforms.find((candidate) => candidate === first)
  if (platform === undefined) return metricOf(name, column)
  const asked = rest.join('.')
  const found = metricOf(asked, column + first.length + 1)
  if ('problem' in found) return found
  if (isByPlatform(found.metric)) return { ...found, platform }
  return { column, problem: `${asked} is of the whole fleet; leave out "${first}."` }
}

function metricOf(name: string, column: number): Named | BadThreshold {
  if (Object.hasOwn(plainMetrics, name)) return { metric: { of: 'plain', name: name as PlainMetric } }
  const dot = name.lastIndexOf('.')
  const [base, last] = dot < 0 ? [name, ''] : [name.slice(0, dot), name.slice(dot + 1)]
  if (base === 'errors') return errorMetric(last, column + dot + 1)
  const step = steps.find((candidate) => candidate === base)
  if (step === undefined && base !== 'generator.lag') return unknownMetric(name, column)
  const stat = latencyStats.find((candidate) => candidate === last)
  if (stat === undefined) {
    const why = `expected one of ${latencyStats.join(', ')} after ${base}.`
    return { column: column + (dot < 0 ? name.length : dot + 1), problem: why }
  }
  return { metric: step ? { of: 'step', step, stat } : { of: 'generator-lag', stat } }
}

function errorMetric(code: string, column: number): Named | BadThreshold {
  if (Object.hasOwn(adviceByCode, code)) return { metric: { of: 'error', code: code as AgentErrorCode } }
  return { column, problem: `no error has the code "${code}"${didYouMean(code, Object.keys(adviceByCode))}` }
}

/** Latencies by their step alone: with each of their figures there would be a hundred. */
const metricNames: readonly string[] = [
  ...steps.map((step) => `${step}.p99`),
  'generator.lag.p99',
  'errors.ERR_NETWORK',
  ...Object.keys(plainMetrics),
]

function unknownMetric(name: string, column: number): BadThreshold {
  const latencies = `${[...steps, 'generator.lag'].join(', ')} with .${latencyStats.join(', .')}`
  const others = [...Object.keys(plainMetrics), 'errors.CODE'].join(', ')
  const problem = `no metric is named "${name}"${didYouMean(name, metricNames)}; there are ${latencies}; and ${others}`
  return { column, problem }
}

function didYouMean(name: string, known: readonly string[]): string {
  const close = nearest(name, known)
  return close === undefined ? '' : `; did you mean ${close}?`
}

/** For people: every metric, with a value that it could be held against. */
export const metricRows: readonly { readonly name: string; readonly value: string; readonly byPlatform: boolean; readonly says: string }[] =
  [
    ...steps.map((step) => ({ name: `${step}.FIGURE`, value: '300ms', byPlatform: true, says: `how long "${step}" took` })),
    {
      name: 'generator.lag.FIGURE',
      value: '100ms',
      byPlatform: false,
      says: 'how much later than asked a timer of the fleet fired, in the worst of its processes',
    },
    { name: 'errors.CODE', value: '0', byPlatform: false, says: 'errors of that code' },
    ...Object.entries(plainMetrics).map(([name, { kind, byPlatform, says }]) => ({ name, value: sampleValues[kind], byPlatform, says })),
  ]

function kindOf(metric: Metric): Kind {
  if (metric.of === 'plain') return plainMetrics[metric.name].kind
  return metric.of === 'error' ? 'count' : 'time'
}

function isByPlatform(metric: Metric): boolean {
  return metric.of === 'step' || (metric.of === 'plain' && plainMetrics[metric.name].byPlatform)
}

/** A threshold as written, parsed once read. */
export const thresholdSchema = z
  .string('expected text such as enrollment.p99 < 2s')
  .meta({
    id: 'threshold',
    samples: ['enrollment.p99 < 2s', 'failed.rate < 1%'],
    pattern: '^\\s*[\\w.-]+\\s*(<=|>=|==|!=|<|>)\\s*\\d+(\\.\\d+)?\\s*(%|/s|ms|s|m|h)?\\s*$',
  })
  .transform((text, context): Threshold => {
    const read = parseThreshold(text)
    if (!('problem' in read)) return read
    context.addIssue({ code: 'custom', message: `character ${read.column}: ${read.problem}` })
    return z.NEVER
  })
