import { countText, durationText, spanText } from '../quantity.ts'
import type { RunResults } from '../results.ts'
import type { LoadResults, StepResult } from '../schema.ts'
import { type Markup, markup, section, wide } from './markup.ts'

const heads = ['Count', 'p50', 'p90', 'p99', 'p99.9', 'Max']

/** Every step, all platforms first and then each, with a strip from the smallest to the largest on one logarithmic scale. */
export function stepTable({ steps }: RunResults & LoadResults): Markup {
  if (steps.length === 0) return section('steps', 'Latency by step', markup`<p class="none">Nothing was timed.</p>`)
  const scale = logScale(steps)
  const names = [...new Set(steps.map(({ step }) => step))]
  const ends = markup`<span class="ends"><span>${spanText(scale.minMs)}</span><span>${spanText(scale.maxMs)}</span></span>`
  const body = names.map((name) =>
    group(
      steps.filter(({ step }) => step === name),
      scale,
    ),
  )
  const whole = markup`<table class="steps"><caption>Latency by step and platform</caption><thead><tr><th scope="col">Step, platform</th>${heads.map((head) => markup`<th scope="col" class="figure">${head}</th>`)}<th scope="col" class="strip-head">Min to max, log scale ${ends}</th></tr></thead>${body}</table>`
  const legend = markup`<p class="note">Strip: thin from minimum to maximum, thick from p50 to p90, and a mark at p99. An enrolment counts from when its device was due, so that a late start is in it.</p>`
  return section('steps', 'Latency by step', wide(whole, 'Latency by step and platform'), legend)
}

/** A step that only one platform took needs no second row. */
function group(rows: readonly StepResult[], scale: LogScale): Markup {
  const all = rows.filter(({ platform }) => platform === 'all')
  const each = rows.filter(({ platform }) => platform !== 'all')
  const [first] = all
  return markup`<tbody>${first === undefined ? undefined : stepRow(first, first.step, 'all', scale)}${each.length > 1 || first === undefined ? each.map((row) => stepRow(row, first ? row.platform : `${row.step}, ${row.platform}`, 'platform', scale)) : undefined}</tbody>\n`
}

function stepRow(row: StepResult, name: string, kind: string, scale: LogScale): Markup {
  const figures = [row.p50Ms, row.p90Ms, row.p99Ms, row.p999Ms, row.maxMs].map(durationText)
  const cells = [countText(row.count), ...figures].map((text) => markup`<td class="figure">${text}</td>`)
  return markup`<tr class="${kind}"><th scope="row">${name}</th>${cells}<td class="strip-cell">${strip(row, scale)}</td></tr>\n`
}

interface LogScale {
  readonly minMs: number
  readonly maxMs: number
  /** 0 to 100. */
  at(ms: number): number
}

const leastMs = 0.01

/** From one power of ten to another, around all that is shown. */
function logScale(steps: readonly StepResult[]): LogScale {
  const minMs = 10 ** Math.floor(Math.log10(Math.max(leastMs, Math.min(...steps.map((row) => row.minMs)))))
  const maxMs = 10 ** Math.ceil(Math.log10(Math.max(minMs * 10, ...steps.map((row) => row.maxMs))))
  const span = Math.log10(maxMs / minMs)
  return { minMs, maxMs, at: (ms) => Math.min(100, Math.max(0, (Math.log10(Math.max(ms, minMs) / minMs) / span) * 100)) }
}

/** The figures stand beside it, so it is nothing to those who hear the page. */
function strip({ minMs, p50Ms, p90Ms, p99Ms, maxMs }: StepResult, { at }: LogScale): Markup {
  const bar = (from: number, to: number, y: number, height: number, kind: string) =>
    markup`<rect class="${kind}" x="${fixed(at(from))}" y="${y}" width="${fixed(Math.max(0.6, at(to) - at(from)))}" height="${height}"/>`
  return markup`<svg class="strip" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" focusable="false">${bar(minMs, maxMs, 5, 2, 'range')}${bar(p50Ms, p90Ms, 2, 8, 'core')}<rect class="tail" x="${fixed(Math.min(99.2, at(p99Ms)))}" y="1" width="0.8" height="10"/></svg>`
}

const fixed = (value: number): string => value.toFixed(2)
